//! Benchmarks: whole training steps, training between frames, inference, and single kernels. All results are compared
//! with the reference before they are timed.
//!
//! Times are wall times up to the completion of the work. Host times are processor times of the thread that feeds the
//! device, so that they exclude the work of a software device.

mod frames;
mod inference;
mod kernels;
mod peak;

mod images;
mod training;
mod tune;

use std::time::{Duration, Instant};

pub use frames::{FrameTimes, Frames};
pub use images::{IMAGES, images, parameters};
pub use inference::Inference;
pub use kernels::{Bench, KernelTime, Ready, cases};
pub use peak::{Peak, peak_cases};
pub use training::{DispatchTime, Profile, Stretch, Training};
pub use tune::{Race, Runner, StepTimes, race, tune};

/// Setup times of a benchmark.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Preparation {
    /// Compiling the graph and pipelines, and allocating buffers.
    pub pipelines: Duration,
    /// Generating images and initial parameters, and uploading them.
    pub data: Duration,
}

impl Preparation {
    /// Setup times, where everything began at `start` and ends now, and pipelines took the interval `pipelines`.
    fn of(start: Instant, pipelines: [Instant; 2]) -> Self {
        let pipelines = pipelines[1] - pipelines[0];
        Self { pipelines, data: start.elapsed() - pipelines }
    }
}

/// The minimum, median and maximum of repeated measurements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The minimum.
    pub min: f64,
    /// The median: the middle value, or the mean of the two in the middle.
    pub median: f64,
    /// The maximum.
    pub max: f64,
}

impl Spread {
    /// The spread of at least one value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (n, middle) = (values.len(), values.len() / 2);
        let median = if n % 2 == 1 { values[middle] } else { values[middle - 1].midpoint(values[middle]) };
        Self { min: values[0], median, max: values[n - 1] }
    }

    /// The spread of durations, in milliseconds.
    pub fn of_ms(durations: impl IntoIterator<Item = Duration>) -> Self {
        Self::of(durations.into_iter().map(|d| 1e3 * d.as_secs_f64()))
    }

    /// The spread of `of / value`: rates from times. The minimum becomes the maximum.
    pub fn per(self, of: f64) -> Self {
        Self { min: of / self.max, median: of / self.median, max: of / self.min }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_ordered() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { min: 1.0, median: 2.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0]).median, 2.5);
        assert_eq!(Spread::of([4.0, 1.0, 2.0]).per(8.0), Spread { min: 2.0, median: 4.0, max: 8.0 });
    }
}
