//! Estimates of how much of a step fits a time budget, from measured times of slices.

use std::ops::Range;
use std::time::Duration;

/// Slices of launches, in order.
pub(in crate::train::loops) type Work = Vec<(usize, Range<u32>)>;

/// Place in a step: the next slice to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::train::loops) struct Place {
    pub launch: usize,
    pub slice: u32,
}

/// Bounds of the change of an estimate by one measurement, so that an outlier does little harm. An estimate rises faster
/// than it falls, as a late frame is worse than a short one.
const RAISE: f64 = 2.0;
const LOWER: f64 = 0.8;

/// Measured times of a whole launch and of one of its slices alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::train::loops) struct Timing {
    pub whole: Duration,
    pub alone: Duration,
}

/// Estimated time of each launch's slices.
pub(in crate::train::loops) struct Pace {
    slices: Vec<u32>,
    /// Slices of each launch that the device runs at once: fewer take as long.
    grains: Vec<u32>,
    /// Seconds per grain.
    seconds: Vec<f64>,
}

/// The next submission.
#[derive(Debug, PartialEq)]
pub(in crate::train::loops) struct Portion {
    /// Slices to run, step by step.
    pub steps: Vec<Work>,
    /// Where it ends.
    pub end: Place,
    /// Number of steps that end in it.
    pub finished: usize,
    /// Estimated seconds.
    pub expected: f64,
}

impl Pace {
    /// Estimates for launches with the given numbers of slices, from measured times.
    pub fn new(slices: Vec<u32>, launches: &[Timing]) -> Self {
        let one_by_one = |timing: &Timing| seconds_of(timing.whole) / seconds_of(timing.alone);
        let grain = |(&slices, timing): (&u32, &Timing)| slices.div_ceil((one_by_one(timing).round() as u32).max(1));
        let grains: Vec<u32> = slices.iter().zip(launches).map(grain).collect();
        let parts = slices.iter().zip(&grains).map(|(slices, grain)| f64::from(slices.div_ceil(*grain)));
        let seconds = parts.zip(launches).map(|(parts, timing)| seconds_of(timing.whole) / parts).collect();
        Self { slices, grains, seconds }
    }

    /// The grains from `start` on that fit `limit`, of at most `steps` steps. With `at_least_one` one grain is taken even if
    /// it does not fit, as a long one would never run otherwise.
    pub fn portion(&self, start: Place, steps: usize, limit: Duration, at_least_one: bool) -> Option<Portion> {
        let limit = limit.as_secs_f64();
        let (mut end, mut finished, mut expected) = (start, 0, 0.0);
        let mut taken: Vec<Work> = vec![];
        let mut work: Work = vec![];
        while finished < steps {
            let Place { launch, slice } = end;
            let (each, grain, left) = (self.seconds[launch], self.grains[launch], self.slices[launch] - slice);
            let grains = match ((limit - expected) / each) as u32 {
                0 if at_least_one && taken.is_empty() && work.is_empty() => 1,
                0 => break,
                fitting => fitting.min(left.div_ceil(grain)),
            };
            let count = grains.saturating_mul(grain).min(left);
            work.push((launch, slice..slice + count));
            expected += each * f64::from(grains);
            end.slice += count;
            if end.slice == self.slices[launch] {
                end = Place { launch: launch + 1, slice: 0 };
            }
            if end.launch == self.slices.len() {
                end.launch = 0;
                finished += 1;
                taken.push(std::mem::take(&mut work));
            }
        }
        if !work.is_empty() {
            taken.push(work);
        }
        (!taken.is_empty()).then_some(Portion { steps: taken, end, finished, expected })
    }

    /// Updates the estimates by the measured time of a portion.
    pub fn update(&mut self, portion: &Portion, took: Duration) {
        let factor = (seconds_of(took) / portion.expected).clamp(LOWER, RAISE);
        let mut launches: Vec<usize> = portion.steps.iter().flatten().map(|(launch, _)| *launch).collect();
        launches.sort_unstable();
        launches.dedup();
        launches.into_iter().for_each(|launch| self.seconds[launch] *= factor);
    }
}

/// Seconds, never 0, which would fit any number of times.
fn seconds_of(time: Duration) -> f64 {
    time.as_secs_f64().max(1e-7)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A pace of three launches: 4 slices of 1 ms, one of 2 ms, 10 of 0.5 ms.
    fn known() -> Pace {
        let timing = |(whole, alone)| Timing { whole, alone };
        Pace::new(vec![4, 1, 10], &[(4 * MS, MS), (2 * MS, 2 * MS), (5 * MS, MS / 2)].map(timing))
    }

    #[test]
    fn a_portion_fits_the_time_and_the_next_goes_on_where_it_ended() {
        let pace = known();
        let mut place = Place::default();
        let mut steps = 0;
        let mut ran = [[0u32; 10]; 3];
        while steps < 3 {
            let portion = pace.portion(place, 3 - steps, 3 * MS, true).unwrap();
            assert!(portion.expected <= 3.0001e-3, "{portion:?}");
            for (launch, range) in portion.steps.iter().flatten() {
                range.clone().for_each(|slice| ran[*launch][slice as usize] += 1);
            }
            (place, steps) = (portion.end, steps + portion.finished);
        }
        assert_eq!(place, Place::default());
        assert_eq!((&ran[0][..4], &ran[1][..1], &ran[2][..]), (&[3; 4][..], &[3][..], &[3; 10][..]));
    }

    #[test]
    fn many_steps_fit_a_long_time_and_none_a_short_one() {
        let pace = known();
        let portion = pace.portion(Place::default(), 5, 1000 * MS, false).unwrap();
        assert_eq!((portion.finished, portion.steps.len(), portion.end), (5, 5, Place::default()));
        assert_eq!(pace.portion(Place::default(), 5, MS / 2, false), None);
        let one = pace.portion(Place::default(), 5, MS / 2, true).unwrap();
        assert_eq!(one.steps, [vec![(0, 0..1)]]);
        assert_eq!(pace.portion(Place::default(), 0, MS, true), None);
    }

    #[test]
    fn what_a_portion_took_changes_what_fits_the_next_in_bounds() {
        let mut pace = known();
        let slices = |pace: &Pace| pace.portion(Place::default(), 1, 2 * MS, true).unwrap().steps[0][0].1.len();
        let update = |pace: &mut Pace, took: Duration| {
            let portion = pace.portion(Place::default(), 1, 2 * MS, true).unwrap();
            pace.update(&portion, took);
        };
        assert_eq!(slices(&pace), 2);
        // A measurement far off counts for twice the time, one slice then.
        update(&mut pace, 1000 * MS);
        assert_eq!(slices(&pace), 1);
        (0..8).for_each(|_| update(&mut pace, Duration::ZERO));
        assert_eq!(slices(&pace), 4);
        assert!((pace.seconds[0] - 2e-3 * LOWER.powi(8)).abs() < 1e-9);
        assert_eq!(pace.seconds[2], 0.5e-3, "what did not run stays");
    }

    #[test]
    fn slices_that_take_as_long_alone_as_together_run_together() {
        // A device that runs 100 of 256 slices in 2 ms, as it does one; and one that runs all of them.
        for (side_by_side, grain) in [(100, 86), (300, 256)] {
            let took = |slices: usize| 2 * MS * slices.div_ceil(side_by_side) as u32;
            let pace = Pace::new(vec![256], &[Timing { whole: took(256), alone: took(1) }]);
            let slices = |limit, must_run| {
                pace.portion(Place::default(), 1, limit, must_run).map(|portion| portion.steps[0][0].1.len())
            };
            assert_eq!(slices(3 * MS / 2, false), None, "one would take longer");
            assert_eq!(slices(3 * MS / 2, true), Some(grain));
            assert_eq!(slices(5 * MS, false), Some((2 * grain).min(256)));
        }
    }
}
