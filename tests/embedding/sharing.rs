//! One device for the app and for several of lenslet's sessions; what was lent is given back as it was.

use std::time::Duration;

use lenslet::gpu::GpuSession;
use lenslet::infer::Predictor;
use lenslet::nn::Layout;
use lenslet::{Gpu, Graph, NodeId, TensorType, wgpu};
use wgpu::util::DeviceExt as _;

use crate::apps::{device, device_with, lent, network, noise, pictures, trainer};

/// Names and sizes of all that is allocated on a device, where it can tell.
fn allocations(device: &wgpu::Device) -> Option<Vec<(String, u64)>> {
    let report = device.generate_allocator_report()?;
    let mut all: Vec<_> = report.allocations.into_iter().map(|a| (a.name, a.size)).collect();
    all.sort();
    Some(all)
}

#[test]
fn a_device_that_was_made_as_asked_for_is_used_as_one_of_lenslets_own() {
    let asked = |adapter: &wgpu::Adapter| wgpu::DeviceDescriptor {
        required_features: Gpu::required_features(adapter),
        required_limits: Gpu::required_limits(adapter).or_better_values_from(&wgpu::Limits::default()),
        ..Default::default()
    };
    let Some((device, queue)) = device_with(asked) else { return };
    let gpu = Gpu::from_wgpu(device, queue);
    assert_eq!(gpu.limits(), Gpu::named(gpu.name()).unwrap().limits());
    let plain = lent().unwrap();
    assert!(plain.limits().subgroup.is_none() && !plain.limits().f16);
    assert_eq!(plain.limits().max_storage_buffers_per_shader_stage, 8);
}

#[test]
fn all_of_lenslets_buffers_are_gone_when_it_is_dropped() {
    let Some((device, queue)) = device() else { return };
    let app = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("the app's own"),
        size: 1024,
        usage: wgpu::BufferUsages::STORAGE,
        mapped_at_creation: false,
    });
    // What wgpu itself makes with a device is done with.
    queue.submit([]);
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let Some(before) = allocations(&device) else {
        println!("skipped: the device reports no allocations");
        return;
    };
    {
        let gpu = Gpu::from_wgpu(device.clone(), queue.clone());
        let model = network();
        let mut trainer = trainer(&gpu, &model).in_frames(&pictures(), 2).unwrap();
        let predictor = Predictor::new(&gpu, &model, trainer.layout(), 1, &["conv1"]).unwrap();
        while !trainer.train_for(Duration::from_millis(5)).unwrap().is_finished {}
        let mut encoder = device.create_command_encoder(&Default::default());
        trainer.hand_over(&mut encoder, &predictor).unwrap();
        queue.submit([encoder.finish()]);
        predictor.predict(&noise(144)).unwrap();
        trainer.snapshot().unwrap();
        assert!(allocations(&device).unwrap().len() > before.len() + 10);
    }
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    assert_eq!(allocations(&device).unwrap(), before);
    drop(app);
}

#[test]
fn frames_allocate_nothing_after_the_first() {
    let Some((device, queue)) = device() else { return };
    let gpu = Gpu::from_wgpu(device.clone(), queue.clone());
    let model = network();
    let predictor = Predictor::new(&gpu, &model, &Layout::of(&model).unwrap(), 1, &["conv1"]).unwrap();
    let mut trainer = trainer(&gpu, &model).in_frames(&pictures(), 100).unwrap();
    let mut frame = || {
        let progress = trainer.train_for(Duration::from_millis(2)).unwrap();
        let mut encoder = device.create_command_encoder(&Default::default());
        trainer.hand_over(&mut encoder, &predictor).unwrap();
        predictor.encode(&mut encoder);
        queue.submit([encoder.finish()]);
        device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        !progress.steps.is_empty()
    };
    // Losses are told at least once: on a busy device that takes long.
    while !frame() {}
    (0..50).for_each(|_| _ = frame());
    let Some(before) = allocations(&device) else { return };
    for number in 0..50 {
        frame();
        assert_eq!(allocations(&device).unwrap(), before, "after frame {number}");
    }
}

/// `y = 2 x` for four numbers.
fn doubled() -> (Graph, [NodeId; 2]) {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([4])).unwrap();
    let y = graph.scale(x, 2.0).unwrap();
    graph.output(y);
    (graph, [x, y])
}

/// A buffer of an app's, of these floats.
fn buffer(device: &wgpu::Device, values: &[f32], usage: wgpu::BufferUsages) -> wgpu::Buffer {
    let contents = bytemuck::cast_slice(values);
    device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: Some("the app's"), contents, usage })
}

#[test]
fn an_apps_buffer_is_the_input_and_its_shader_reads_the_output() {
    let Some((device, queue)) = device() else { return };
    let gpu = Gpu::from_wgpu(device.clone(), queue.clone());
    let (graph, [x, y]) = doubled();
    let own = buffer(&device, &[1.0, -2.0, 3.5, 0.0], wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
    let session = GpuSession::with_buffers(&gpu, &graph, &[(x, own)]).unwrap();
    let result = buffer(&device, &[0.0; 4], wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
    let shader = "@group(0) @binding(0) var<storage, read> y: array<f32>;
        @group(0) @binding(1) var<storage, read_write> z: array<f32>;
        @compute @workgroup_size(4) fn add_one(@builtin(local_invocation_index) i: u32) { z[i] = y[i] + 1.0; }";
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(shader.into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: None,
        compilation_options: Default::default(),
        cache: None,
    });
    let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[
            wgpu::BindGroupEntry { binding: 0, resource: session.buffer(y).unwrap().binding() },
            wgpu::BindGroupEntry { binding: 1, resource: result.as_entire_binding() },
        ],
    });
    let read = buffer(&device, &[0.0; 4], wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    let mut encoder = device.create_command_encoder(&Default::default());
    session.encode(&mut encoder);
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &bind_group, &[]);
        pass.dispatch_workgroups(1, 1, 1);
    }
    encoder.copy_buffer_to_buffer(&result, 0, &read, 0, 16);
    queue.submit([encoder.finish()]);
    read.map_async(wgpu::MapMode::Read, .., |result| result.unwrap());
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let found: Vec<f32> = bytemuck::pod_collect_to_vec(&read.get_mapped_range(..).unwrap());
    assert_eq!(found, [3.0, -3.0, 8.0, 1.0]);
    // The app's buffer takes no copies, and lenslet says so before the device does.
    let error = session.write(x, [0.0f32; 4].as_slice().into()).unwrap_err().to_string();
    assert!(error.starts_with("buffer for \"x\": expected the usage COPY_DST"), "{error}");
}

#[test]
fn buffers_that_cannot_be_a_leaf_are_refused() {
    let Some(gpu) = lent() else { return };
    let (graph, [x, y]) = doubled();
    let refused = |node, values: &[f32], usage| {
        let given = buffer(gpu.device(), values, usage);
        GpuSession::with_buffers(&gpu, &graph, &[(node, given)]).err().unwrap().to_string()
    };
    let storage = wgpu::BufferUsages::STORAGE;
    assert_eq!(refused(x, &[0.0; 3], storage), "buffer for \"x\": expected at least 16 bytes, found 12");
    let unread = buffer(gpu.device(), &[0.0; 4], storage);
    let session = GpuSession::with_buffers(&gpu, &graph, &[(x, unread)]).unwrap();
    let error = session.read(x).unwrap_err().to_string();
    assert!(error.starts_with("buffer for \"x\": expected the usage COPY_SRC, found"), "{error}");
    assert!(refused(x, &[0.0; 4], wgpu::BufferUsages::VERTEX).contains("expected the usage STORAGE, found"));
    let computed = refused(y, &[0.0; 4], storage);
    assert!(computed.ends_with("expected a node that is an input or a variable, found one that the step computes"));
}

#[test]
fn sessions_share_the_pipelines_of_their_device() {
    let Some(gpu) = lent() else { return };
    let model = network();
    let layout = Layout::of(&model).unwrap();
    let first = std::time::Instant::now();
    let predictors = [Predictor::new(&gpu, &model, &layout, 1, &[]).unwrap()];
    let first = first.elapsed();
    let pipelines = gpu.pipelines_made();
    let again = Predictor::new(&gpu.clone(), &model, &layout, 1, &[]).unwrap();
    assert_eq!(gpu.pipelines_made(), pipelines, "nothing is compiled twice, {first:?}");
    assert_eq!(predictors[0].predict(&noise(144)).unwrap(), again.predict(&noise(144)).unwrap());
}
