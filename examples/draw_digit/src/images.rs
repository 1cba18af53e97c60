//! Values of the network as textures in the window, written by a kernel without readback.

use eframe::egui::{Rect, TextureId, pos2};
use eframe::egui_wgpu::RenderState;
use eframe::wgpu;
use lenslet::gpu::GpuSession;
use lenslet::{NodeId, Result, TextureOutput, TextureWrite};

/// Gap between tiles in texels. The window shows tiles separately; the gap prevents bleeding between them.
const GAP: u32 = 1;

/// An image of a value, drawn in each frame.
pub struct Image {
    /// The texture in the window.
    pub id: TextureId,
    output: TextureOutput,
    size: [u32; 2],
    columns: u32,
    rows: u32,
}

impl Image {
    /// An image of `node` with tiles in `columns` and `rows`, with one texel per value or of the given size.
    pub fn new(
        render: &RenderState,
        session: &GpuSession,
        node: NodeId,
        write: TextureWrite,
        [columns, rows]: [usize; 2],
        size: Option<[u32; 2]>,
    ) -> Result<Self> {
        let write = write.columns(columns).gap(GAP).background([0.0; 4]);
        let size = size.map_or_else(|| TextureOutput::size(session.graph().shape(node), &write, 1), Ok)?;
        let texture = render.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("image"),
            size: wgpu::Extent3d { width: size[0], height: size[1], depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba8Unorm,
            usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::TEXTURE_BINDING,
            view_formats: &[],
        });
        let view = texture.create_view(&Default::default());
        let output = TextureOutput::new(session, node, &view, &write)?;
        let nearest = wgpu::FilterMode::Nearest;
        let id = render.renderer.write().register_native_texture(&render.device, &view, nearest);
        Ok(Self { id, output, size, columns: columns as u32, rows: rows as u32 })
    }

    /// Appends the drawing.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        self.output.encode(encoder);
    }

    /// The rectangle of a tile in the texture, from 0 to 1.
    pub fn tile(&self, number: usize) -> Rect {
        let place = [number as u32 % self.columns, number as u32 / self.columns];
        let counts = [self.columns, self.rows];
        let begin = |i: usize, n: u32| n * (self.size[i] + GAP) / counts[i];
        let share = |i: usize, texel: u32| texel as f32 / self.size[i] as f32;
        let from = [0, 1].map(|i| share(i, begin(i, place[i])));
        let to = [0, 1].map(|i| share(i, begin(i, place[i] + 1) - GAP));
        Rect::from_min_max(pos2(from[0], from[1]), pos2(to[0], to[1]))
    }
}
