//! Strokes drawn as tubes, by a render pipeline without vertex buffers.

use glam::{Mat4, Vec3, Vec4};

use crate::color;

/// Samples per texel of the render target, which is resolved into a single-sampled texture for reading.
const SAMPLES: u32 = 4;
const DEPTH: wgpu::TextureFormat = wgpu::TextureFormat::Depth24Plus;
/// Vertices per segment: two triangles for each of nine rings of 16 quads.
const VERTICES: u32 = 6 * 9 * 16;

/// Draws figures to a texture.
pub struct Tubes {
    pipeline: wgpu::RenderPipeline,
    samples: wgpu::TextureView,
    depth: wgpu::TextureView,
    target: wgpu::TextureView,
    background: wgpu::Color,
}

/// The appearance of a figure: `to_world` places its segments, `to_clip` is the camera.
pub struct Look {
    pub to_world: Mat4,
    pub to_clip: Mat4,
    pub color: Vec3,
    pub radius: f32,
}

/// Segments of strokes, from (x, y) to (z, w).
pub struct Figure {
    look: wgpu::Buffer,
    pieces: wgpu::Buffer,
    bind_group: wgpu::BindGroup,
    count: u32,
}

impl Tubes {
    pub fn new(device: &wgpu::Device, target: &wgpu::Texture, background: [f32; 4]) -> Self {
        let module = device.create_shader_module(wgpu::include_wgsl!("figure.wgsl"));
        let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some("tubes"),
            layout: None,
            vertex: wgpu::VertexState {
                module: &module,
                entry_point: None,
                compilation_options: Default::default(),
                buffers: &[],
            },
            primitive: wgpu::PrimitiveState::default(),
            depth_stencil: Some(wgpu::DepthStencilState {
                format: DEPTH,
                depth_write_enabled: Some(true),
                depth_compare: Some(wgpu::CompareFunction::Less),
                stencil: Default::default(),
                bias: Default::default(),
            }),
            multisample: wgpu::MultisampleState { count: SAMPLES, ..Default::default() },
            fragment: Some(wgpu::FragmentState {
                module: &module,
                entry_point: None,
                compilation_options: Default::default(),
                targets: &[Some(target.format().into())],
            }),
            multiview_mask: None,
            cache: None,
        });
        let attachment = |format| {
            let texture = device.create_texture(&wgpu::TextureDescriptor {
                label: Some("samples"),
                size: target.size(),
                mip_level_count: 1,
                sample_count: SAMPLES,
                dimension: wgpu::TextureDimension::D2,
                format,
                usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
                view_formats: &[],
            });
            texture.create_view(&Default::default())
        };
        let (samples, depth) = (attachment(target.format()), attachment(DEPTH));
        let target = target.create_view(&Default::default());
        Self { pipeline, samples, depth, target, background: color(background) }
    }

    /// A figure with at most `most` segments.
    pub fn figure(&self, device: &wgpu::Device, most: usize) -> Figure {
        let buffer = |floats: usize, usage| {
            let size = 4 * floats as u64;
            let usage = usage | wgpu::BufferUsages::COPY_DST;
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("figure"),
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        let look = buffer(36, wgpu::BufferUsages::UNIFORM);
        let pieces = buffer(4 * most, wgpu::BufferUsages::STORAGE);
        let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("figure"),
            layout: &self.pipeline.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: look.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 1, resource: pieces.as_entire_binding() },
            ],
        });
        Figure { look, pieces, bind_group, count: 0 }
    }

    /// Appends a render pass that clears the texture and draws these figures.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder, figures: &[&Figure]) {
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("tubes"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &self.samples,
                depth_slice: None,
                resolve_target: Some(&self.target),
                ops: wgpu::Operations { load: wgpu::LoadOp::Clear(self.background), store: wgpu::StoreOp::Discard },
            })],
            depth_stencil_attachment: Some(wgpu::RenderPassDepthStencilAttachment {
                view: &self.depth,
                depth_ops: Some(wgpu::Operations { load: wgpu::LoadOp::Clear(1.0), store: wgpu::StoreOp::Discard }),
                stencil_ops: None,
            }),
            ..Default::default()
        });
        pass.set_pipeline(&self.pipeline);
        for figure in figures {
            pass.set_bind_group(0, &figure.bind_group, &[]);
            pass.draw(0..VERTICES, 0..figure.count);
        }
    }
}

impl Figure {
    /// Sets the appearance and segments for the next submission.
    pub fn set(&mut self, queue: &wgpu::Queue, look: &Look, pieces: &[Vec4]) {
        let Look { to_world, to_clip, color, radius } = look;
        let matrices = [to_world.to_cols_array(), to_clip.to_cols_array()].concat();
        let floats = [matrices, vec![color.x, color.y, color.z, *radius]].concat();
        queue.write_buffer(&self.look, 0, bytemuck::cast_slice(&floats));
        queue.write_buffer(&self.pieces, 0, bytemuck::cast_slice(pieces));
        self.count = pieces.len() as u32;
    }
}
