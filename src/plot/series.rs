//! Curves of the values in a training log.

use crate::runs::LogLine;

/// Pairs of step and value.
pub type Points = Vec<[f64; 2]>;

/// Training curves over steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// Mean cross-entropy in training and validation.
    pub loss: [Points; 2],
    /// Accuracy in % in training and validation.
    pub accuracy: [Points; 2],
    /// The learning rate.
    pub rate: Points,
    /// Completed epochs: their numbers and last steps.
    pub epochs: Vec<(u32, u64)>,
    /// The last loss and accuracy of training and validation. For training it is the mean over the last complete epoch,
    /// if there is one.
    pub last: [Option<[f64; 2]>; 2],
    /// Number of completed steps.
    pub steps: u64,
}

/// Maximum points per curve; more points would only add noise.
const MOST_POINTS: usize = 500;

impl Curves {
    /// The curves of a log. Training has one point per logged interval of steps, averaged over several if there are too
    /// many; without logged intervals, one per epoch. Values that are not finite are omitted.
    pub fn of(log: &[LogLine]) -> Self {
        let mut curves = Self { steps: log.iter().map(LogLine::step).max().unwrap_or(0), ..Self::default() };
        let mut means: [Points; 2] = Default::default();
        let mut last_step = None;
        for line in log {
            match line {
                LogLine::Step { step, loss, accuracy, learning_rate, .. } => {
                    let at = *step as f64;
                    curves.loss[0].push([at, *loss]);
                    curves.accuracy[0].push([at, 100.0 * accuracy]);
                    curves.rate.push([at, (*learning_rate).into()]);
                    last_step = Some([*loss, 100.0 * accuracy]);
                }
                LogLine::Epoch { epoch, step, loss, accuracy, learning_rate, .. } => {
                    let at = *step as f64;
                    means[0].push([at, *loss]);
                    means[1].push([at, 100.0 * accuracy]);
                    curves.epochs.push((*epoch, *step));
                    curves.last[0] = Some([*loss, 100.0 * accuracy]);
                    if curves.rate.last().is_none_or(|[before, _]| *before < at) {
                        curves.rate.push([at, (*learning_rate).into()]);
                    }
                    if let LogLine::Epoch { validation_loss: Some(loss), validation_accuracy: Some(share), .. } = line {
                        curves.loss[1].push([at, *loss]);
                        curves.accuracy[1].push([at, 100.0 * share]);
                        curves.last[1] = Some([*loss, 100.0 * share]);
                    }
                }
            }
        }
        curves.last[0] = curves.last[0].or(last_step);
        let [loss, accuracy] = means;
        for (points, means) in [(&mut curves.loss[0], loss), (&mut curves.accuracy[0], accuracy)] {
            *points = thinned(if points.is_empty() { means } else { std::mem::take(points) });
        }
        curves.rate = thinned(std::mem::take(&mut curves.rate));
        let held_out = curves.loss[1..].iter_mut().chain(&mut curves.accuracy[1..]);
        held_out.for_each(|points| points.retain(|[_, v]| v.is_finite()));
        curves
    }
}

/// Averages groups of adjacent points.
fn thinned(points: Points) -> Points {
    let finite = || points.iter().copied().filter(|[_, v]| v.is_finite()).collect::<Points>();
    let points = finite();
    let several = points.len().div_ceil(MOST_POINTS).max(1);
    let mean = |part: &[[f64; 2]]| [0, 1].map(|i| part.iter().map(|point| point[i]).sum::<f64>() / part.len() as f64);
    points.chunks(several).map(mean).collect()
}

/// At most `most` round numbers in a range, and the number of decimals that distinguishes them.
pub fn ticks([from, to]: [f64; 2], most: usize) -> (Vec<f64>, usize) {
    let span = to - from;
    if !(span > 0.0 && span.is_finite()) {
        return (vec![from], 2);
    }
    let least = span / most.max(1) as f64;
    let power = 10f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= least * 0.999);
    let step = step.unwrap_or(least);
    let digits = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
    let slack = 1e-9 * span;
    let first = ((from - slack) / step).ceil() as i64;
    let all = (first..).map(|i| i as f64 * step).take_while(|v| *v <= to + slack);
    (all.take(64).collect(), digits)
}

/// Round numbers in a range of base-10 logarithms, with their labels.
pub fn decades([from, to]: [f64; 2], most: usize) -> Vec<(f64, String)> {
    let of = |factors: &'static [f64]| {
        let powers = from.floor() as i32..=to.ceil() as i32;
        let all = powers.flat_map(move |power| factors.iter().map(move |factor| (*factor, power)));
        let placed = all.map(|(factor, power)| (factor.log10() + f64::from(power), factor, power));
        placed.filter(|(at, ..)| (from - 1e-9..=to + 1e-9).contains(at)).collect::<Vec<_>>()
    };
    let [dense, sparse] = [&[1.0, 2.0, 5.0][..], &[1.0]].map(of);
    let text = |factor: f64, power: i32| match power {
        -4..=-1 => format!("{:.*}", -power as usize, factor * 10f64.powi(power)),
        0..=3 => format!("{}", factor * 10f64.powi(power)),
        _ => format!("{factor}e{power}"),
    };
    let chosen = if dense.len() <= most { dense } else { sparse };
    let every = chosen.len().div_ceil(most.max(1)).max(1);
    chosen.into_iter().step_by(every).map(|(at, factor, power)| (at, text(factor, power))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(ticks([0.0, 2580.0], 6), (vec![0.0, 500.0, 1000.0, 1500.0, 2000.0, 2500.0], 0));
        assert_eq!(ticks([96.5, 100.0], 5).0, [97.0, 98.0, 99.0, 100.0]);
        assert_eq!(ticks([0.0, 0.05], 3).1, 2);
        assert_eq!(ticks([1.0, 1.0], 3).0, [1.0]);
        for span in [1e-12, 1e-3, 7.0, 1e15] {
            let (found, _) = ticks([-span, span], 5);
            assert!(
                (1..=6).contains(&found.len()) && found.iter().all(|v| v.abs() <= 1.001 * span),
                "{span}: {found:?}"
            );
        }
        let texts: Vec<String> = decades([-1.8, 0.4], 8).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]);
        assert_eq!(decades([-7.0, 5.0], 7)[0].1, "1e-7");
    }
}
