//! Logs for TensorBoard.
//!
//! An event file is a list of records, each a length, its checksum, a protobuf message and its checksum
//! (`tensorflow/core/lib/io/record_writer.h`); the messages are `Event`s with scalar summaries
//! (`tensorflow/core/util/event.proto`).

use std::fs::{self, File};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crc::{CRC_32_ISCSI, Crc};

use crate::runs::log::{LogLine, Window};
use crate::train::Event;
use crate::train::callbacks::Callback;
use crate::{Error, Result};

const CASTAGNOLI: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// TensorBoard log: `loss`, `accuracy`, `learning_rate` and `images_per_s` every 50 steps, `validation/loss` and
/// `validation/accuracy` every epoch, all by step.
#[derive(Debug)]
pub struct TensorBoard {
    path: PathBuf,
    file: File,
    window: Window,
}

impl TensorBoard {
    /// Creates an event file in `folder`, which is created if there is none. `tensorboard --logdir FOLDER` shows it; a
    /// resumed run adds a second file.
    ///
    /// Errors: the file cannot be written.
    pub fn create(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        let path = folder.join(format!("events.out.tfevents.{:.6}.lenslet", now()));
        let file = File::create(&path).map_err(Error::io(&path, "create"))?;
        let mut board = Self { path, file, window: Window::default() };
        board.write(&message(|event| bytes(event, 3, b"brain.Event:2"), 0))?;
        Ok(board)
    }

    fn write(&mut self, message: &[u8]) -> Result<()> {
        let length = (message.len() as u64).to_le_bytes();
        let record = [&length[..], &masked(&length), message, &masked(message)].concat();
        self.file.write_all(&record).map_err(Error::io(&self.path, "write"))
    }

    fn scalars(&mut self, step: u64, scalars: &[(&str, Option<f64>)]) -> Result<()> {
        let summary = |summary: &mut Vec<u8>| {
            for (tag, value) in scalars.iter().filter_map(|(tag, value)| Some((tag, (*value)?))) {
                let mut one = vec![];
                bytes(&mut one, 1, tag.as_bytes());
                one.push(2 << 3 | 5);
                one.extend((value as f32).to_le_bytes());
                bytes(summary, 1, &one);
            }
        };
        let mut all = vec![];
        summary(&mut all);
        self.write(&message(|event| bytes(event, 5, &all), step))
    }
}

impl Callback for TensorBoard {
    fn on_event(&mut self, event: &Event) -> Result<ControlFlow<()>> {
        for line in self.window.lines(event) {
            match line {
                LogLine::Step { step, loss, accuracy, images_per_s, learning_rate, .. } => {
                    let rate = f64::from(learning_rate);
                    let values = [("loss", loss), ("accuracy", accuracy), ("learning_rate", rate)];
                    let all = values.into_iter().chain([("images_per_s", images_per_s)]);
                    self.scalars(step, &all.map(|(tag, value)| (tag, Some(value))).collect::<Vec<_>>())?;
                }
                LogLine::Epoch { step, validation_loss, validation_accuracy, .. } => {
                    let values = [("validation/loss", validation_loss), ("validation/accuracy", validation_accuracy)];
                    self.scalars(step, &values)?;
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// An `Event` with the current time.
fn message(content: impl FnOnce(&mut Vec<u8>), step: u64) -> Vec<u8> {
    let mut event = vec![1 << 3 | 1];
    event.extend(now().to_le_bytes());
    event.push(2 << 3);
    variable(&mut event, step);
    content(&mut event);
    event
}

/// A length-delimited field: bytes, text or a message.
fn bytes(out: &mut Vec<u8>, field: u8, content: &[u8]) {
    out.push(field << 3 | 2);
    variable(out, content.len() as u64);
    out.extend(content);
}

/// A number as a varint: groups of seven bits, the lowest first.
fn variable(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn masked(data: &[u8]) -> [u8; 4] {
    CASTAGNOLI.checksum(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}
