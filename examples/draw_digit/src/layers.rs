//! The panel of the convolutions: each map, and above it its filters.

use eframe::egui::{Color32, Rect, Sense, Ui, pos2, vec2};

use crate::app::App;
use crate::images::Image;
use crate::network::Layer;
use crate::theme;

/// Gap between tiles.
const GAP: f32 = 8.0;
/// Gap between a filter's channels, and between filters and map.
const FINE: f32 = 2.0;
/// Height of a title line with its margins.
const TITLE: f32 = 34.0;
/// The legend of the colors.
const LEGEND: &str =
    "Filters: red above zero, blue below.  Maps: from violet, the layer's least, to yellow, its greatest.";

/// The layout of a layer's maps.
struct Tiles {
    columns: usize,
    rows: usize,
    /// Filter channels per row.
    across: usize,
    down: usize,
    /// Width of a channel's tile as a fraction of the map's.
    share: f32,
}

impl Tiles {
    fn of(layer: &Layer) -> Self {
        let columns = if layer.maps <= 6 { layer.maps } else { 8 };
        // A single channel at the size of the map would dominate; several share the width.
        let (across, share) = if layer.channels == 1 { (1, 0.5) } else { (3, 1.0 / 3.0) };
        Self { columns, rows: layer.maps.div_ceil(columns), across, down: layer.channels.div_ceil(across), share }
    }

    /// The side of a map if all columns take `width`.
    fn side(&self, width: f32) -> f32 {
        (width + GAP) / self.columns as f32 - GAP
    }

    fn filter_height(&self, width: f32) -> f32 {
        self.down as f32 * self.share * self.side(width)
    }

    fn height(&self, width: f32) -> f32 {
        TITLE + self.rows as f32 * (self.filter_height(width) + FINE + self.side(width) + GAP)
    }

    fn show(&self, ui: &mut Ui, layer: &Layer, width: f32) {
        ui.label(theme::caption(layer.title));
        let side = self.side(width);
        let (rect, _) = ui.allocate_exact_size(vec2(width, self.height(width) - TITLE), Sense::hover());
        for map in 0..layer.maps {
            let (column, row) = ((map % self.columns) as f32, (map / self.columns) as f32);
            let corner = rect.min + vec2(column * (side + GAP), row * (self.filter_height(width) + FINE + side + GAP));
            let tile = self.share * side;
            let left = (side - self.across as f32 * tile) / 2.0;
            for channel in 0..layer.channels {
                let (x, y) = ((channel % self.across) as f32, (channel / self.across) as f32);
                let place = Rect::from_min_size(corner + vec2(left + x * tile, y * tile), vec2(tile, tile));
                paint(ui, &layer.filters, map * layer.channels + channel, place.shrink(FINE / 2.0));
            }
            let place = corner + vec2(0.0, self.filter_height(width) + FINE);
            paint(ui, &layer.responses, map, Rect::from_min_size(place, vec2(side, side)));
        }
    }
}

fn paint(ui: &Ui, image: &Image, tile: usize, place: Rect) {
    ui.painter().image(image.id, place, image.tile(tile), Color32::WHITE);
}

impl App {
    /// The filters of each convolution, with their maps below.
    pub fn layers_panel(&mut self, ui: &mut Ui) {
        theme::card().show(ui, |ui| {
            let space = ui.available_rect_before_wrap();
            self.places.layers = space;
            if let Ok(network) = &self.network {
                let tiles: Vec<Tiles> = network.layers.iter().map(Tiles::of).collect();
                let height = |width: f32| tiles.iter().map(|tiles| tiles.height(width)).sum::<f32>();
                // The largest width, up to the panel's, at which everything fits the height; the height grows with the
                // width.
                let (least, most) = (0.0, space.width().max(1.0));
                let slope = (height(most) - height(least)) / most;
                let width = most.min((space.height() - TITLE - height(least)) / slope).max(0.3 * most);
                for (tiles, layer) in tiles.iter().zip(&network.layers) {
                    tiles.show(ui, layer, width);
                }
                ui.label(theme::caption(LEGEND));
            }
            ui.allocate_rect(Rect::from_min_max(pos2(space.left(), ui.cursor().top()), space.max), Sense::hover());
        });
    }
}
