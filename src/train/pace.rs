//! How much of a step fits a time: slices of launches, by how long they took before.

use std::ops::Range;
use std::time::Duration;

/// Slices of launches, in order.
pub(super) type Work = Vec<(usize, Range<u32>)>;

/// A place in a step: the next slice to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub launch: usize,
    pub slice: u32,
}

/// Most that one measurement raises an estimate by, and lowers it by: one that was disturbed does little harm, and to run
/// too long is worse than to run too short.
const RAISE: f64 = 4.0;
const LOWER: f64 = 0.7;

/// What each launch's slices take, learnt from what they took.
pub(super) struct Pace {
    slices: Vec<u32>,
    /// Seconds of a slice; `None` before its launch has run.
    seconds: Vec<Option<f64>>,
}

/// What to submit next.
#[derive(Debug, PartialEq)]
pub(super) struct Portion {
    /// For each step it touches, the slices to run.
    pub steps: Vec<Work>,
    /// Where it ends.
    pub end: Place,
    /// How many steps end in it.
    pub finished: usize,
    /// How long it should take, if its launches ran before.
    pub expected: Option<f64>,
}

impl Pace {
    /// For launches of so many slices each.
    pub fn new(slices: Vec<u32>) -> Self {
        let seconds = vec![None; slices.len()];
        Self { slices, seconds }
    }

    /// The slices from `start` on that fit `limit`, of at most `steps` steps. `at_least_one`: a slice is taken even if it
    /// does not fit, for else a long one would never run. A launch that never ran is tried with a single slice, alone.
    pub fn portion(&self, start: Place, steps: usize, limit: Duration, at_least_one: bool) -> Option<Portion> {
        let mut left = limit.as_secs_f64();
        let (mut place, mut finished, mut expected) = (start, 0, 0.0);
        let mut taken: Vec<Work> = vec![];
        let mut work: Work = vec![];
        while finished < steps {
            let Place { launch, slice } = place;
            let waiting = self.slices[launch] - slice;
            let is_first = taken.is_empty() && work.is_empty();
            let count = match self.seconds[launch] {
                None if is_first => 1,
                None => break,
                Some(each) => match (left / each) as u32 {
                    0 if is_first && at_least_one => 1,
                    0 => break,
                    fitting => fitting.min(waiting),
                },
            };
            work.push((launch, slice..slice + count));
            let seconds = self.seconds[launch].map(|each| each * f64::from(count));
            left -= seconds.unwrap_or(f64::INFINITY);
            expected += seconds.unwrap_or(f64::NAN);
            place.slice += count;
            if place.slice == self.slices[launch] {
                place = Place { launch: launch + 1, slice: 0 };
            }
            if place.launch == self.slices.len() {
                place.launch = 0;
                finished += 1;
                taken.push(std::mem::take(&mut work));
            }
        }
        if !work.is_empty() {
            taken.push(work);
        }
        let expected = (!expected.is_nan()).then_some(expected);
        (!taken.is_empty()).then_some(Portion { steps: taken, end: place, finished, expected })
    }

    /// Learns how long a portion took.
    pub fn learn(&mut self, portion: &Portion, took: Duration) {
        let took = took.as_secs_f64().max(1e-7);
        let all = || portion.steps.iter().flatten();
        let Some(expected) = portion.expected else {
            let slices: u32 = all().map(|(_, range)| range.len() as u32).sum();
            all().for_each(|(launch, _)| self.seconds[*launch] = Some(took / f64::from(slices)));
            return;
        };
        let factor = (took / expected).clamp(LOWER, RAISE);
        let mut launches: Vec<usize> = all().map(|(launch, _)| *launch).collect();
        launches.sort_unstable();
        launches.dedup();
        for launch in launches {
            self.seconds[launch] = self.seconds[launch].map(|each| each * factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A pace of three launches: 4 slices of 1 ms, one of 2 ms, 10 of 0.5 ms.
    fn known() -> Pace {
        Pace { slices: vec![4, 1, 10], seconds: vec![Some(1e-3), Some(2e-3), Some(0.5e-3)] }
    }

    #[test]
    fn a_portion_fits_the_time_and_the_next_goes_on_where_it_ended() {
        let pace = known();
        let mut place = Place::default();
        let mut steps = 0;
        let mut ran = [[0u32; 10]; 3];
        while steps < 3 {
            let portion = pace.portion(place, 3 - steps, 3 * MS, true).unwrap();
            assert!(portion.expected.unwrap() <= 3.0001e-3, "{portion:?}");
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
    fn a_launch_that_never_ran_is_tried_alone_and_what_it_took_is_learnt() {
        let mut pace = Pace::new(vec![4, 2]);
        let first = pace.portion(Place::default(), 1, 10 * MS, false).unwrap();
        assert_eq!((&first.steps[..], first.expected), (&[vec![(0, 0..1)]][..], None));
        pace.learn(&first, MS);
        let second = pace.portion(first.end, 1, 10 * MS, false).unwrap();
        assert_eq!(second.steps, [vec![(0, 1..4)]], "up to the launch that is not known");
        pace.learn(&second, 6 * MS);
        assert_eq!(pace.seconds, [Some(2e-3), None]);
        // A measurement far off changes the estimate in bounds.
        let third = pace.portion(Place::default(), 1, 2 * MS, false).unwrap();
        pace.learn(&third, 1000 * MS);
        assert_eq!(pace.seconds[0], Some(8e-3));
        pace.learn(&pace.portion(Place::default(), 1, 8 * MS, false).unwrap(), Duration::ZERO);
        assert!((pace.seconds[0].unwrap() - 5.6e-3).abs() < 1e-9);
    }
}
