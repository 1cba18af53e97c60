//! Training between the frames of an app: how long each frame waits for it.

use std::time::{Duration, Instant};

use crate::bench::pictures::pictures;
use crate::nn::{Model, Sequential};
use crate::optim::Optimizer;
use crate::train::FrameTrainer;
use crate::{Device, Error, Result, Trainer};

/// A network in training on [`pictures`], in slices, beside an app that draws so many frames a second.
pub struct Frames {
    trainer: FrameTrainer,
    period: Duration,
    /// A frame's time for training.
    budget: Duration,
}

/// What some frames took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameTimes {
    /// Of each frame, the milliseconds in [`FrameTrainer::train_for`], sorted.
    pub ms: Vec<f64>,
    /// Whole steps of training in all.
    pub steps: u64,
    /// Submissions in all.
    pub submissions: usize,
    /// Wall time of all frames.
    pub wall: Duration,
}

impl FrameTimes {
    /// The time that this share of the frames stayed below or at, in milliseconds: by the nearest rank.
    pub fn percentile(&self, share: f64) -> f64 {
        let rank = (share * self.ms.len() as f64).ceil() as usize;
        self.ms[rank.clamp(1, self.ms.len()) - 1]
    }
}

impl Frames {
    /// Prepares the training.
    ///
    /// Errors: those of [`Trainer::in_frames`](crate::Trainer::in_frames); no frames, or a budget longer than a frame.
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
        let shape = <[usize; 3]>::try_from(&shape[..]).map_err(|_| Error::option("input", "pictures", &shape))?;
        let trainer = Trainer::boxed(device, model, optimizer)?.batch_size(batch);
        Ok(Self { trainer: trainer.in_frames(&pictures(shape, 10)?, u32::MAX)?, period, budget })
    }

    /// Draws frames, of nothing, for so long; each trains within its budget and then sleeps until the next is due.
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
            // A frame that comes late does not hurry the next ones.
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
