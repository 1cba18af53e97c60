//! Replay: the same step again gives the same bytes, in whosever encoder, with nothing allocated on the way; and what
//! does not fit a device is refused before anything runs.

#[path = "../common/adapter.rs"]
mod adapter;
#[path = "../common/mod.rs"]
mod common;
mod foreign;
mod job;

use std::collections::BTreeSet;

use adapter::adapter;
use approx::assert_relative_eq;
use job::{BATCH, Job, STEPS, bits, noise, small};
use lenslet::compile::{Choice, compile, compile_with, first};
use lenslet::gpu::GpuSession;
use lenslet::kernel::Limits;
use lenslet::nn::Model as _;
use lenslet::wgpu;
use lenslet::wgpu::util::DeviceExt as _;
use lenslet::{
    Device, Error, Gpu, Graph, HostData, NodeId, Session, ShaderChecks, Tensor, TensorType, Window, device, models,
};

#[test]
fn replays_give_identical_bytes_however_they_are_submitted() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    let job = Job::new(&small());
    let first = job.trained(&gpu, &[1; STEPS]);
    assert!(first[1].chunks(3).all(|row| f32::from_bits(row[2]) == BATCH as f32), "every step is recorded");
    for submissions in [&[1; STEPS][..], &[STEPS], &[2, 1, 3]] {
        assert!(job.trained(&gpu, submissions) == first, "{submissions:?}");
    }
}

#[test]
fn dispatches_side_by_side_compute_what_they_compute_alone() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    // The device's own kernels, and those through workgroup memory where there are any, as hardware GPUs have them.
    let through_memory: &Choice<'_> =
        &|_, _, kernels| Ok(kernels.iter().position(|kernel| kernel.name.ends_with("_block")).unwrap_or(0));
    let models = [small(), models::lenet5(), models::convnet()];
    for (model, choice) in models.iter().flat_map(|model| [(model, &first as &Choice<'_>), (model, through_memory)]) {
        let job = Job::new(model);
        // The same kernels: a software device runs few of them side by side, others all that do not depend on each other.
        let plan = |software| compile_with(&job.step.graph, &Limits { software, ..*gpu.limits() }, choice).unwrap();
        let plans = [true, false].map(plan);
        let [few, many] = plans.each_ref().map(|plan| plan.launches().count());
        assert!(many < few && few <= plans[0].steps.len(), "{}: {few}, {many}", model.name());
        let [apart, together] = plans.map(|plan| {
            let session = GpuSession::from_plan(&gpu, &job.step.graph, plan).unwrap();
            let mut session = job.with_leaves(Session::Gpu(Box::new(session)));
            session.run(STEPS);
            [job.step.parameters, job.step.batches.history].map(|node| session.read(node).unwrap())
        });
        for (apart, together) in apart.iter().zip(&together) {
            // A GPU's compiler may make one rounding of a product and its sum in one of both shaders only.
            if gpu.is_software() {
                assert!(bits(apart) == bits(together), "{}", model.name());
            } else {
                assert_relative_eq!(&apart[..], &together[..], epsilon = 1e-6, max_relative = 1e-4);
            }
        }
    }
}

#[test]
fn grids_fold_on_a_device_that_allows_few_workgroups_a_dimension() {
    if common::gpu(ShaderChecks::Trusted).is_none() {
        return;
    }
    let narrow = wgpu::Limits { max_compute_workgroups_per_dimension: 40, ..wgpu::Limits::default() };
    // Both without subgroups: the same kernels.
    let [folded, wide] = [narrow, wgpu::Limits::default()].map(|limits| {
        let (device, queue) = app_device(limits);
        Gpu::from_wgpu(device, queue)
    });
    let job = Job::new(&models::convnet());
    let plan = compile(&job.step.graph, folded.limits()).unwrap();
    let folds = plan.steps.iter().filter(|step| step.dispatch.workgroups > 40);
    let mut kernels: BTreeSet<_> = folds.map(|step| step.dispatch.shader.name).collect();
    assert!(job.trained(&folded, &[2]) == job.trained(&wide, &[2]));

    let (graph, [x, w]) = one_layer(50);
    let plan = compile(&graph, folded.limits()).unwrap();
    assert!(plan.steps[0].dispatch.workgroups > 40, "{plan}");
    kernels.insert(plan.steps[0].dispatch.shader.name);
    assert!(kernels.len() >= 5, "{kernels:?}");
    let values = noise(50 * 64 * 64);
    let pictures = Tensor::new([50, 1, 64, 64], values.clone()).unwrap();
    let filters = Tensor::new([2, 1, 3, 3], values[..18].to_vec()).unwrap();
    let run = |gpu: &Gpu| device::run(gpu, &graph, &[(x, &pictures), (w, &filters)]).unwrap();
    assert!(run(&folded) == run(&wide));
}

#[test]
fn more_than_65535_workgroups_fold() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    let length = 65_536 * 64 + 77;
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([length])).unwrap();
    let y = graph.relu(x).unwrap();
    let z = graph.add(y, x).unwrap();
    let sum = graph.sum(x, &[0], false).unwrap();
    graph.output(z);
    graph.output(sum);
    // Small whole numbers: sums of them are exact in whatever order.
    let values: Vec<f32> = noise(length).iter().map(|v| (v * 4.0).floor()).collect();

    let session = GpuSession::new(&gpu, &graph).unwrap();
    assert!(session.plan().steps.iter().any(|step| step.dispatch.workgroups > 65_535), "{}", session.plan());
    session.write(x, HostData::F32(&values)).unwrap();
    session.submit(1);
    let expected: Vec<f32> = values.iter().map(|v| v + v.max(0.0)).collect();
    assert!(session.read(z).unwrap() == expected);
    assert_eq!(session.read(sum).unwrap(), [values.iter().sum::<f32>()]);
}

// ---- in an app's hands --------------------------------------------------------------------------------------------

/// A device as an app makes it.
fn app_device(required_limits: wgpu::Limits) -> (wgpu::Device, wgpu::Queue) {
    let adapter = adapter().unwrap();
    let descriptor = wgpu::DeviceDescriptor { required_limits, ..Default::default() };
    pollster::block_on(adapter.request_device(&descriptor)).unwrap()
}

/// An app's own work: a buffer of floats that a compute pass doubles.
struct App {
    device: wgpu::Device,
    queue: wgpu::Queue,
    values: wgpu::Buffer,
    mapped: wgpu::Buffer,
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
}

impl App {
    fn new(values: &[f32]) -> Self {
        let (device, queue) = app_device(wgpu::Limits::default());
        device.on_uncaptured_error(std::sync::Arc::new(|error| panic!("the app hears of an error: {error}")));
        let values = device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: None,
            contents: bytemuck::cast_slice(values),
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        });
        let mapped = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: values.size(),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let double = "@group(0) @binding(0) var<storage, read_write> values: array<f32>;
            @compute @workgroup_size(1) fn double(@builtin(workgroup_id) id: vec3<u32>) { values[id.x] *= 2.0; }";
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(double.into()),
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
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: values.as_entire_binding() }],
        });
        Self { device, queue, values, mapped, pipeline, bind_group }
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&Default::default())
    }

    fn double(&self, encoder: &mut wgpu::CommandEncoder) {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.dispatch_workgroups((self.values.size() / 4) as u32, 1, 1);
    }

    /// Submits, and reads the values.
    fn submit(&self, mut encoder: wgpu::CommandEncoder) -> Vec<f32> {
        encoder.copy_buffer_to_buffer(&self.values, 0, &self.mapped, 0, self.values.size());
        self.queue.submit([encoder.finish()]);
        self.mapped.map_async(wgpu::MapMode::Read, .., |result| result.unwrap());
        self.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        let values = bytemuck::pod_collect_to_vec(&self.mapped.get_mapped_range(..).unwrap());
        self.mapped.unmap();
        values
    }
}

#[test]
fn a_step_encodes_between_an_apps_own_commands_and_leaves_its_device_usable() {
    if common::gpu(ShaderChecks::Trusted).is_none() {
        return;
    }
    let app = App::new(&[1.0, -2.0, 3.0, -4.0]);
    {
        let gpu = Gpu::from_wgpu(app.device.clone(), app.queue.clone());
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([4])).unwrap();
        let y = graph.relu(x).unwrap();
        let z = graph.add(y, x).unwrap();
        graph.output(z);
        let session = GpuSession::new(&gpu, &graph).unwrap();
        let [x, z] = [x, z].map(|node| session.plan().place(node).unwrap());
        let [into, from] = [x, z].map(|place| session.replay().buffer(place.buffer));

        let mut encoder = app.encoder();
        app.double(&mut encoder);
        encoder.copy_buffer_to_buffer(&app.values, 0, into, x.offset, x.bytes);
        session.encode(&mut encoder);
        encoder.copy_buffer_to_buffer(from, z.offset, &app.values, 0, z.bytes);
        app.double(&mut encoder);
        assert_eq!(app.submit(encoder), [8.0, -8.0, 24.0, -16.0]);
    }
    let mut encoder = app.encoder();
    app.double(&mut encoder);
    assert_eq!(app.submit(encoder), [16.0, -16.0, 48.0, -32.0]);
}

#[test]
fn training_runs_on_an_apps_device_with_default_limits_and_gives_it_back() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    let app = App::new(&[1.0; 4]);
    let lent = Gpu::from_wgpu(app.device.clone(), app.queue.clone());
    let job = Job::new(&small());
    // A device of lenslet's own may have more than the default, and other kernels then: sums in another order.
    let [lent_values, own_values] = [&lent, &gpu].map(|gpu| job.trained(gpu, &[STEPS]).concat());
    for (lent, own) in lent_values.iter().zip(&own_values).map(|(a, b)| (f32::from_bits(*a), f32::from_bits(*b))) {
        assert!((lent - own).abs() <= 1e-4 * own.abs().max(1.0), "{lent} on the app's device, {own} on our own");
    }
    drop(lent);
    let mut encoder = app.encoder();
    app.double(&mut encoder);
    assert_eq!(app.submit(encoder), [2.0; 4]);
}

// ---- memory and limits --------------------------------------------------------------------------------------------

#[test]
fn nothing_is_allocated_after_the_first_step() {
    if common::gpu(ShaderChecks::Trusted).is_none() {
        return;
    }
    // A device of its own: what other tests allocate does not count.
    let gpu = Gpu::new().unwrap();
    if gpu.device().generate_allocator_report().is_none() {
        println!("skipped: {} reports no allocations", gpu.backend());
        return;
    }
    let allocations = || {
        let report = gpu.device().generate_allocator_report().unwrap();
        let mut all: Vec<_> = report.allocations.iter().map(|a| (a.name.clone(), a.offset, a.size)).collect();
        all.sort();
        (all, report.total_reserved_bytes)
    };
    let job = Job::new(&small());
    let history = job.step.batches.history;
    let mut session = job.session(&gpu);
    session.run(1);
    session.read(history).unwrap();
    let before = allocations();
    assert!(before.0.len() > 10, "{before:?}");

    session.run(STEPS - 1);
    assert_eq!(allocations(), before, "under way");
    session.read(history).unwrap();
    assert_eq!(allocations(), before, "done and read");
    for _ in 0..20 {
        session.run(1);
        session.read(history).unwrap();
    }
    assert_eq!(allocations(), before, "twenty steps later");
    drop(session);
    gpu.wait().unwrap();
    assert!(allocations().0.len() < before.0.len(), "a session frees its buffers");
}

/// A convolution named "big" of a batch of so many pictures of 64x64.
fn one_layer(batch: usize) -> (Graph, [NodeId; 2]) {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([batch, 1, 64, 64])).unwrap();
    let w = graph.input("w", TensorType::f32([2, 1, 3, 3])).unwrap();
    graph.set_scope("big");
    let y = graph.conv2d(x, w, None, Window::new(3)).unwrap();
    graph.output(y);
    (graph, [x, w])
}

#[test]
fn a_limit_is_refused_before_anything_runs_with_layer_limit_needed_and_available() {
    // 5,000 pictures are 82 MB, their two maps 154 MB; a binding may have 134 MB by default.
    let (graph, _) = one_layer(5000);
    let check = |error: Error| {
        let needed = 5000 * 2 * 62 * 62 * 4;
        match &error {
            Error::Limit { what, limit, needed: n, available, .. } => {
                assert!(what.contains("conv2d \"big\""), "{what}");
                assert_eq!((*limit, *n, *available), ("maxStorageBufferBindingSize", needed, 128 << 20));
            }
            other => panic!("{other}"),
        }
        let text = error.to_string();
        for part in ["conv2d \"big\"", "maxStorageBufferBindingSize of 153760000", "has 134217728", "smaller batch"] {
            assert!(text.contains(part), "{text:?} lacks {part:?}");
        }
    };
    check(compile(&graph, &Limits::default()).unwrap_err());
    if common::gpu(ShaderChecks::Trusted).is_some() {
        let (device, queue) = app_device(wgpu::Limits::default());
        let gpu = Gpu::from_wgpu(device, queue);
        check(GpuSession::new(&gpu, &graph).err().unwrap());
        // The device is none the worse for it.
        assert!(GpuSession::new(&gpu, &one_layer(2).0).is_ok());
    }
}

#[test]
fn every_limit_is_refused_by_its_name() {
    let (graph, _) = one_layer(100);
    let error = |limits: Limits| match compile(&graph, &limits).unwrap_err() {
        Error::Limit { what, limit, .. } => {
            assert!(what.contains("conv2d \"big\""), "{what}");
            limit
        }
        other => panic!("{other}"),
    };
    let limits = Limits::default();
    assert!(compile(&graph, &limits).is_ok());
    assert_eq!(error(Limits { max_buffer_size: 2 << 20, ..limits }), "maxBufferSize");
    assert_eq!(error(Limits { max_storage_buffer_binding_size: 2 << 20, ..limits }), "maxStorageBufferBindingSize");
    assert_eq!(error(Limits { max_storage_buffers_per_shader_stage: 2, ..limits }), "maxStorageBuffersPerShaderStage");
    let side = Limits { max_compute_workgroups_per_dimension: 2, ..limits };
    assert_eq!(error(side), "maxComputeWorkgroupsPerDimension squared");
}

// ---- values in and out --------------------------------------------------------------------------------------------

#[test]
fn one_convolution_by_itself() {
    let (graph, [x, w]) = one_layer(3);
    let pictures = Tensor::new([3, 1, 64, 64], noise(3 * 64 * 64)).unwrap();
    let filters = Tensor::from_fn([2, 1, 3, 3], |i| if i < 9 { (i + 1) as f32 } else { 0.0 });
    let run = |device: Device| device::run(device, &graph, &[(x, &pictures), (w, &filters)]).unwrap();
    let expected = run(Device::Cpu);
    assert_eq!(expected[0].shape()[..], [3, 2, 62, 62]);
    let by_hand: f32 = (0..9).map(|i| (i + 1) as f32 * pictures.data()[i / 3 * 64 + i % 3]).sum();
    assert_relative_eq!(expected[0].data()[0], by_hand, max_relative = 1e-5);

    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    let found = run(Device::Gpu(gpu));
    // Nine products of at most 9: 4 ε √9 · 45.
    let budget = 4.0 * f32::EPSILON * 3.0 * 45.0;
    for (found, expected) in found[0].data().iter().zip(expected[0].data()) {
        assert!((found - expected).abs() <= budget, "{found} against {expected}, budget {budget:e}");
    }
}

/// `y = x + x`, which is not kept, and `z = 5 y`, which is.
fn chain() -> (Graph, [NodeId; 3]) {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([5])).unwrap();
    let y = graph.add(x, x).unwrap();
    let z = graph.scale(y, 5.0).unwrap();
    graph.output(z);
    (graph, [x, y, z])
}

#[test]
fn several_readings_are_in_flight_and_finish_in_any_order() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    let (graph, [x, _, z]) = chain();
    let session = GpuSession::new(&gpu, &graph).unwrap();
    let readings: Vec<_> = (1..=4)
        .flat_map(|round| {
            session.write(x, HostData::F32(&[round as f32; 5])).unwrap();
            [session.submit_and_read(1, x).unwrap(), session.start_reading(z).unwrap()]
        })
        .collect();
    for (i, reading) in readings.into_iter().enumerate().rev() {
        let round = (i / 2 + 1) as f32;
        let expected = if i % 2 == 0 { round } else { 10.0 * round };
        assert_eq!(session.finish_reading(reading).unwrap(), [expected; 5], "reading {i}");
    }
}

#[test]
fn what_does_not_fit_a_value_is_refused_with_expected_and_found() {
    let (graph, [x, y, z]) = chain();
    let mut devices = vec![Device::Cpu];
    devices.extend(common::gpu(ShaderChecks::Trusted).map(Device::Gpu));
    for device in devices {
        let mut session = Session::new(&device, &graph).unwrap();
        let error = |result: lenslet::Result<()>| result.unwrap_err().to_string();
        let long = error(session.write(x, [0.0f32; 6].as_slice()));
        assert_eq!(long, "value for \"x\": expected f32[5], found 6 values of f32");
        let other = error(session.write(x, [0u32; 5].as_slice()));
        assert_eq!(other, "value for \"x\": expected f32[5], found 5 values of u32");
        // Computed and not kept: its memory may hold something else by now.
        for lost in [error(session.read(y).map(|_| ())), error(session.run_and_read(1, y).map(|_| ()))] {
            assert!(lost.starts_with("node: expected a leaf or an output"), "{lost}");
        }
        session.write(x, [2.0f32; 5].as_slice()).unwrap();
        let answer = session.run_and_read(1, z).unwrap();
        assert_eq!(session.finish_reading(answer).unwrap(), [20.0; 5], "{}", device.name());
    }
}
