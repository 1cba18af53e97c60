//! What follows a training: stops it early, writes logs, keeps checkpoints.
//!
//! A callback is told of each [`Event`]; it may end the training, which then keeps all finished steps. Closures are
//! callbacks, and so are pairs and boxes of them:
//!
//! ```no_run
//! use std::time::Duration;
//! use lenslet::runs::CsvLog;
//! use lenslet::train::Fit;
//! use lenslet::train::callbacks::{EarlyStopping, TimeLimit};
//! # fn f(trainer: &mut lenslet::Trainer<'_>, data: &lenslet::data::Dataset) -> lenslet::Result<()> {
//! let fit = Fit { epochs: 100, validation: 1000, ..Fit::default() };
//! let stop = (EarlyStopping::after(5), TimeLimit::new(Duration::from_secs(600)));
//! trainer.fit_with(data, fit, (stop, CsvLog::create("run.csv")?))?;
//! # Ok(())
//! # }
//! ```

mod early_stopping;

use std::ops::ControlFlow;
use std::time::Duration;

pub(crate) use early_stopping::Best;
pub use early_stopping::EarlyStopping;

use crate::Result;
use crate::gpu::Instant;
use crate::train::report::Event;

/// Something that follows a training.
pub trait Callback {
    /// Hears of an event; `Break` ends the training after what the device has under way.
    ///
    /// Errors: whatever keeps it from its work; the training ends with it.
    fn tell(&mut self, event: &Event) -> Result<ControlFlow<()>>;
}

impl<F: FnMut(Event) -> ControlFlow<()>> Callback for F {
    fn tell(&mut self, event: &Event) -> Result<ControlFlow<()>> {
        Ok(self(event.clone()))
    }
}

impl<A: Callback, B: Callback> Callback for (A, B) {
    /// Both hear of it; either may end the training.
    fn tell(&mut self, event: &Event) -> Result<ControlFlow<()>> {
        Ok(match (self.0.tell(event)?, self.1.tell(event)?) {
            (ControlFlow::Continue(()), ControlFlow::Continue(())) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        })
    }
}

impl Callback for Vec<Box<dyn Callback + '_>> {
    /// All hear of it; any may end the training.
    fn tell(&mut self, event: &Event) -> Result<ControlFlow<()>> {
        let mut all = ControlFlow::Continue(());
        for callback in self {
            if callback.tell(event)?.is_break() {
                all = ControlFlow::Break(());
            }
        }
        Ok(all)
    }
}

impl Callback for &mut (dyn Callback + '_) {
    fn tell(&mut self, event: &Event) -> Result<ControlFlow<()>> {
        (**self).tell(event)
    }
}

/// Does nothing.
pub(in crate::train) struct Silent;

impl Callback for Silent {
    fn tell(&mut self, _: &Event) -> Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}

/// Ends a training at the first step that is done so long after it was ready for the first.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimit {
    limit: Duration,
    start: Option<Instant>,
}

impl TimeLimit {
    /// So much time for the steps and what is between them.
    pub fn new(limit: Duration) -> Self {
        Self { limit, start: None }
    }
}

impl Callback for TimeLimit {
    fn tell(&mut self, event: &Event) -> Result<ControlFlow<()>> {
        let start = self.start.get_or_insert_with(Instant::now);
        Ok(match event {
            Event::Step(_) if start.elapsed() >= self.limit => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
    }
}
