//! The upper part of the window: paper and classes.

use eframe::egui::{
    Align2, Button, Color32, CornerRadius, Event, FontId, PointerButton, Pos2, Rangef, Rect, ScrollArea, Sense, Stroke,
    StrokeKind, TextEdit, Ui, pos2, vec2,
};

use crate::app::App;
use crate::canvas::{Canvas, SIDE};
use crate::theme::{self, LINE, MUTED, ORANGE, TEXT, WELL};

/// Height of the area below the paper.
pub const BELOW_PAPER: f32 = 176.0;

impl App {
    /// The paper, the network's input, and the folder of the weights.
    pub fn paper_panel(&mut self, ui: &mut Ui) {
        theme::card().show(ui, |ui| {
            let all = ui.available_rect_before_wrap();
            let side = all.width().min(all.height() - BELOW_PAPER).max(120.0);
            let (rect, _) = ui.allocate_exact_size(vec2(side, side), Sense::click_and_drag());
            self.draw(ui, rect);
            let painter = ui.painter_at(rect.expand(1.0));
            painter.rect_filled(rect, CornerRadius::ZERO, Color32::BLACK);
            painter.image(self.paper, rect, Canvas::place(), Color32::WHITE);
            painter.rect_stroke(rect, CornerRadius::same(4), Stroke::new(1.0, LINE), StrokeKind::Outside);
            if self.canvas.is_empty() {
                let font = FontId::proportional(20.0);
                painter.text(rect.center(), Align2::CENTER_CENTER, "Draw a digit here", font, MUTED);
            }
            self.places.paper = rect;

            ui.add_space(2.0);
            ui.horizontal(|ui| {
                let (rect, _) = ui.allocate_exact_size(vec2(64.0, 64.0), Sense::hover());
                ui.painter().rect_filled(rect, CornerRadius::same(4), WELL);
                if let Ok(network) = &self.network {
                    ui.painter().image(network.seen.id, rect, network.seen.tile(0), Color32::WHITE);
                }
                ui.vertical(|ui| {
                    ui.label(theme::caption("What the network sees: 28×28,\nfitted and centered as in MNIST"));
                    let clear = ui.add(Button::new("Clear").shortcut_text("C"));
                    self.places.clear = clear.rect;
                    if clear.clicked() {
                        self.canvas.clear();
                    }
                });
            });
            ui.add_space(2.0);
            self.weights(ui);
            ui.allocate_rect(Rect::from_min_max(ui.cursor().min, all.max), Sense::hover());
        });
    }

    /// Follows all mouse positions since the last frame, so that slow frames do not cut corners.
    fn draw(&mut self, ui: &Ui, paper: Rect) {
        let texel = |at: Pos2| ((at - paper.min) * SIDE as f32 / paper.width()).into();
        ui.input(|input| {
            for event in &input.events {
                match *event {
                    Event::PointerButton { pos, button: PointerButton::Primary, pressed: true, .. }
                        if paper.contains(pos) =>
                    {
                        self.canvas.draw_to(texel(pos));
                    }
                    Event::PointerMoved(pos) if self.canvas.is_drawing() => self.canvas.draw_to(texel(pos)),
                    Event::PointerButton { button: PointerButton::Primary, .. } | Event::PointerGone => {
                        self.canvas.lift()
                    }
                    _ => {}
                }
            }
        });
    }

    fn weights(&mut self, ui: &mut Ui) {
        ui.horizontal(|ui| {
            let buttons = 128.0;
            let field = TextEdit::singleline(&mut self.folder).hint_text("folder for the weights");
            ui.add(field.desired_width(ui.available_width() - buttons));
            let named = !self.folder.trim().is_empty();
            if ui.add_enabled(named, Button::new("Load")).clicked() {
                self.load();
            }
            let save = ui.add_enabled(named, Button::new("Save"));
            self.places.save = save.rect;
            if save.clicked() {
                self.save();
            }
        });
        let color = if self.failed { ORANGE } else { MUTED };
        // Shader errors can be pages long.
        ScrollArea::vertical().show(ui, |ui| ui.label(theme::caption(&self.message).color(color)));
    }

    /// A bar per class.
    pub fn classes_panel(&mut self, ui: &mut Ui) {
        theme::card().show(ui, |ui| {
            ui.label("Probabilities");
            let rect = ui.available_rect_before_wrap();
            ui.allocate_rect(rect, Sense::hover());
            let bars = rect.with_min_x(rect.left() + 24.0);
            let row = bars.height() / 10.0;
            for class in 0..10 {
                let middle = bars.top() + (class as f32 + 0.5) * row;
                let font = FontId::proportional((0.6 * row).clamp(12.0, 22.0));
                ui.painter().text(pos2(rect.left() + 8.0, middle), Align2::CENTER_CENTER, class, font, TEXT);
                let bar = Rect::from_x_y_ranges(bars.x_range(), Rangef::new(middle - 0.28 * row, middle + 0.28 * row));
                ui.painter().rect_filled(bar, CornerRadius::ZERO, LINE);
                if let Ok(network) = &self.network {
                    ui.painter().image(network.bars.id, bar, network.bars.tile(class), Color32::WHITE);
                }
            }
            self.places.bars = bars;
        });
    }
}
