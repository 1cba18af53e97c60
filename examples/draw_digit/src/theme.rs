//! Colors and sizes. The palette is Okabe and Ito's, distinguishable with any kind of color vision.

use eframe::egui::{self, Color32, CornerRadius, FontFamily, FontId, Frame, Margin, Stroke, TextStyle, Visuals};

pub const BACKGROUND: Color32 = Color32::from_rgb(0x13, 0x16, 0x1b);
pub const CARD: Color32 = Color32::from_rgb(0x1b, 0x1f, 0x26);
pub const WELL: Color32 = Color32::from_rgb(0x0c, 0x0e, 0x12);
pub const LINE: Color32 = Color32::from_rgb(0x2c, 0x33, 0x3d);
pub const TEXT: Color32 = Color32::from_rgb(0xd8, 0xdd, 0xe4);
pub const MUTED: Color32 = Color32::from_rgb(0x8d, 0x97, 0xa5);
pub const BLUE: Color32 = Color32::from_rgb(0x56, 0xb4, 0xe9);
pub const ORANGE: Color32 = Color32::from_rgb(0xe6, 0x9f, 0x00);

/// Gap between cards, and margin within them.
pub const GAP: f32 = 12.0;

/// Sets the style of all widgets.
pub fn apply(ctx: &egui::Context) {
    ctx.set_theme(egui::Theme::Dark);
    let mut visuals = Visuals::dark();
    visuals.panel_fill = BACKGROUND;
    visuals.override_text_color = Some(TEXT);
    visuals.extreme_bg_color = WELL;
    visuals.selection.bg_fill = BLUE.gamma_multiply(0.4);
    let corners = CornerRadius::same(6);
    let widgets = &mut visuals.widgets;
    for (widget, fill) in [
        (&mut widgets.inactive, Color32::from_rgb(0x2a, 0x31, 0x3b)),
        (&mut widgets.hovered, Color32::from_rgb(0x35, 0x3e, 0x4a)),
        (&mut widgets.active, Color32::from_rgb(0x40, 0x4b, 0x59)),
    ] {
        widget.corner_radius = corners;
        (widget.bg_fill, widget.weak_bg_fill) = (fill, fill);
        widget.bg_stroke = Stroke::NONE;
    }
    ctx.set_visuals(visuals);
    ctx.all_styles_mut(|style| {
        let font = |size| FontId::new(size, FontFamily::Proportional);
        for (text, size) in
            [(TextStyle::Small, 12.0), (TextStyle::Body, 14.0), (TextStyle::Button, 14.0), (TextStyle::Heading, 18.0)]
        {
            style.text_styles.insert(text, font(size));
        }
        style.spacing.item_spacing = egui::vec2(8.0, 8.0);
        style.spacing.button_padding = egui::vec2(12.0, 6.0);
        style.interaction.selectable_labels = false;
    });
}

/// The frame of a panel.
pub fn card() -> Frame {
    Frame::NONE
        .fill(CARD)
        .stroke(Stroke::new(1.0, LINE))
        .corner_radius(CornerRadius::same(10))
        .inner_margin(Margin::same(GAP as i8))
}

/// The caption of a figure or image.
pub fn caption(text: impl Into<String>) -> egui::RichText {
    egui::RichText::new(text).small().color(MUTED)
}
