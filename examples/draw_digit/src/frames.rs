//! Frame times and training curves.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Number of frames for statistics: a few seconds.
const FRAMES: usize = 240;
/// Maximum points per curve; adjacent points are merged beyond it.
const POINTS: usize = 400;

/// The latest frame times.
#[derive(Default)]
pub struct Frames {
    last: Option<Instant>,
    times: VecDeque<f32>,
}

impl Frames {
    /// Starts a frame. The time since the last one counts only if frames follow each other: an idle window paints none.
    pub fn begin(&mut self, follows: bool) {
        let now = Instant::now();
        if let Some(last) = self.last.replace(now).filter(|_| follows) {
            self.times.push_back(1e3 * (now - last).as_secs_f32());
            if self.times.len() > FRAMES {
                self.times.pop_front();
            }
        }
    }

    /// The duration of the last frame.
    pub fn last(&self) -> Duration {
        Duration::from_secs_f32(self.times.back().map_or(0.0, |ms| 1e-3 * ms))
    }

    /// Mean and 99th percentile in milliseconds, if there are any frames.
    pub fn figures(&self) -> Option<[f32; 2]> {
        let mut sorted: Vec<f32> = self.times.iter().copied().collect();
        sorted.sort_by(f32::total_cmp);
        let at = (sorted.len() * 99).div_ceil(100).checked_sub(1)?;
        Some([sorted.iter().sum::<f32>() / sorted.len() as f32, sorted[at]])
    }
}

/// Values over the steps of a run. Adjacent points are merged in pairs when there are too many to draw.
pub struct Curve {
    points: Vec<f32>,
    /// Number of values per point.
    joined: usize,
    sum: f32,
    count: usize,
}

impl Default for Curve {
    fn default() -> Self {
        Self { points: vec![], joined: 1, sum: 0.0, count: 0 }
    }
}

impl Curve {
    pub fn push(&mut self, value: f32) {
        self.sum += value;
        self.count += 1;
        if self.count == self.joined {
            self.points.push(self.sum / self.count as f32);
            (self.sum, self.count) = (0.0, 0);
        }
        if self.points.len() >= POINTS {
            self.points = self.points.chunks(2).map(|pair| pair.iter().sum::<f32>() / pair.len() as f32).collect();
            self.joined *= 2;
        }
    }

    pub fn points(&self) -> &[f32] {
        &self.points
    }
}

/// Images per second, averaged over about a second.
#[derive(Default)]
pub struct Rate {
    marks: VecDeque<(Instant, f64)>,
}

impl Rate {
    /// Records the total number of training images so far.
    pub fn mark(&mut self, images: f64) {
        let now = Instant::now();
        self.marks.push_back((now, images));
        while self.marks.front().is_some_and(|(then, _)| now - *then > Duration::from_secs(1)) {
            self.marks.pop_front();
        }
    }

    pub fn per_second(&self) -> Option<f64> {
        let (&(first, from), &(last, to)) = (self.marks.front()?, self.marks.back()?);
        let seconds = (last - first).as_secs_f64();
        (seconds > 0.1).then(|| (to - from) / seconds)
    }
}
