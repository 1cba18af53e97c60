//! Training curves: loss, accuracy and learning rate over steps and epochs.

use crate::nn::thousands;
use crate::plot::canvas::{Align, BLACK, BLUE, Canvas, GRAY, GREEN, Ink, PALE, VERMILLION};
use crate::plot::series::{Curves, Points, decades, ticks};
use crate::plot::{HEAD, counted, head};
use crate::runs::LogLine;
use crate::{Error, Result};

/// The width of the image, and its left and right margins.
const WIDTH: f32 = 880.0;
const LEFT: f32 = 84.0;
const RIGHT: f32 = 130.0;

/// The quantity and scale of a panel's vertical axis.
#[derive(Clone, Copy, PartialEq)]
enum Axis {
    Linear { from: f64, to: f64 },
    Logarithmic { from: f64, to: f64 },
}

/// One of the panels above the common axis of steps.
struct Panel<'a> {
    title: &'a str,
    top: f32,
    height: f32,
    axis: Axis,
    unit: &'a str,
    steps: f64,
}

/// Draws loss, accuracy and learning rate over steps and epochs, for training and validation; `name` is the title.
///
/// The loss has a logarithmic axis if it falls to a tenth or less. The accuracy axis omits the lowest twentieth of the
/// values, usually those of the first steps. The learning rate axis begins at 0.
///
/// Errors: an empty log.
pub fn curves(name: &str, log: &[LogLine]) -> Result<Canvas> {
    let curves = Curves::of(log);
    if curves.steps == 0 {
        let expected = "at least one step; a run logs every 50 steps and at the end of each epoch";
        return Err(Error::option("log", expected, "none"));
    }
    let steps = curves.steps as f64;
    let panel = |title, top, height, axis, unit| Panel { title, top, height, axis, unit, steps };
    let top = HEAD + 40.0;
    let loss = panel("loss", top, 210.0, logarithmic(&curves.loss), "");
    let accuracy = panel("accuracy", top + 250.0, 190.0, shares(&curves.accuracy), " %");
    let rate = panel("learning rate", top + 480.0, 80.0, from_zero(&curves.rate), "");
    let mut canvas = Canvas::new(WIDTH, top + 480.0 + 80.0 + 56.0)?;
    head(&mut canvas, name, &numbers(&curves));
    epochs(&mut canvas, &curves, top, [&loss, &accuracy, &rate]);
    for panel in [&loss, &accuracy, &rate] {
        panel.frame(&mut canvas);
    }
    rate.steps(&mut canvas);
    let inks = [("training", BLUE), ("held out", VERMILLION)];
    for (panel, both, part) in [(&loss, &curves.loss, 0), (&accuracy, &curves.accuracy, 1)] {
        let mut labels = vec![];
        for (points, (name, ink), last) in [0, 1].map(|i| (&both[i], inks[i], curves.last[i])) {
            panel.curve(&mut canvas, points, ink, ink == VERMILLION);
            if let (Some([_, end]), Some(last)) = (points.last(), last) {
                let value = match part {
                    0 => format!("{:.4}", last[0]),
                    _ => format!("{:.2} %", last[1]),
                };
                labels.push((panel.y(*end), name, value, ink));
            }
        }
        panel.labels(&mut canvas, labels);
    }
    rate.curve(&mut canvas, &curves.rate, GREEN, false);
    if let Some([_, end]) = curves.rate.last() {
        rate.labels(&mut canvas, vec![(rate.y(*end), "at the end", number(*end), GREEN)]);
    }
    Ok(canvas)
}

/// A summary of the final values.
fn numbers(curves: &Curves) -> String {
    let epochs = curves.epochs.len() as u64;
    let [training, held_out] =
        curves.last.map(|last| last.map(|[loss, percent]| format!("loss {loss:.4}, accuracy {percent:.2} %")));
    let done = format!("{}, {}", counted(epochs, "epoch", "epochs"), counted(curves.steps, "step", "steps"));
    let training = training.map(|numbers| format!(";  training: {numbers}"));
    let held_out = held_out.map(|numbers| format!(";  held out: {numbers}"));
    [Some(done), training, held_out].into_iter().flatten().collect()
}

fn values(both: &[Points]) -> Vec<f64> {
    both.iter().flatten().map(|[_, v]| *v).collect()
}

fn least_and_largest(values: &[f64]) -> [f64; 2] {
    let [least, largest] =
        [values.iter().copied().fold(f64::MAX, f64::min), values.iter().copied().fold(f64::MIN, f64::max)];
    if values.is_empty() { [0.0, 1.0] } else { [least, largest] }
}

/// The logarithmic axis of losses.
fn logarithmic(both: &[Points]) -> Axis {
    let [least, largest] = least_and_largest(&values(both));
    if least > 0.0 && largest >= 10.0 * least {
        let room = 0.04 * (largest / least).log10();
        return Axis::Logarithmic { from: least.log10() - room, to: largest.log10() + room };
    }
    if largest > least && least > 0.5 * largest {
        let room = 0.08 * (largest - least);
        return Axis::Linear { from: least - room, to: largest + room };
    }
    Axis::Linear { from: least.min(0.0), to: if largest > 0.0 { 1.05 * largest } else { 1.0 } }
}

/// The axis of percentages.
fn shares(both: &[Points]) -> Axis {
    let mut values = values(both);
    values.sort_by(f64::total_cmp);
    let [_, largest] = least_and_largest(&values);
    let least = values.get(values.len() / 20).copied().unwrap_or(0.0);
    // A range of less than two points would exaggerate differences.
    let least = least.min(largest - 2.0);
    let room = 0.06 * (largest - least);
    Axis::Linear { from: (least - room).max(0.0), to: (largest + room).clamp(1.0, 100.0) }
}

fn from_zero(points: &Points) -> Axis {
    let [_, largest] = least_and_largest(&points.iter().map(|[_, v]| *v).collect::<Vec<_>>());
    Axis::Linear { from: 0.0, to: if largest > 0.0 { 1.08 * largest } else { 1.0 } }
}

/// A number with the fewest digits that represent it.
fn number(v: f64) -> String {
    match v.abs() {
        0.0 => "0".into(),
        1e-4..1e4 => format!("{:.1$}", v, (2 - v.abs().log10().floor() as i32).clamp(0, 6) as usize)
            .trim_end_matches('0')
            .trim_end_matches('.')
            .into(),
        _ => format!("{v:.2e}"),
    }
}

/// Vertical lines at the ends of epochs, through all panels, with epoch numbers above the first.
fn epochs(canvas: &mut Canvas, curves: &Curves, top: f32, panels: [&Panel<'_>; 3]) {
    let Some(&(last, _)) = curves.epochs.last() else { return };
    let (shown, _) = ticks([0.0, last.into()], 12);
    let every = shown.get(1).map_or(1.0, |second| second - shown[0]).max(1.0) as u32;
    for &(epoch, step) in curves.epochs.iter().filter(|(epoch, _)| epoch % every == 0) {
        let x = panels[0].x(step as f64);
        canvas.text(&epoch.to_string(), [x, top - 12.0], 12.0, GRAY, Align::Middle);
        for panel in panels {
            canvas.line(&[[x, panel.top], [x, panel.top + panel.height]], 0.8, PALE);
        }
    }
    canvas.text("epoch", [WIDTH - RIGHT + 16.0, top - 12.0], 12.0, GRAY, Align::Left);
}

impl Panel<'_> {
    fn x(&self, step: f64) -> f32 {
        LEFT + (WIDTH - LEFT - RIGHT) * (step / self.steps) as f32
    }

    fn y(&self, value: f64) -> f32 {
        let share = match self.axis {
            Axis::Linear { from, to } => (value - from) / (to - from),
            Axis::Logarithmic { from, to } => (value.max(f64::MIN_POSITIVE).log10() - from) / (to - from),
        };
        self.top + self.height * (1.0 - share.clamp(-1.0, 2.0)) as f32
    }

    /// Title, vertical axis and grid lines.
    fn frame(&self, canvas: &mut Canvas) {
        let most = (self.height / 34.0) as usize + 1;
        let marks: Vec<(f64, String)> = match self.axis {
            Axis::Linear { from, to } => {
                let (at, digits) = ticks([from, to], most);
                at.into_iter().map(|v| (v, format!("{v:.digits$}{}", self.unit))).collect()
            }
            Axis::Logarithmic { from, to } => {
                decades([from, to], most + 2).into_iter().map(|(at, text)| (10f64.powf(at), text)).collect()
            }
        };
        let right = WIDTH - RIGHT;
        for (value, text) in marks {
            let y = self.y(value);
            canvas.line(&[[LEFT, y], [right, y]], 0.8, PALE);
            canvas.text(&text, [LEFT - 8.0, y], 12.0, GRAY, Align::Right);
        }
        canvas.line(&[[LEFT, self.top], [LEFT, self.top + self.height], [right, self.top + self.height]], 1.0, GRAY);
        let title = match self.axis {
            Axis::Linear { .. } => self.title.to_string(),
            Axis::Logarithmic { .. } => format!("{} (logarithmic)", self.title),
        };
        canvas.turned(&title, [18.0, self.top + self.height / 2.0], 13.0, BLACK, Align::Middle, -90.0);
    }

    /// The axis of steps.
    fn steps(&self, canvas: &mut Canvas) {
        let y = self.top + self.height;
        for step in ticks([0.0, self.steps], 8).0.into_iter().filter(|step| step.fract() == 0.0) {
            let x = self.x(step);
            canvas.line(&[[x, y], [x, y + 4.0]], 1.0, GRAY);
            canvas.text(&thousands(step as u64), [x, y + 15.0], 12.0, GRAY, Align::Middle);
        }
        canvas.text("step", [(LEFT + WIDTH - RIGHT) / 2.0, y + 37.0], 13.0, BLACK, Align::Middle);
    }

    fn curve(&self, canvas: &mut Canvas, points: &Points, ink: Ink, dots: bool) {
        let at: Vec<[f32; 2]> = points.iter().map(|[step, value]| [self.x(*step), self.y(*value)]).collect();
        canvas.clip(Some([LEFT, self.top - 4.0, WIDTH - LEFT - RIGHT + 6.0, self.height + 4.0]));
        canvas.line(&at, 1.8, ink);
        // A single point has no line.
        if (dots && at.len() <= 60) || at.len() == 1 {
            at.iter().for_each(|place| canvas.dot(*place, 3.4, ink));
        }
        canvas.clip(None);
    }

    /// Names and values at the ends of the curves, moved apart where they would overlap.
    fn labels(&self, canvas: &mut Canvas, mut labels: Vec<(f32, &str, String, Ink)>) {
        labels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (room, most) = (36.0, self.top + self.height - 6.0);
        let mut free = self.top + 10.0;
        let count = labels.len();
        for (number, (y, name, value, ink)) in labels.into_iter().enumerate() {
            let below = room * (count - number - 1) as f32;
            let y = y.max(free).min(most - below);
            free = y + room;
            let x = WIDTH - RIGHT + 16.0;
            canvas.text(name, [x, y - 7.0], 13.0, ink, Align::Left);
            canvas.text(&value, [x, y + 9.0], 13.0, ink, Align::Left);
        }
    }
}
