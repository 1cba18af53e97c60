//! Training between the frames of an app: the time it takes in each frame.

use std::time::{Duration, Instant};

use crate::bench::images::images;
use crate::nn::{Model, Sequential};
use crate::optim::Optimizer;
use crate::train::FrameTrainer;
use crate::{Device, Error, Result, Trainer};

/// A network trained in slices on [`images`], next to a simulated app with a fixed frame rate.
pub struct Frames {
    trainer: FrameTrainer,
    period: Duration,
    /// Training time per frame.
    budget: Duration,
}

/// Times measured over several frames.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameTimes {
    /// Milliseconds per frame in [`FrameTrainer::train_for`], sorted.
    pub ms: Vec<f64>,
    /// Total number of completed training steps.
    pub steps: u64,
    /// Total number of submissions.
    pub submissions: usize,
    /// Wall time of all frames.
    pub wall: Duration,
}

impl FrameTimes {
    /// The percentile `share` (0 to 1) of the frame times, in milliseconds, by the nearest-rank method.
    pub fn percentile(&self, share: f64) -> f64 {
        let rank = (share * self.ms.len() as f64).ceil() as usize;
        self.ms[rank.clamp(1, self.ms.len()) - 1]
    }
}

impl Frames {
    /// Prepares the training.
    ///
    /// Errors: those of [`Trainer::in_frames`](crate::Trainer::in_frames); a frame rate of 0; a budget longer than a
    /// frame.
    pub fn new(
        device: &Device,
        model: &Sequential,
        optimizer: Box<dyn Optimizer>,
        batch: usize,
        rate: f64,
        budget: Duration,
    ) -> Result<Self> {
        let period = Duration::try_from_secs_f64(1.0 / rate).ok().filter(|period| !period.is_zero());
        let period = period.ok_or_else(|| Error::option("frames a second", "a number above 0", rate))?;
        if budget > period {
            let expected = format!("at most a frame, {:.1} ms", 1e3 * period.as_secs_f64());
            return Err(Error::option("budget", expected, format!("{:.1} ms", 1e3 * budget.as_secs_f64())));
        }
        let shape = model.input();
        let shape = <[usize; 3]>::try_from(&shape[..]).map_err(|_| Error::option("input", "images", &shape))?;
        let trainer = Trainer::boxed(device, model, optimizer)?.batch_size(batch);
        Ok(Self { trainer: trainer.in_frames(&images(shape, 10)?, u32::MAX)?, period, budget })
    }

    /// Runs empty frames for `length`. Each trains within its budget, then sleeps until the next frame is due.
    ///
    /// Errors: those of [`FrameTrainer::train_for`].
    pub fn run(&mut self, length: Duration) -> Result<FrameTimes> {
        let (start, before) = (Instant::now(), self.trainer.steps());
        let mut times = FrameTimes::default();
        let mut due = start;
        while start.elapsed() < length {
            let frame = Instant::now();
            times.submissions += self.trainer.train_for(self.budget)?.submissions;
            times.ms.push(1e3 * frame.elapsed().as_secs_f64());
            // A late frame does not shorten the next ones.
            due = (due + self.period).max(frame);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        times.ms.sort_by(f64::total_cmp);
        times.steps = self.trainer.steps() - before;
        times.wall = start.elapsed();
        Ok(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let times = FrameTimes { ms: (1..=200).map(f64::from).collect(), ..FrameTimes::default() };
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|share| times.percentile(share)), [1.0, 100.0, 198.0, 200.0]);
    }
}
