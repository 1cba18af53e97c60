//! A native system: it has threads, and devices make progress only when polled.
//!
//! In a future run by [`block_on`], the current thread polls and sleeps. Under an app's executor a separate thread
//! does, and the app's thread continues.

use std::cell::Cell;
use std::future::{Ready, ready};
use std::sync::mpsc;
pub(crate) use std::time::Instant;

use futures_intrusive::channel::shared::oneshot_channel;

use crate::gpu::Gpu;
use crate::{Error, Result};

thread_local! {
    /// Whether the current future is run by [`block_on`].
    static MAY_BLOCK: Cell<bool> = const { Cell::new(false) };
}

/// Runs a future to completion on this thread, which may block.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let before = MAY_BLOCK.replace(true);
    let output = pollster::block_on(future);
    MAY_BLOCK.set(before);
    output
}

/// Runs long work: on this thread if it may block, else on a new thread that the future awaits.
///
/// Errors: those of `work`; the thread cannot be started.
pub(in crate::gpu) async fn apart<T: Send + 'static, F: Future<Output = Result<T>>>(
    work: impl FnOnce() -> F + Send + 'static,
) -> Result<T> {
    if MAY_BLOCK.get() {
        return block_on(work());
    }
    let (sender, receiver) = oneshot_channel();
    let failed = |reason: String| Error::Gpu { what: "a thread that waits for the device".into(), reason };
    let thread = std::thread::Builder::new().name("lenslet".into());
    thread
        .spawn(move || {
            // The receiver may have been dropped with its future.
            let _ = sender.send(block_on(work()));
        })
        .map_err(|error| failed(error.to_string()))?;
    receiver.receive().await.unwrap_or_else(|| Err(failed("it ended without a result".into())))
}

/// The results of `work` on each core, or on `tasks` threads if those are fewer.
pub(in crate::gpu) fn on_all_cores<T: Send>(tasks: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(tasks);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("a driver does not panic")).collect()
    })
}

/// A handle for waiting on submitted commands.
#[derive(Clone, Debug)]
pub struct Submission(wgpu::SubmissionIndex);

pub(super) fn submit(queue: &wgpu::Queue, commands: wgpu::CommandBuffer) -> Submission {
    Submission(queue.submit([commands]))
}

/// Waits for a submission and all before it; `None` waits for everything submitted.
pub(super) async fn settle(gpu: &Gpu, submission: Option<Submission>) -> Result<()> {
    let device = gpu.device().clone();
    let submission_index = submission.map(|submission| submission.0);
    let poll = move || match device.poll(wgpu::PollType::Wait { submission_index, timeout: None }) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::Gpu { what: "waiting for the device".into(), reason: error.to_string() }),
    };
    apart(|| async { poll() }).await
}

/// Whether a buffer can be mapped, as far as the device reports it immediately.
pub(super) fn can_map(device: &wgpu::Device, buffer: wgpu::Buffer) -> Ready<bool> {
    let (sender, receiver) = mpsc::channel();
    buffer.map_async(wgpu::MapMode::Read, .., move |mapped| _ = sender.send(mapped.is_ok()));
    // The error is returned here or was already returned above.
    let polled = device.poll(wgpu::PollType::Poll);
    ready(receiver.try_recv().unwrap_or(polled.is_ok()))
}
