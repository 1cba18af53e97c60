//! A browser's page: it has one thread, which must not block, and its devices are polled by the browser.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use futures_intrusive::channel::shared::{OneshotBroadcastReceiver, oneshot_broadcast_channel, oneshot_channel};
pub(crate) use web_time::Instant;

use crate::gpu::Gpu;
use crate::{Error, Result};

/// Runs a future that does not need to wait, such as a computation on the CPU.
///
/// Errors: those of the future; the future is pending.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => {
            let reason = "a page of a browser must not block; use the async form of this function".into();
            Err(Error::Gpu { what: "waiting for the device".into(), reason })
        }
    }
}

/// Runs long work in place, since there are no other threads.
pub(in crate::gpu) async fn apart<T, F: Future<Output = Result<T>>>(work: impl FnOnce() -> F) -> Result<T> {
    work().await
}

/// The result of `work` on the only core.
pub(in crate::gpu) fn on_all_cores<T>(_tasks: usize, work: impl Fn() -> T) -> Vec<T> {
    vec![work()]
}

/// A handle for waiting on submitted commands.
#[derive(Clone, Debug)]
pub struct Submission(OneshotBroadcastReceiver<()>);

pub(super) fn submit(queue: &wgpu::Queue, commands: wgpu::CommandBuffer) -> Submission {
    queue.submit([commands]);
    all_so_far(queue)
}

fn all_so_far(queue: &wgpu::Queue) -> Submission {
    let (sender, receiver) = oneshot_broadcast_channel();
    // The receiver may have been dropped.
    queue.on_submitted_work_done(move || _ = sender.send(()));
    Submission(receiver)
}

/// Waits for a submission and all before it; `None` waits for everything submitted.
pub(super) async fn settle(gpu: &Gpu, submission: Option<Submission>) -> Result<()> {
    let submission = submission.unwrap_or_else(|| all_so_far(gpu.queue()));
    match submission.0.receive().await {
        Some(()) => Ok(()),
        None => Err(Error::Gpu { what: "waiting for the device".into(), reason: "it does not answer".into() }),
    }
}

/// Whether a buffer can be mapped.
pub(super) fn can_map(_device: &wgpu::Device, buffer: wgpu::Buffer) -> impl Future<Output = bool> + use<> {
    let (sender, receiver) = oneshot_channel();
    buffer.map_async(wgpu::MapMode::Read, .., move |mapped| _ = sender.send(mapped.is_ok()));
    async move {
        let can = receiver.receive().await == Some(true);
        drop(buffer);
        can
    }
}
