//! Streaming of sets that do not fit on the device: it holds a window that moves along the order of the steps.
//!
//! A window holds the images of a number of whole batches, in order. While the device computes with one, a thread gathers
//! the next; the queue writes it after all steps submitted before, so that nothing waits for the device. The steps see the
//! same images in the same rows as of a resident set.

use std::ops::Range;
use std::thread;

use futures_intrusive::channel::shared::{Receiver, Sender, channel};

use crate::data::{Dataset, Spec};
use crate::device::{Device, Session};
use crate::gpu::block_on;
use crate::infer::batches::Batches;
use crate::ops::IGNORE;
use crate::{Error, Result};

/// Default device memory for images in bytes, if one binding can be as large.
const MOST_RESIDENT: u64 = 1 << 30;

/// Bytes of a window: enough for several submissions of a small network, and small beside the memory of a device.
const WINDOW: u64 = 16 << 20;

/// Gathered windows that wait for the device, beside the one being gathered.
const WAITING: usize = 1;

/// The [`Spec`] of the resident part of a data set, of at most `most` bytes: all of it, or one streaming window.
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

/// A streamed data set.
pub(crate) struct Stream {
    data: Dataset,
    /// Images of a window, in whole batches.
    window: usize,
}

/// Images and labels of a window.
struct Content {
    images: Vec<u8>,
    labels: Vec<u8>,
}

impl Stream {
    /// The stream of a set for a step that holds `room` images. If that is the whole set, it is written to the device, and
    /// there is no stream.
    ///
    /// Errors: the images cannot be read.
    pub fn of(session: &mut Session, batches: &Batches, data: &Dataset, room: usize) -> Result<Option<Self>> {
        if room != data.len() {
            return Ok(Some(Self { data: data.clone(), window: room }));
        }
        session.write(batches.images, &*data.bytes()?)?;
        session.write(batches.labels, data.labels.as_slice())?;
        Ok(None)
    }

    /// Index of each row's image in its window; padded rows have none in `order`, but may have one in `shown`.
    pub fn places(&self, order: &[u32]) -> Vec<u32> {
        let place = |(at, &image): (usize, &u32)| if image == IGNORE { IGNORE } else { (at % self.window) as u32 };
        order.iter().enumerate().map(place).collect()
    }

    /// Starts gathering the windows of a range of steps, whose rows hold the images `shown`.
    ///
    /// Errors: no thread can be started, as in a browser's page.
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
                // The receiver is gone when the training has ended.
                let sent = async { sender.send(content).await.map_err(|_| gone()) };
                if block_on(sent).is_err() || failed {
                    break;
                }
            }
        };
        thread::Builder::new().spawn(gather).map_err(|error| Error::Gpu {
            what: format!("streaming a set of {} images", self.data.len()),
            reason: format!("needs a thread that gathers them: {error}"),
        })?;
        Ok(Windows { receiver, give_back, steps: self.window / batch, end: begin })
    }
}

/// The windows of a range of steps, in order.
pub(crate) struct Windows {
    receiver: Receiver<Result<Content>>,
    give_back: Sender<Content>,
    /// Steps of a whole window.
    steps: usize,
    /// The step that needs the next window.
    end: usize,
}

impl Windows {
    /// Writes the window of step `next` to the device, after the steps submitted before; returns for how many steps it
    /// holds the images.
    ///
    /// Errors: the images cannot be read.
    pub async fn follow(&mut self, session: &mut Session, batches: &Batches, next: usize) -> Result<usize> {
        if next == self.end {
            let content = self.receiver.receive().await.ok_or_else(gone)??;
            session.write(batches.images, content.images.as_slice())?;
            session.write(batches.labels, content.labels.as_slice())?;
            // Its memory is reused, unless the last window is being gathered already.
            let _ = self.give_back.try_send(content);
            self.end = (next / self.steps + 1) * self.steps;
        }
        Ok(self.end - next)
    }
}

fn gone() -> Error {
    Error::Gpu { what: "gathering images".into(), reason: "the other thread has ended".into() }
}

/// Images and labels of `rows`, in the memory of a window; padded rows stay as they are.
fn gather(data: &Dataset, rows: &[u32], window: usize, memory: Option<Content>) -> Result<Content> {
    let empty = || Content { images: vec![0; window * data.image_len()], labels: vec![0; window] };
    let mut content = memory.unwrap_or_else(empty);
    let images: Vec<u32> = rows.iter().copied().take_while(|&image| image != IGNORE).collect();
    data.read(&images, &mut content.images[..images.len() * data.image_len()])?;
    content.labels.iter_mut().zip(&images).for_each(|(label, &i)| *label = data.labels[i as usize]);
    Ok(content)
}
