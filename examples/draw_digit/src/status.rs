//! Output of `--status`, for tests and for programs that control the window.

use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use std::{io, thread};

use eframe::egui::Rect;

/// The interval between lines.
const EVERY: Duration = Duration::from_secs(1);

/// Positions of elements in the window, in points.
pub struct Places {
    pub paper: Rect,
    pub clear: Rect,
    pub train: Rect,
    pub save: Rect,
    pub bars: Rect,
    pub layers: Rect,
}

impl Default for Places {
    fn default() -> Self {
        let none = Rect::ZERO;
        Self { paper: none, clear: none, train: none, save: none, bars: none, layers: none }
    }
}

/// Measured values, if available.
pub struct Figures {
    /// The most likely class and its probability.
    pub prediction: (usize, f32),
    pub training: bool,
    pub step: u64,
    pub loss: Option<f32>,
    pub accuracy: Option<f32>,
    pub images_per_second: Option<f64>,
    /// Mean and 99th percentile.
    pub frame_ms: Option<[f32; 2]>,
    pub message: String,
}

/// The time of the next line, and commands from standard input.
pub struct Status {
    next: Instant,
    lose: Receiver<()>,
}

impl Status {
    pub fn new() -> Self {
        let (sender, lose) = mpsc::channel();
        thread::spawn(move || {
            let lines = io::stdin().lines().map_while(io::Result::ok);
            lines.filter(|line| line == "lose").try_for_each(|_| sender.send(()))
        });
        Self { next: Instant::now(), lose }
    }

    /// Whether a line of standard input said `lose`, which destroys the device.
    pub fn is_to_lose(&self) -> bool {
        self.lose.try_recv().is_ok()
    }

    /// Whether a line is due.
    pub fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let due = now >= self.next;
        if due {
            self.next = now + EVERY;
        }
        due
    }

    /// The time until the next line.
    pub fn wait(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Prints a line. Positions are in pixels of the window: x, y, width, height.
    pub fn print(&self, figures: &Figures, places: &Places, pixels_per_point: f32) {
        let Figures { prediction: (class, probability), training, step, message, .. } = figures;
        let frame = figures.frame_ms;
        println!(
            "{{\"prediction\": {class}, \"probability\": {probability}, \"training\": {training}, \"step\": {step}, \
             \"loss\": {}, \"accuracy\": {}, \"images_per_s\": {}, \"frame_ms_mean\": {}, \"frame_ms_p99\": {}, \
             \"message\": {message:?}, \"places\": {{{}}}}}",
            number(figures.loss),
            number(figures.accuracy),
            number(figures.images_per_second),
            number(frame.map(|[mean, _]| mean)),
            number(frame.map(|[_, p99]| p99)),
            [
                ("paper", places.paper),
                ("clear", places.clear),
                ("train", places.train),
                ("save", places.save),
                ("bars", places.bars),
                ("layers", places.layers),
            ]
            .map(|(name, place)| {
                let [x, y, w, h] = [place.left(), place.top(), place.width(), place.height()]
                    .map(|points| (points * pixels_per_point).round());
                format!("\"{name}\": [{x}, {y}, {w}, {h}]")
            })
            .join(", "),
        );
    }
}

/// A number, or null if it is not finite.
fn number(value: Option<impl Into<f64>>) -> String {
    value.map(Into::into).filter(|v| v.is_finite()).map_or("null".into(), |v| v.to_string())
}
