//! A frame of an app: the app draws an image, a network reads it and draws its activations, the app displays them. One
//! encoder, on a device with WebGPU's default limits and no features, and without allocations after the first frame.

use lenslet::gpu::GpuSession;
use lenslet::gpu::texture::ValueRange;
use lenslet::wgpu;
use lenslet::wgpu::{TextureFormat as Format, TextureUsages as Usage};
use lenslet::{
    Device, Gpu, Graph, HostData, NodeId, ShaderChecks, Tensor, TensorType, TextureInput, TextureOutput, TextureRead,
    TextureWrite, Window, device,
};

use super::adapter::adapter;
use super::common;
use super::fixture::{assert_close, noise, read, texture};

/// The app's shaders. Red and green increase to the right and downwards in steps of 4/255.
const DRAW: &str = "
@group(0) @binding(0) var shown: texture_2d<f32>;
@group(0) @binding(1) var nearest: sampler;

@vertex fn corner(@builtin(vertex_index) i: u32) -> @builtin(position) vec4<f32> {
    return vec4(f32(i & 1u) * 4.0 - 1.0, f32(i >> 1u) * 4.0 - 1.0, 0.0, 1.0);
}

@fragment fn draw(@builtin(position) at: vec4<f32>) -> @location(0) vec4<f32> {
    return vec4(floor(at.xy) * 4.0 / 255.0, 0.2, 1.0);
}

@fragment fn show(@builtin(position) at: vec4<f32>) -> @location(0) vec4<f32> {
    return textureSample(shown, nearest, at.xy / vec2<f32>(textureDimensions(shown)));
}";

const SIDE: u32 = 64;

/// An app with a scene, a canvas that the network draws to, and a window.
struct App {
    gpu: Gpu,
    scene: wgpu::Texture,
    canvas: wgpu::Texture,
    window: wgpu::Texture,
    draw: wgpu::RenderPipeline,
    show: wgpu::RenderPipeline,
    shown: wgpu::BindGroup,
}

impl App {
    fn new(canvas: [u32; 2]) -> Self {
        let adapter = adapter().unwrap();
        let (device, queue) = pollster::block_on(adapter.request_device(&Default::default())).unwrap();
        device.on_uncaptured_error(std::sync::Arc::new(|error| panic!("the app hears of an error: {error}")));
        assert_eq!(device.limits(), wgpu::Limits::default());
        assert_eq!(device.features(), wgpu::Features::empty());
        let gpu = Gpu::from_wgpu(device.clone(), queue);
        let scene = texture(&gpu, Format::Rgba8Unorm, [SIDE; 2], Usage::RENDER_ATTACHMENT | Usage::TEXTURE_BINDING);
        let window = texture(&gpu, Format::Rgba8Unorm, canvas, Usage::RENDER_ATTACHMENT | Usage::COPY_SRC);
        let canvas = texture(&gpu, Format::Rgba8Unorm, canvas, Usage::STORAGE_BINDING | Usage::TEXTURE_BINDING);
        let source = wgpu::ShaderSource::Wgsl(DRAW.into());
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
        let pipeline = |fragment| {
            let targets = [Some(wgpu::ColorTargetState::from(Format::Rgba8Unorm))];
            device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
                label: None,
                layout: None,
                vertex: wgpu::VertexState {
                    module: &module,
                    entry_point: Some("corner"),
                    compilation_options: Default::default(),
                    buffers: &[],
                },
                primitive: Default::default(),
                depth_stencil: None,
                multisample: Default::default(),
                fragment: Some(wgpu::FragmentState {
                    module: &module,
                    entry_point: Some(fragment),
                    compilation_options: Default::default(),
                    targets: &targets,
                }),
                multiview_mask: None,
                cache: None,
            })
        };
        let (draw, show) = (pipeline("draw"), pipeline("show"));
        let view = canvas.create_view(&Default::default());
        let sampler = device.create_sampler(&Default::default());
        let shown = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &show.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::TextureView(&view) },
                wgpu::BindGroupEntry { binding: 1, resource: wgpu::BindingResource::Sampler(&sampler) },
            ],
        });
        Self { gpu, scene, canvas, window, draw, show, shown }
    }

    fn pass(&self, encoder: &mut wgpu::CommandEncoder, target: &wgpu::Texture, pipeline: &wgpu::RenderPipeline) {
        let view = target.create_view(&Default::default());
        let attachment = wgpu::RenderPassColorAttachment {
            view: &view,
            depth_slice: None,
            resolve_target: None,
            ops: Default::default(),
        };
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            color_attachments: &[Some(attachment)],
            ..Default::default()
        });
        pass.set_pipeline(pipeline);
        if std::ptr::eq(pipeline, &self.show) {
            pass.set_bind_group(0, &self.shown, &[]);
        }
        pass.draw(0..3, 0..1);
    }

    fn frame(&self, input: &TextureInput, session: &GpuSession, output: &TextureOutput) {
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        self.pass(&mut encoder, &self.scene, &self.draw);
        input.encode(&mut encoder);
        session.encode(&mut encoder);
        output.encode(&mut encoder);
        self.pass(&mut encoder, &self.window, &self.show);
        self.gpu.queue().submit([encoder.finish()]);
    }
}

/// Two filters over a small image: input, filters, maps.
fn network() -> (Graph, [NodeId; 3]) {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([1, 1, 16, 16])).unwrap();
    let w = graph.input("w", TensorType::f32([2, 1, 3, 3])).unwrap();
    let y = graph.conv2d(x, w, None, Window::new(3).padding(1)).unwrap();
    let y = graph.relu(y).unwrap();
    graph.output(y);
    (graph, [x, w, y])
}

#[test]
fn a_frame_draws_sees_and_shows_in_one_encoder() {
    if common::gpu(ShaderChecks::Trusted).is_none() {
        return;
    }
    let (graph, [x, w, y]) = network();
    let write = TextureWrite::maps().range(ValueRange::Fixed(0.0, 1.0));
    let size = TextureOutput::size(graph.shape(y), &write, 3).unwrap();
    let app = App::new(size);
    let session = GpuSession::new(&app.gpu, &graph).unwrap();
    let filters: Vec<f32> = noise(18).iter().map(|v| v * 0.5 - 0.1).collect();
    session.write(w, HostData::F32(&filters)).unwrap();
    let view = |texture: &wgpu::Texture| texture.create_view(&Default::default());
    let input = TextureInput::new(&session, x, &view(&app.scene), &TextureRead::new()).unwrap();
    let output = TextureOutput::new(&session, y, &view(&app.canvas), &write).unwrap();

    let texel = |i: u32| [(i % SIDE * 4) as f32 / 255.0, (i / SIDE * 4) as f32 / 255.0, 0.2, 1.0];
    let texels: Vec<[f32; 4]> = (0..SIDE * SIDE).map(texel).collect();
    for rectangle in [[0, 0, 64, 64], [5, 40, 21, 11]] {
        input.set_rectangle(rectangle).unwrap();
        app.frame(&input, &session, &output);
        let read_as = TextureRead::new().rectangle(rectangle);
        let seen = read_as.apply(Format::Rgba8Unorm, &texels, [SIDE; 2], &[1, 16, 16].into()).unwrap();
        let seen = Tensor::new([1, 1, 16, 16], seen).unwrap();
        let filters = Tensor::new([2, 1, 3, 3], filters.clone()).unwrap();
        let maps = device::run(Device::Cpu, &graph, &[(x, &seen), (w, &filters)]).unwrap();
        let expected = write.apply(maps[0].data(), maps[0].shape(), size).unwrap();
        let found = read(&app.gpu, &app.window);
        assert_close(found.as_flattened(), expected.as_flattened(), 1.0 / 255.0, &format!("{rectangle:?}"));
    }
}

#[test]
fn nothing_is_made_after_the_first_frame() {
    if common::gpu(ShaderChecks::Trusted).is_none() {
        return;
    }
    let (graph, [x, w, y]) = network();
    let app = App::new([65, 32]);
    let allocations = || {
        let report = app.gpu.device().generate_allocator_report()?;
        let mut all: Vec<_> = report.allocations.iter().map(|a| (a.name.clone(), a.offset, a.size)).collect();
        all.sort();
        Some((all, report.total_reserved_bytes))
    };
    if allocations().is_none() {
        println!("skipped: {} reports no allocations", app.gpu.backend());
        return;
    }
    let session = GpuSession::new(&app.gpu, &graph).unwrap();
    session.write(w, HostData::F32(&[0.1; 18])).unwrap();
    let view = |texture: &wgpu::Texture| texture.create_view(&Default::default());
    let input = TextureInput::new(&session, x, &view(&app.scene), &TextureRead::new()).unwrap();
    // The ranges are computed on the GPU.
    let output = TextureOutput::new(&session, y, &view(&app.canvas), &TextureWrite::maps()).unwrap();
    app.frame(&input, &session, &output);
    app.gpu.wait().unwrap();
    let before = allocations();
    for _ in 0..20 {
        app.frame(&input, &session, &output);
    }
    app.gpu.wait().unwrap();
    assert_eq!(allocations(), before);
}
