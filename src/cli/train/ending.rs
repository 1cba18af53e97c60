//! How a run ends before its last step.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use lenslet::train::Event;
use lenslet::train::callbacks::Callback;

/// Reason for the end of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All steps are finished.
    Finished,
    /// Early stopping.
    EarlyStopping,
    /// Ctrl-C.
    Interrupt,
    /// The time limit.
    TimeLimit,
}

/// A callback that records its reason when it ends the run.
pub struct Ends<'a> {
    pub reason: Ending,
    pub ending: &'a Cell<Ending>,
    pub callback: Box<dyn Callback + 'a>,
}

impl Callback for Ends<'_> {
    fn on_event(&mut self, event: &Event) -> lenslet::Result<ControlFlow<()>> {
        let flow = self.callback.on_event(event)?;
        if flow.is_break() {
            self.ending.set(self.reason);
        }
        Ok(flow)
    }
}

/// Handles Ctrl-C: a callback that ends the run at the first press. The second press ends the process at once.
pub fn interrupt() -> anyhow::Result<impl Callback> {
    let pressed = Arc::new(AtomicBool::new(false));
    let seen = pressed.clone();
    let handler = move || {
        if pressed.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("\nstopping after this step; press Ctrl-C again to stop at once");
    };
    ctrlc::set_handler(handler).context("listening for Ctrl-C")?;
    Ok(move |_: Event| match seen.load(Ordering::Relaxed) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    })
}
