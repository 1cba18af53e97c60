//! Waiting for the device: by blocking, or as a future that any executor can run.
//!
//! What waits is written once, as a future. What differs between a native system and a browser's page, where nothing may
//! block and there are no threads, is in `host`, a file for each.

#[cfg_attr(not(target_arch = "wasm32"), path = "wait/native.rs")]
#[cfg_attr(target_arch = "wasm32", path = "wait/browser.rs")]
mod host;

pub use host::Submission;
pub(crate) use host::{Instant, block_on};
pub(super) use host::{apart, on_all_cores};

use crate::gpu::Gpu;
use crate::{Error, Result};

impl Gpu {
    /// Waits until everything submitted has run.
    ///
    /// Errors: the device is lost.
    pub fn wait(&self) -> Result<()> {
        block_on(self.wait_async())
    }

    /// The `async` form of [`Gpu::wait`].
    pub async fn wait_async(&self) -> Result<()> {
        self.settle(None).await
    }

    /// Submits what an encoder has, without waiting.
    pub(super) fn submit(&self, encoder: wgpu::CommandEncoder) -> Submission {
        host::submit(self.queue(), encoder.finish())
    }

    /// Waits until a submission and those before it have run.
    pub(crate) async fn settle(&self, submission: Option<Submission>) -> Result<()> {
        match host::settle(self, submission).await {
            Ok(()) if self.was_lost() => Err(self.lost()),
            Ok(()) => Ok(()),
            Err(error) => self.check_lost_async().await.and(Err(error)),
        }
    }

    /// Refuses a device that is gone. An app that lends its device hears of its loss itself, and there is no asking: so
    /// this maps a few bytes and looks whether that works.
    ///
    /// Errors: [`Error::DeviceLost`].
    pub fn check_lost(&self) -> Result<()> {
        block_on(self.check_lost_async())
    }

    /// The `async` form of [`Gpu::check_lost`].
    pub async fn check_lost_async(&self) -> Result<()> {
        if self.was_lost() {
            return Err(self.lost());
        }
        let can_map = {
            let _dead = self.forgiving();
            let probe = self.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some("probe"),
                size: 4,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            host::can_map(self.device(), probe)
        };
        if can_map.await { Ok(()) } else { Err(self.lost()) }
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
