//! The trait of callbacks, for closures, pairs and lists too.

use std::ops::ControlFlow;

use crate::Result;
use crate::train::event::Event;

/// Receiver of the events of a training run.
pub trait Callback {
    /// Handles one event. `Break` ends the run after the steps that are already submitted.
    ///
    /// Errors: any failure of the callback; the run ends with that error.
    fn on_event(&mut self, event: &Event) -> Result<ControlFlow<()>>;
}

impl<F: FnMut(Event) -> ControlFlow<()>> Callback for F {
    fn on_event(&mut self, event: &Event) -> Result<ControlFlow<()>> {
        Ok(self(event.clone()))
    }
}

impl<A: Callback, B: Callback> Callback for (A, B) {
    /// Both receive the event; either may end the run.
    fn on_event(&mut self, event: &Event) -> Result<ControlFlow<()>> {
        Ok(match (self.0.on_event(event)?, self.1.on_event(event)?) {
            (ControlFlow::Continue(()), ControlFlow::Continue(())) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        })
    }
}

impl Callback for Vec<Box<dyn Callback + '_>> {
    /// All receive the event; any may end the run.
    fn on_event(&mut self, event: &Event) -> Result<ControlFlow<()>> {
        let mut flow = ControlFlow::Continue(());
        for callback in self {
            if callback.on_event(event)?.is_break() {
                flow = ControlFlow::Break(());
            }
        }
        Ok(flow)
    }
}

impl Callback for &mut (dyn Callback + '_) {
    fn on_event(&mut self, event: &Event) -> Result<ControlFlow<()>> {
        (**self).on_event(event)
    }
}

/// A callback that ignores all events.
pub(in crate::train) struct NoCallback;

impl Callback for NoCallback {
    fn on_event(&mut self, _: &Event) -> Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}
