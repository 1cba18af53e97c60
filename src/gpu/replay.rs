//! A plan made ready: pipelines, buffers and bind groups, all made once. Encoding a step makes nothing.

use wgpu::util::DeviceExt as _;

use super::Gpu;
use crate::kernel::fold;
use crate::plan::{BufferRole, Launch, Plan};
use crate::{Error, Result};

/// A step that can be encoded again and again. WebGPU's command buffers are for one use, so replay means encoding the
/// same short list of cached objects anew.
pub struct Replay {
    buffers: Vec<wgpu::Buffer>,
    launches: Vec<Prepared>,
}

struct Prepared {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    grid: [u32; 2],
}

impl Replay {
    /// Makes everything a plan needs.
    ///
    /// Errors: out of memory, or the driver refuses a shader.
    pub fn new(gpu: &Gpu, plan: &Plan) -> Result<Self> {
        plan.check(gpu.limits())?;
        let device = gpu.device();
        let pipelines = gpu.pipelines(plan.launches())?;

        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let make = |spec: &crate::plan::BufferSpec| match &spec.role {
            BufferRole::Constant(values) => device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: Some(&spec.label),
                contents: bytemuck::cast_slice(values),
                usage,
            }),
            _ => device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(&spec.label),
                size: spec.bytes,
                usage,
                mapped_at_creation: false,
            }),
        };
        let buffers: Vec<_> = plan.buffers.iter().map(make).collect();
        if let Some(error) = pollster::block_on(memory.pop()) {
            let what = format!("{} bytes in {} buffers", plan.total_bytes(), plan.buffers.len());
            return Err(Error::Gpu { what, reason: format!("{error}; use a smaller batch or a smaller network") });
        }

        let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let prepare = |(launch, pipeline): (Launch<'_>, wgpu::ComputePipeline)| {
            let entry = |bound: &crate::plan::Bound| wgpu::BindGroupEntry {
                binding: bound.binding,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &buffers[bound.place.buffer],
                    offset: bound.place.offset,
                    size: wgpu::BufferSize::new(bound.place.bytes),
                }),
            };
            let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(launch.entry()),
                layout: &pipeline.get_bind_group_layout(0),
                entries: &launch.bindings().iter().map(entry).collect::<Vec<_>>(),
            });
            let side = gpu.limits().max_compute_workgroups_per_dimension;
            Prepared { pipeline, bind_group, grid: fold(launch.workgroups(), side).expect("the plan was checked") }
        };
        let launches = plan.launches().zip(pipelines).map(prepare).collect();
        match pollster::block_on(validation.pop()) {
            None => Ok(Self { buffers, launches }),
            Some(error) => Err(Error::Gpu { what: "bind groups".into(), reason: error.to_string() }),
        }
    }

    /// Appends one step to an encoder: one compute pass. Nothing is submitted, polled or allocated.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        self.encode_step(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
    }

    /// Appends one step to a pass.
    pub(super) fn encode_step(&self, pass: &mut wgpu::ComputePass<'_>) {
        (0..self.launches.len()).for_each(|launch| self.encode_launch(pass, launch));
    }

    /// Appends one launch of the step to a pass.
    pub(super) fn encode_launch(&self, pass: &mut wgpu::ComputePass<'_>, number: usize) {
        let launch = &self.launches[number];
        pass.set_pipeline(&launch.pipeline);
        pass.set_bind_group(0, &launch.bind_group, &[]);
        pass.dispatch_workgroups(launch.grid[0], launch.grid[1], 1);
    }

    /// Launches of a step: dispatch calls.
    pub fn launches(&self) -> usize {
        self.launches.len()
    }

    /// A buffer of the plan, by its position there.
    pub fn buffer(&self, number: usize) -> &wgpu::Buffer {
        &self.buffers[number]
    }
}
