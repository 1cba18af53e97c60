//! The lower part of the window: training, its figures and its curves.

use eframe::egui::{Align2, Button, Color32, CornerRadius, FontId, Grid, Rect, Sense, Shape, Stroke, Ui, pos2, vec2};

use crate::app::App;
use crate::frames::Curve;
use crate::theme::{self, BLUE, LINE, MUTED, ORANGE, WELL};

/// Width of the figures.
const FIGURES: f32 = 300.0;

impl App {
    /// Start button, figures and curves, side by side.
    pub fn training_panel(&mut self, ui: &mut Ui) {
        theme::card().show(ui, |ui| {
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing.x = theme::GAP;
                ui.allocate_ui(vec2(FIGURES, ui.available_height()), |ui| ui.vertical(|ui| self.figures(ui)));
                let width = ((ui.available_width() - theme::GAP) / 2.0).max(0.0);
                let size = vec2(width, ui.available_height());
                // The initial loss for ten equally likely classes is 2.3.
                plot(ui, size, "Loss of the batch", &self.losses, ORANGE, 2.5, |v| format!("{v:.3}"));
                let percent = |v: f32| format!("{:.1} %", 100.0 * v);
                plot(ui, size, "Accuracy on the batch, before the step", &self.accuracies, BLUE, 1.0, percent);
            });
        });
    }

    fn figures(&mut self, ui: &mut Ui) {
        let text = if self.training { "Pause" } else { "Train" };
        let mut button = Button::new(text);
        if !self.training {
            button = button.fill(BLUE.gamma_multiply(0.45));
        }
        let pressed = ui.add_enabled_ui(self.network.is_ok(), |ui| ui.add_sized([FIGURES, 34.0], button)).inner;
        self.places.train = pressed.rect;
        if pressed.clicked() {
            self.toggle_training();
        }
        let [mean, p99] = match self.frames.figures() {
            Some(times) => times.map(|ms| format!("{ms:.1} ms")),
            None => ["–".into(), "–".into()],
        };
        let rate = self.rate.per_second().filter(|_| self.training);
        Grid::new("figures").num_columns(4).min_col_width(62.0).spacing([12.0, 4.0]).show(ui, |ui| {
            let mut pair = |name: &str, value: String| {
                ui.label(theme::caption(name));
                ui.label(value);
            };
            pair("Steps", thousands(self.step));
            pair("Images/s", rate.map_or("–".into(), |rate| thousands(rate as u64)));
            ui.end_row();
            let mut pair = |name: &str, value: String| {
                ui.label(theme::caption(name));
                ui.label(value);
            };
            pair("Frame", mean);
            pair("99 % within", p99);
            ui.end_row();
        });
        ui.label(theme::caption(&self.device));
    }
}

/// A number with its digits grouped in threes.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    groups.join(",")
}

/// A curve from the first to the current step, with values from 0 to `top`.
fn plot(
    ui: &mut Ui,
    size: eframe::egui::Vec2,
    title: &str,
    curve: &Curve,
    color: Color32,
    top: f32,
    say: fn(f32) -> String,
) {
    let (all, _) = ui.allocate_exact_size(size, Sense::hover());
    let painter = ui.painter_at(all);
    let font = FontId::proportional(12.0);
    painter.text(all.min, Align2::LEFT_TOP, title, font.clone(), MUTED);
    let rect = Rect::from_min_max(all.min + vec2(0.0, 20.0), all.max);
    painter.rect_filled(rect, CornerRadius::same(4), WELL);
    for share in [0.25, 0.5, 0.75] {
        let y = rect.bottom() - share * rect.height();
        painter.hline(rect.x_range(), y, Stroke::new(1.0, LINE.gamma_multiply(0.6)));
    }
    let points = curve.points();
    if let Some(last) = points.last() {
        painter.text(all.right_top(), Align2::RIGHT_TOP, say(*last), font, color);
    }
    let inner = rect.shrink(3.0);
    let place = |(i, value): (usize, &f32)| {
        let x = inner.left() + inner.width() * i as f32 / (points.len() - 1).max(1) as f32;
        pos2(x, inner.bottom() - inner.height() * (value / top).clamp(0.0, 1.0))
    };
    painter.add(Shape::line(points.iter().enumerate().map(place).collect(), Stroke::new(1.5, color)));
}
