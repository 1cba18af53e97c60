//! Waiting for the device: blocking, or as a future for any executor.
//!
//! Each wait is implemented once, as a future. The module `host` contains the differences between native systems and
//! browsers, where blocking is not allowed and there are no threads.

#[cfg_attr(not(target_arch = "wasm32"), path = "wait/native.rs")]
#[cfg_attr(target_arch = "wasm32", path = "wait/browser.rs")]
mod host;

pub use host::Submission;
pub(crate) use host::{Instant, block_on};
pub(super) use host::{apart, on_all_cores};

use crate::gpu::Gpu;
use crate::{Error, Result};

impl Gpu {
    /// Waits until everything submitted has completed.
    ///
    /// Errors: the device is lost.
    pub fn wait(&self) -> Result<()> {
        block_on(self.wait_async())
    }

    /// The `async` form of [`Gpu::wait`].
    pub async fn wait_async(&self) -> Result<()> {
        self.settle(None).await
    }

    /// Submits the commands of an encoder, without waiting.
    pub(super) fn submit(&self, encoder: wgpu::CommandEncoder) -> Submission {
        host::submit(self.queue(), encoder.finish())
    }

    /// Waits for a submission and all before it.
    pub(crate) async fn settle(&self, submission: Option<Submission>) -> Result<()> {
        match host::settle(self, submission).await {
            Ok(()) if self.was_lost() => Err(self.lost()),
            Ok(()) => Ok(()),
            Err(error) => self.check_lost_async().await.and(Err(error)),
        }
    }

    /// Checks that the device is not lost, by mapping a small buffer: an app that shares its device owns the callback
    /// of device loss, and WebGPU has no query.
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

    /// Suppresses errors of objects created on a lost device until the returned guard is dropped, so that they are not
    /// reported to the app. Waiting for results reports the loss.
    pub(super) fn forgiving(&self) -> wgpu::ErrorScopeGuard {
        self.device().push_error_scope(wgpu::ErrorFilter::Validation)
    }

    pub(super) fn lost(&self) -> Error {
        Error::DeviceLost(format!("{}; make a new one, and go on from the last snapshot", self.name()))
    }
}
