//! Confusion matrices.

use crate::gpu::texture::ColorMap;
use crate::infer::Evaluation;
use crate::nn::thousands;
use crate::plot::canvas::{Align, BLACK, Canvas, GRAY, Ink, PALE, WHITE};
use crate::plot::{HEAD, counted, head};
use crate::{Error, Result};

/// Maximum width of class names.
const NAMES: f32 = 130.0;

/// The layout of the drawing.
struct Plan {
    classes: usize,
    cell: f32,
    left: f32,
    top: f32,
    /// The spacing of labels: every n-th class is labeled.
    every: usize,
    upright: bool,
}

/// Draws the confusion matrix of an evaluation: rows are true classes, columns are predicted classes. It shows counts,
/// fractions of the row, and the recall and precision of each class. `names` are the class names, empty for numbers;
/// `name` is the title.
///
/// Cells have fractions for up to 16 classes and counts for up to 32. Colors depend on the square root of the fraction,
/// so that a few errors among thousands are visible. A cell without images is white.
///
/// Errors: an evaluation without a matrix; a number of names that differs from that of classes.
pub fn confusion(name: &str, evaluation: &Evaluation, names: &[String]) -> Result<Canvas> {
    let matrix = &evaluation.confusion;
    let classes = matrix.len();
    if classes == 0 || matrix.iter().any(|row| row.len() != classes) {
        return Err(Error::option("confusion", "a row and a column for each class", "none"));
    }
    if !names.is_empty() && names.len() != classes {
        return Err(Error::option("names of classes", format!("{classes}, one for each"), names.len()));
    }
    let names: Vec<String> = match names {
        [] => (0..classes).map(|class| class.to_string()).collect(),
        names => names.to_vec(),
    };
    let cell = match classes {
        ..=5 => 76.0,
        6..=10 => 54.0,
        11..=16 => 46.0,
        17..=32 => 29.0,
        _ => (800.0 / classes as f32).max(3.0),
    };
    // Text widths are measured on a canvas that nothing is drawn on.
    let ruler = Canvas::new(1.0, 1.0)?;
    let widest = names.iter().map(|name| ruler.width(name, 13.0)).fold(0.0, f32::max).min(NAMES);
    let upright = widest + 6.0 > cell && classes <= 32 || widest + 6.0 > 4.0 * cell;
    let (left, top) = ((58.0 + widest).max(84.0), HEAD + 34.0 + if upright { widest } else { 14.0 });
    let plan = Plan { classes, cell, left, top, every: (15.0 / cell).ceil() as usize, upright };
    let side = cell * classes as f32;
    let mut canvas = Canvas::new((left + side + 110.0).max(560.0), top + side + 118.0)?;
    let images: usize = matrix.iter().flatten().sum();
    let numbers = format!(
        "{};  accuracy {:.2} %, loss {:.4}",
        counted(images as u64, "image", "images"),
        100.0 * evaluation.accuracy,
        evaluation.loss
    );
    head(&mut canvas, name, &numbers);
    plan.labels(&mut canvas, &names);
    plan.cells(&mut canvas, matrix);
    plan.margins(&mut canvas, matrix);
    plan.key(&mut canvas);
    Ok(canvas)
}

/// The color of a fraction, and of text on it.
fn inks(share: f64) -> [Ink; 2] {
    let place = share.sqrt();
    // The few errors of a good network are pale, so that frequent errors stand out.
    let paleness = 0.75 * (1.0 - place / 0.35).max(0.0);
    let [r, g, b] = ColorMap::Viridis.color(1.0 - place).map(|v| v + (1.0 - v) * paleness);
    let light = 0.299 * r + 0.587 * g + 0.114 * b;
    [[r, g, b].map(|v| (255.0 * v).round() as u8), if light > 0.5 { BLACK } else { WHITE }]
}

fn percent(part: usize, whole: usize) -> String {
    match whole {
        0 => "–".into(),
        _ if part == whole => "100 %".into(),
        _ => format!("{:.1} %", (100.0 * part as f64 / whole as f64).min(99.9)),
    }
}

impl Plan {
    fn side(&self) -> f32 {
        self.cell * self.classes as f32
    }

    /// The center of a row or column.
    fn middle(&self, class: usize) -> f32 {
        self.cell * (class as f32 + 0.5)
    }

    fn labels(&self, canvas: &mut Canvas, names: &[String]) {
        let Self { left, top, .. } = *self;
        for class in (0..self.classes).step_by(self.every) {
            let name = canvas.cut(&names[class], 13.0, NAMES);
            let middle = self.middle(class);
            canvas.text(&name, [left - 8.0, top + middle], 13.0, BLACK, Align::Right);
            match self.upright {
                true => canvas.turned(&name, [left + middle, top - 8.0], 13.0, BLACK, Align::Left, -90.0),
                false => canvas.text(&name, [left + middle, top - 13.0], 13.0, BLACK, Align::Middle),
            }
        }
        canvas.turned("right class", [20.0, top + self.side() / 2.0], 13.0, GRAY, Align::Middle, -90.0);
        canvas.text("class given", [left + self.side() / 2.0, HEAD + 14.0], 13.0, GRAY, Align::Middle);
    }

    fn cells(&self, canvas: &mut Canvas, matrix: &[Vec<usize>]) {
        let Self { left, top, cell, classes, .. } = *self;
        let gap = if cell > 20.0 { 1.0 } else { 0.0 };
        for (row, counts) in matrix.iter().enumerate() {
            let whole: usize = counts.iter().sum();
            for (column, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                let [ink, on] = inks(count as f64 / whole as f64);
                let [x, y] = [left + cell * column as f32, top + cell * row as f32];
                canvas.rectangle([x, y, cell - gap, cell - gap], ink);
                let [x, y] = [x + cell / 2.0, y + cell / 2.0];
                let text = thousands(count as u64);
                let size = (14.0f32).min(14.0 * (cell - 5.0) / canvas.width(&text, 14.0));
                match classes {
                    ..=16 => {
                        canvas.text(&text, [x, y - 7.0], size, on, Align::Middle);
                        canvas.text(&percent(count, whole), [x, y + 10.0], 10.5, on, Align::Middle);
                    }
                    17..=32 => canvas.text(&text, [x, y], size.min(11.0), on, Align::Middle),
                    _ => {}
                }
            }
        }
        let side = self.side();
        let frame = [[left, top], [left + side, top], [left + side, top + side], [left, top + side], [left, top]];
        let frame = frame.map(|[x, y]| [x - gap / 2.0, y - gap / 2.0]);
        canvas.line(&frame, 1.0, GRAY);
    }

    /// Recall beside the rows, precision below the columns.
    fn margins(&self, canvas: &mut Canvas, matrix: &[Vec<usize>]) {
        let Self { left, top, cell, classes, .. } = *self;
        let side = self.side();
        canvas.text("recall", [left + side + 14.0, top - 13.0], 13.0, GRAY, Align::Left);
        for (class, row) in matrix.iter().enumerate().step_by(self.every) {
            let text = percent(row[class], row.iter().sum());
            canvas.text(&text, [left + side + 14.0, top + self.middle(class)], 13.0, BLACK, Align::Left);
        }
        if classes > 16 {
            return;
        }
        canvas.text("precision", [left - 8.0, top + side + 16.0], 13.0, GRAY, Align::Right);
        for class in 0..classes {
            let given: usize = matrix.iter().map(|row| row[class]).sum();
            let size = if cell < 50.0 { 11.0 } else { 13.0 };
            let at = [left + self.middle(class), top + side + 16.0];
            canvas.text(&percent(matrix[class][class], given), at, size, BLACK, Align::Middle);
        }
    }

    /// The color bar.
    fn key(&self, canvas: &mut Canvas) {
        let (x, y, width) = (self.left, self.top + self.side() + 48.0, self.side().clamp(220.0, 420.0));
        canvas.ramp([x, y], width, 12.0, |share| inks(share * share)[0]);
        for percent in [0.0f32, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0] {
            let at = x + width * (percent / 100.0).sqrt();
            canvas.line(&[[at, y + 12.0], [at, y + 16.0]], 1.0, GRAY);
            canvas.text(&percent.to_string(), [at, y + 25.0], 11.0, GRAY, Align::Middle);
        }
        canvas.line(&[[x, y + 12.0], [x + width, y + 12.0]], 0.8, PALE);
        let text = "% of the right class's images; white: none";
        canvas.text(text, [x, y + 45.0], 12.0, GRAY, Align::Left);
    }
}
