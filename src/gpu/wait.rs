//! Waiting for the device: by blocking, or as a future that any executor can run.
//!
//! Nothing moves on a native device unless someone polls it. What waits is written once, as a future; where it is run by
//! [`block_on`], this thread polls and sleeps; under an app's executor, a thread of its own does, and the app's goes on.

use std::cell::Cell;

use futures_intrusive::channel::shared::oneshot_channel;

use super::Gpu;
use crate::{Error, Result};

thread_local! {
    /// Whether the future under way is run by [`block_on`].
    static MAY_BLOCK: Cell<bool> = const { Cell::new(false) };
}

/// Runs a future to its end on this thread, which may block in it.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let before = MAY_BLOCK.replace(true);
    let output = pollster::block_on(future);
    MAY_BLOCK.set(before);
    output
}

/// Runs what takes long: here if this thread may block, else on a thread of its own, while the future waits.
///
/// Errors: those of `work`; no thread can be started.
pub(crate) async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    if MAY_BLOCK.get() {
        return work();
    }
    let (sender, receiver) = oneshot_channel();
    let failed = |reason: String| Error::Gpu { what: "a thread that waits for the device".into(), reason };
    let thread = std::thread::Builder::new().name("lenslet".into());
    thread
        .spawn(move || {
            // The future may be dropped: nobody wants the result any more.
            let _ = sender.send(block_on(async { work() }));
        })
        .map_err(|error| failed(error.to_string()))?;
    receiver.receive().await.unwrap_or_else(|| Err(failed("it ended without a result".into())))
}

/// Commands handed to the device, to wait for.
#[derive(Clone, Debug)]
pub struct Submission(pub(super) wgpu::SubmissionIndex);

impl Gpu {
    /// Waits until everything submitted has run.
    ///
    /// Errors: the device is lost.
    pub fn wait(&self) -> Result<()> {
        self.wait_for(None)
    }

    /// The `async` form of [`Gpu::wait`].
    pub async fn wait_async(&self) -> Result<()> {
        self.settle(None).await
    }

    /// Waits until a submission and those before it have run.
    pub(crate) async fn settle(&self, submission: Option<Submission>) -> Result<()> {
        let gpu = self.clone();
        apart(move || gpu.wait_for(submission)).await
    }

    fn wait_for(&self, submission: Option<Submission>) -> Result<()> {
        let submission_index = submission.map(|submission| submission.0);
        let polled = self.device().poll(wgpu::PollType::Wait { submission_index, timeout: None });
        match polled {
            Ok(_) if self.was_lost() => Err(self.lost()),
            Ok(_) => Ok(()),
            Err(error) => {
                self.check_lost()?;
                Err(Error::Gpu { what: "waiting for the device".into(), reason: error.to_string() })
            }
        }
    }

    /// Refuses a device that is gone. An app that lends its device hears of its loss itself, and there is no asking: so
    /// this maps a few bytes and looks whether that works.
    ///
    /// Errors: [`Error::DeviceLost`].
    pub fn check_lost(&self) -> Result<()> {
        if self.was_lost() {
            return Err(self.lost());
        }
        let _dead = self.forgiving();
        let probe = self.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("probe"),
            size: 4,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let (sender, receiver) = std::sync::mpsc::channel();
        probe.map_async(wgpu::MapMode::Read, .., move |mapped| _ = sender.send(mapped.is_ok()));
        // An error shows itself here or already above.
        let polled = self.device().poll(wgpu::PollType::Poll);
        match receiver.try_recv() {
            Ok(false) => Err(self.lost()),
            Err(_) if polled.is_err() => Err(self.lost()),
            _ => Ok(()),
        }
    }

    /// Until what it returns is dropped, objects that a lost device made dead are not reported to the app as errors of
    /// its own: what waits for their results says that the device is lost.
    pub(super) fn forgiving(&self) -> wgpu::ErrorScopeGuard {
        self.device().push_error_scope(wgpu::ErrorFilter::Validation)
    }

    pub(super) fn lost(&self) -> Error {
        Error::DeviceLost(format!("{}; make a new one, and go on from the last snapshot", self.name()))
    }
}
