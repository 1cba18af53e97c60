//! Ends a run after a given time.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::Result;
use crate::gpu::Instant;
use crate::train::callbacks::callback::Callback;
use crate::train::event::Event;

/// Wall-clock limit of a run, counted from [`Event::Ready`]: the first step that finishes after the limit ends the run.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimit {
    limit: Duration,
    start: Option<Instant>,
}

impl TimeLimit {
    /// A limit on the steps and the work between them, such as evaluation and checkpoints; compilation does not count.
    pub fn new(limit: Duration) -> Self {
        Self { limit, start: None }
    }
}

impl Callback for TimeLimit {
    fn on_event(&mut self, event: &Event) -> Result<ControlFlow<()>> {
        let start = self.start.get_or_insert_with(Instant::now);
        Ok(match event {
            Event::Step(_) if start.elapsed() >= self.limit => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
    }
}
