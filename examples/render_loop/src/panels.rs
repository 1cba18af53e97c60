//! Textures drawn side by side to the frame's render target.

use wgpu::util::DeviceExt as _;

use crate::{BACKGROUND, SIZE, color};

/// Draws panels.
pub struct Panels {
    pipeline: wgpu::RenderPipeline,
    sampler: wgpu::Sampler,
    panels: Vec<wgpu::BindGroup>,
}

impl Panels {
    pub fn new(device: &wgpu::Device, format: wgpu::TextureFormat) -> Self {
        let module = device.create_shader_module(wgpu::include_wgsl!("panels.wgsl"));
        let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some("panels"),
            layout: None,
            vertex: wgpu::VertexState {
                module: &module,
                entry_point: None,
                compilation_options: Default::default(),
                buffers: &[],
            },
            primitive: wgpu::PrimitiveState { topology: wgpu::PrimitiveTopology::TriangleStrip, ..Default::default() },
            depth_stencil: None,
            multisample: Default::default(),
            fragment: Some(wgpu::FragmentState {
                module: &module,
                entry_point: None,
                compilation_options: Default::default(),
                targets: &[Some(format.into())],
            }),
            multiview_mask: None,
            cache: None,
        });
        let filter = wgpu::FilterMode::Linear;
        let descriptor = wgpu::SamplerDescriptor { mag_filter: filter, min_filter: filter, ..Default::default() };
        Self { pipeline, sampler: device.create_sampler(&descriptor), panels: vec![] }
    }

    /// Adds a texture at `[x, y, width, height]` of a window of [`SIZE`].
    pub fn add(&mut self, device: &wgpu::Device, texture: &wgpu::Texture, rectangle: [u32; 4]) {
        let [width, height] = SIZE;
        let shares: [f32; 4] = std::array::from_fn(|i| rectangle[i] as f32 / [width, height][i % 2] as f32);
        let place = device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: Some("place of a panel"),
            contents: bytemuck::cast_slice(&shares),
            usage: wgpu::BufferUsages::UNIFORM,
        });
        let view = texture.create_view(&Default::default());
        self.panels.push(device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("panel"),
            layout: &self.pipeline.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: place.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 1, resource: wgpu::BindingResource::TextureView(&view) },
                wgpu::BindGroupEntry { binding: 2, resource: wgpu::BindingResource::Sampler(&self.sampler) },
            ],
        }));
    }

    /// Appends a render pass that draws all panels, scaled to fit.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder, to: &wgpu::Texture) {
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("panels"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &to.create_view(&Default::default()),
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations { load: wgpu::LoadOp::Clear(color(BACKGROUND)), store: wgpu::StoreOp::Store },
            })],
            ..Default::default()
        });
        let [width, height] = [to.width() as f32, to.height() as f32];
        let scale = (width / SIZE[0] as f32).min(height / SIZE[1] as f32);
        let [w, h] = SIZE.map(|side| side as f32 * scale);
        pass.set_viewport((width - w) / 2.0, (height - h) / 2.0, w, h, 0.0, 1.0);
        pass.set_pipeline(&self.pipeline);
        for panel in &self.panels {
            pass.set_bind_group(0, panel, &[]);
            pass.draw(0..4, 0..1);
        }
    }
}
