//! Sets that do not fit on the device: a window of pictures lies there, and moves along the order of the steps.
//!
//! A window holds the pictures of so many whole batches, in order. While the device computes with one, a thread gathers
//! those of the next; the queue writes them after all steps submitted before, so that nothing waits for the device. The
//! steps see the same pictures in the same rows as of a set that lies there whole.

use std::ops::Range;
use std::thread;

use futures_intrusive::channel::shared::{Receiver, Sender, channel};

use crate::data::{Dataset, Spec};
use crate::device::{Device, Session};
use crate::gpu::block_on;
use crate::infer::batches::Batches;
use crate::ops::IGNORE;
use crate::{Error, Result};

/// Bytes of pictures that lie on the device unless told otherwise, if one binding can be as large.
const MOST_RESIDENT: u64 = 1 << 30;

/// Bytes of a window: enough for several submissions of a small network, and little beside what a device has.
const WINDOW: u64 = 16 << 20;

/// Windows that wait for the device, beside the one that is being gathered.
const WAITING: usize = 1;

/// What a step needs to know of a set of which at most so many bytes lie on the device: of all of it, or of a window.
pub(crate) fn spec(device: &Device, data: &Dataset, batch: usize, most: Option<u64>) -> Spec {
    let binding = match device {
        Device::Gpu(gpu) => gpu.limits().max_storage_buffer_binding_size,
        Device::Cpu => u64::MAX,
    };
    let most = most.unwrap_or(MOST_RESIDENT).min(binding);
    let spec = data.spec();
    if data.images.len() as u64 <= most || batch == 0 {
        return spec;
    }
    let batches = (WINDOW.min(most) / (batch * data.image_len()) as u64).max(1) as usize;
    Spec { len: (batches * batch).min(spec.len.next_multiple_of(batch)), ..spec }
}

/// A set whose pictures come window by window.
pub(crate) struct Stream {
    data: Dataset,
    /// Pictures of a window, in whole batches.
    window: usize,
}

/// The pictures and labels of a window.
struct Content {
    pictures: Vec<u8>,
    labels: Vec<u8>,
}

impl Stream {
    /// Of a set for a step that has room for so many pictures; `None`, and the set is written, if that is all.
    pub fn of(session: &mut Session, batches: &Batches, data: &Dataset, room: usize) -> Result<Option<Self>> {
        if room != data.len() {
            return Ok(Some(Self { data: data.clone(), window: room }));
        }
        session.write(batches.pictures, &*data.bytes()?)?;
        session.write(batches.labels, data.labels.as_slice())?;
        Ok(None)
    }

    /// Where in its window each row finds its picture; rows that count for nothing have none in `order`, and may have one
    /// in `shown`.
    pub fn places(&self, order: &[u32]) -> Vec<u32> {
        let place = |(at, &picture): (usize, &u32)| if picture == IGNORE { IGNORE } else { (at % self.window) as u32 };
        order.iter().enumerate().map(place).collect()
    }

    /// Begins to gather the windows for a range of steps, whose rows show these pictures.
    ///
    /// Errors: no thread can be had, as in a browser's page.
    pub fn begin(&self, shown: Vec<u32>, batch: usize, steps: Range<usize>) -> Result<Windows> {
        let (sender, receiver) = channel(WAITING);
        let (give_back, used) = channel(WAITING + 2);
        let (data, window, begin) = (self.data.clone(), self.window, steps.start);
        let gather = move || {
            let first = steps.start * batch / window;
            for at in first..(steps.end * batch).div_ceil(window) {
                let rows = &shown[at * window..shown.len().min((at + 1) * window)];
                let content = gather(&data, rows, window, used.try_receive().ok());
                let failed = content.is_err();
                // Nobody waits any more: the training has ended.
                let sent = async { sender.send(content).await.map_err(|_| gone()) };
                if block_on(sent).is_err() || failed {
                    break;
                }
            }
        };
        thread::Builder::new().spawn(gather).map_err(|error| Error::Gpu {
            what: format!("a set of {} pictures, more than lie on the device at once", self.data.len()),
            reason: format!("needs a thread that gathers them: {error}"),
        })?;
        Ok(Windows { receiver, give_back, steps: self.window / batch, end: begin })
    }
}

/// The windows of a range of steps, as they come.
pub(crate) struct Windows {
    receiver: Receiver<Result<Content>>,
    give_back: Sender<Content>,
    /// Steps of a whole window.
    steps: usize,
    /// The step for which the next is needed.
    end: usize,
}

impl Windows {
    /// Puts what step `next` needs on the device, after the steps submitted before; returns how many steps find theirs
    /// there.
    ///
    /// Errors: the pictures cannot be read.
    pub async fn follow(&mut self, session: &mut Session, batches: &Batches, next: usize) -> Result<usize> {
        if next == self.end {
            let content = self.receiver.receive().await.ok_or_else(gone)??;
            session.write(batches.pictures, content.pictures.as_slice())?;
            session.write(batches.labels, content.labels.as_slice())?;
            // Its memory, for another; none if the last is being gathered already.
            let _ = self.give_back.try_send(content);
            self.end = (next / self.steps + 1) * self.steps;
        }
        Ok(self.end - next)
    }
}

fn gone() -> Error {
    Error::Gpu { what: "gathering pictures".into(), reason: "the other side has ended".into() }
}

/// The pictures and labels of `rows`, in a window's memory; nothing in rows without a picture.
fn gather(data: &Dataset, rows: &[u32], window: usize, memory: Option<Content>) -> Result<Content> {
    let empty = || Content { pictures: vec![0; window * data.image_len()], labels: vec![0; window] };
    let mut content = memory.unwrap_or_else(empty);
    let pictures: Vec<u32> = rows.iter().copied().take_while(|&picture| picture != IGNORE).collect();
    data.read(&pictures, &mut content.pictures[..pictures.len() * data.image_len()])?;
    content.labels.iter_mut().zip(&pictures).for_each(|(label, &i)| *label = data.labels[i as usize]);
    Ok(content)
}
