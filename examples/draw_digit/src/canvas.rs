//! The paper: ink drawn with the mouse, stored in a texture that the window and the network read.

use eframe::egui::{Rect, pos2};
use eframe::wgpu;

/// Width and height of the paper in texels.
pub const SIDE: usize = 280;
/// Width of the empty border around the paper: the square centered for the network may extend beyond the paper.
const BORDER: usize = 200;
/// Width and height of the texture.
const WHOLE: usize = SIDE + 2 * BORDER;
/// Half the width of the pen: MNIST's strokes are a tenth to an eighth of the digit's height.
const RADIUS: f32 = 10.0;
/// Width of the pen's soft edge, so that strokes are as smooth as scanned ones.
const EDGE: f32 = 4.0;
/// MNIST's digits fill 20 of 28 pixels, and are centered at their center of mass.
const MNIST_DIGIT: usize = 20;
const MNIST_SIDE: usize = 28;
/// Smaller drawings are not enlarged: a dot remains a dot.
const LEAST: usize = 70;

/// The paper, and the part of it that is not yet uploaded.
pub struct Canvas {
    ink: Vec<u8>,
    texture: wgpu::Texture,
    changed: Option<Area>,
    last: Option<[f32; 2]>,
}

/// Texels from `begin` to before `end`, x and y.
#[derive(Clone, Copy)]
struct Area {
    begin: [usize; 2],
    end: [usize; 2],
}

impl Area {
    const ALL: Self = Self { begin: [0; 2], end: [SIDE; 2] };

    fn with(self, other: Option<Self>) -> Self {
        let Some(other) = other else { return self };
        Self {
            begin: [0, 1].map(|i| self.begin[i].min(other.begin[i])),
            end: [0, 1].map(|i| self.end[i].max(other.end[i])),
        }
    }
}

impl Canvas {
    /// Empty paper.
    pub fn new(device: &wgpu::Device) -> Self {
        let size = wgpu::Extent3d { width: WHOLE as u32, height: WHOLE as u32, depth_or_array_layers: 1 };
        let texture = device.create_texture(&wgpu::TextureDescriptor {
            label: Some("ink"),
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            // One channel would suffice for the ink; egui displays four.
            format: wgpu::TextureFormat::Rgba8Unorm,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        Self { ink: vec![0; SIDE * SIDE], texture, changed: Some(Area::ALL), last: None }
    }

    /// The texture's view.
    pub fn view(&self) -> wgpu::TextureView {
        self.texture.create_view(&Default::default())
    }

    /// The paper's rectangle in the texture, from 0 to 1.
    pub fn place() -> Rect {
        let [from, to] = [BORDER, BORDER + SIDE].map(|texel| texel as f32 / WHOLE as f32);
        Rect::from_min_max(pos2(from, from), pos2(to, to))
    }

    /// Whether nothing is drawn.
    pub fn is_empty(&self) -> bool {
        self.ink.iter().all(|&ink| ink == 0)
    }

    /// Draws a line from the last position, if the pen is down, to a position in texels.
    pub fn draw_to(&mut self, to: [f32; 2]) {
        let from = self.last.replace(to).unwrap_or(to);
        let reach = RADIUS + EDGE;
        let texel = |v: f32| v.clamp(0.0, SIDE as f32) as usize;
        let begin = [0, 1].map(|i| texel(from[i].min(to[i]) - reach));
        let end = [0, 1].map(|i| texel(from[i].max(to[i]) + reach + 1.0));
        for y in begin[1]..end[1] {
            for x in begin[0]..end[0] {
                let away = distance([x as f32 + 0.5, y as f32 + 0.5], from, to);
                let value = (255.0 * ((reach - away) / EDGE).clamp(0.0, 1.0)) as u8;
                let ink = &mut self.ink[y * SIDE + x];
                *ink = value.max(*ink);
            }
        }
        if begin[0] < end[0] && begin[1] < end[1] {
            self.changed = Some(Area { begin, end }.with(self.changed));
        }
    }

    /// Whether the pen is down.
    pub fn is_drawing(&self) -> bool {
        self.last.is_some()
    }

    /// Lifts the pen.
    pub fn lift(&mut self) {
        self.last = None;
    }

    /// Clears the paper.
    pub fn clear(&mut self) {
        self.ink.fill(0);
        self.changed = Some(Area::ALL);
        self.lift();
    }

    /// Uploads the changed area. Returns whether anything changed.
    pub fn upload(&mut self, queue: &wgpu::Queue) -> bool {
        let Some(Area { begin, end }) = self.changed.take() else { return false };
        let rows = (begin[1]..end[1]).map(|y| &self.ink[y * SIDE + begin[0]..y * SIDE + end[0]]);
        let bytes: Vec<u8> = rows.flatten().flat_map(|&ink| [ink, ink, ink, 255]).collect();
        let [width, height] = [0, 1].map(|i| (end[i] - begin[i]) as u32);
        queue.write_texture(
            wgpu::TexelCopyTextureInfo {
                origin: wgpu::Origin3d { x: (BORDER + begin[0]) as u32, y: (BORDER + begin[1]) as u32, z: 0 },
                ..self.texture.as_image_copy()
            },
            &bytes,
            wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4 * width), rows_per_image: None },
            wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
        );
        true
    }

    /// The square `[x, y, width, height]` of the texture, in texels, that contains the drawing in MNIST's proportions.
    pub fn rectangle(&self) -> [u32; 4] {
        let (mut mass, mut sums, mut low, mut high) = (0, [0; 2], [SIDE; 2], [0; 2]);
        for (at, &ink) in self.ink.iter().enumerate().filter(|(_, ink)| **ink > 0) {
            let (place, ink) = ([at % SIDE, at / SIDE], usize::from(ink));
            mass += ink;
            for i in [0, 1] {
                sums[i] += ink * place[i];
                low[i] = low[i].min(place[i]);
                high[i] = high[i].max(place[i] + 1);
            }
        }
        if mass == 0 {
            return [BORDER, BORDER, SIDE, SIDE].map(|texels| texels as u32);
        }
        let side = MNIST_SIDE * (high[0] - low[0]).max(high[1] - low[1]).max(LEAST) / MNIST_DIGIT;
        // The center of mass is within the ink, so this stays within the border.
        let [x, y] = sums.map(|sum| (BORDER + sum / mass - side / 2) as u32);
        [x, y, side as u32, side as u32]
    }
}

/// The distance of a point from a line segment.
fn distance(point: [f32; 2], from: [f32; 2], to: [f32; 2]) -> f32 {
    let [along, away] = [[to[0] - from[0], to[1] - from[1]], [point[0] - from[0], point[1] - from[1]]];
    let length = along[0] * along[0] + along[1] * along[1];
    let share = if length == 0.0 { 0.0 } else { (along[0] * away[0] + along[1] * away[1]) / length };
    let share = share.clamp(0.0, 1.0);
    (away[0] - share * along[0]).hypot(away[1] - share * along[1])
}
