//! Loss and accuracy curves as text.

use console::{Style as Ansi, Term};
use lenslet::plot::{Curves, Points};
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::{Constraint, Rect};
use ratatui_core::style::{Color, Style};
use ratatui_core::symbols::Marker;
use ratatui_core::widgets::Widget;
use ratatui_widgets::chart::{Axis, Chart, Dataset, GraphType, LegendPosition};

use crate::cli::thousands;

/// Height of the two charts in lines.
const HEIGHT: u16 = 11;

/// Blue and orange of the 256-color palette, readable on dark and light backgrounds with any kind of color vision.
const COLORS: [u8; 2] = [33, 208];

/// Whether to print colors.
pub fn is_coloured() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The width of curves in this terminal, if it is large enough.
pub fn room(terminal: &Term) -> Option<u16> {
    let (rows, columns) = terminal.size_checked()?;
    (rows >= HEIGHT + 6 && columns >= 60).then(|| (columns - 1).min(110))
}

/// Loss and accuracy side by side in `width` columns; each line ends with a line feed.
pub fn curves(curves: &Curves, width: u16, is_coloured: bool) -> String {
    let all = Rect::new(0, 0, width.max(40), HEIGHT);
    let mut buffer = Buffer::empty(all);
    let half = all.width / 2;
    let logarithms =
        |points: &Points| points.iter().map(|[x, y]| (*x, y.log10())).filter(|(_, y)| y.is_finite()).collect();
    // The range excludes the first steps, which are far below the rest.
    let mut sorted: Vec<f64> = curves.accuracy.iter().flatten().map(|[_, y]| *y).collect();
    sorted.sort_by(f64::total_cmp);
    let least = sorted.get(sorted.len() / 20).copied().unwrap_or(0.0);
    let shares = |points: &Points| points.iter().map(|[x, y]| (*x, *y)).filter(|(_, y)| *y >= least).collect();
    let loss: [Vec<(f64, f64)>; 2] = curves.loss.each_ref().map(logarithms);
    let accuracy: [Vec<(f64, f64)>; 2] = curves.accuracy.each_ref().map(shares);
    let of_loss = |y: f64| format!("{:.3}", 10f64.powf(y));
    let of_accuracy = |y: f64| format!("{y:.1} %");
    let left = Rect { width: half.saturating_sub(2), ..all };
    let right = Rect { x: half, width: all.width - half, ..all };
    chart("loss", &loss, curves.steps, &of_loss, LegendPosition::TopRight).render(left, &mut buffer);
    chart("accuracy", &accuracy, curves.steps, &of_accuracy, LegendPosition::BottomRight).render(right, &mut buffer);
    text(&buffer, is_coloured)
}

fn chart<'a>(
    title: &'a str,
    both: &'a [Vec<(f64, f64)>; 2],
    steps: u64,
    label: &dyn Fn(f64) -> String,
    legend: LegendPosition,
) -> Chart<'a> {
    let values = || both.iter().flatten().map(|(_, y)| *y);
    let [least, largest] = [values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max)];
    let [from, to] = if least < largest { [least, largest] } else { [least.min(1e9) - 0.5, least.min(1e9) + 0.5] };
    let names = [("training", Marker::Braille), ("held out", Marker::Dot)];
    let datasets = [0, 1].into_iter().filter(|i| !both[*i].is_empty()).map(|i| {
        let (name, marker) = names[i];
        let dataset = Dataset::default().name(name).marker(marker).graph_type(GraphType::Line).data(&both[i]);
        dataset.style(Style::new().fg(Color::Indexed(COLORS[i])))
    });
    let heights =
        if values().next().is_some() { vec![label(from), label((from + to) / 2.0), label(to)] } else { vec![] };
    Chart::new(datasets.collect())
        .x_axis(
            Axis::default().bounds([0.0, steps.max(1) as f64]).labels(["0".to_string(), thousands(steps) + " steps"]),
        )
        .y_axis(Axis::default().title(title).bounds([from, to]).labels(heights))
        .legend_position(Some(legend))
        .hidden_legend_constraints((Constraint::Percentage(60), Constraint::Percentage(60)))
}

fn text(buffer: &Buffer, is_coloured: bool) -> String {
    let mut text = String::new();
    for row in buffer.content().chunks(buffer.area.width.into()) {
        let mut line = String::new();
        // Adjacent cells of one color share its escape codes.
        for run in row.chunk_by(|a, b| a.fg == b.fg) {
            let symbols: String = run.iter().map(|cell| cell.symbol()).collect();
            line += &match run[0].fg {
                Color::Indexed(color) if is_coloured => {
                    Ansi::new().color256(color).force_styling(true).apply_to(symbols).to_string()
                }
                _ => symbols,
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}
