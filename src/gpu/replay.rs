//! A plan with its pipelines, buffers and bind groups, all created once. Encoding a step creates nothing.

use std::collections::HashMap;
use std::ops::Range;

use crate::gpu::Gpu;
use crate::gpu::pipeline::Pipeline;
use crate::gpu::slices::Slices;
use crate::gpu::wait::block_on;
use crate::kernel::{SLICE_GROUP, fold};
use crate::plan::{BufferRole, Launch, Plan};
use crate::{Error, Result};

/// A step that can be encoded repeatedly. A WebGPU command buffer can be submitted only once, so each replay encodes
/// the same list of cached objects again.
pub struct Replay {
    buffers: Vec<wgpu::Buffer>,
    launches: Vec<Prepared>,
    slices: Option<Slices>,
}

struct Prepared {
    pipeline: Pipeline,
    bind_group: wgpu::BindGroup,
    grid: [u32; 2],
}

/// Options for preparing a plan.
#[derive(Default)]
pub struct Preparation {
    /// Existing buffers to use, by their index in the plan.
    pub given: HashMap<usize, wgpu::Buffer>,
    /// Whether dispatches can be run in slices.
    pub sliced: bool,
}

impl Replay {
    /// Creates everything a plan needs.
    ///
    /// Errors: out of memory; the driver refuses a shader; the device is lost.
    pub fn new(gpu: &Gpu, plan: &Plan, preparation: &Preparation) -> Result<Self> {
        block_on(Self::new_async(gpu, plan, preparation))
    }

    /// The `async` form of [`Replay::new`].
    pub async fn new_async(gpu: &Gpu, plan: &Plan, preparation: &Preparation) -> Result<Self> {
        plan.check(gpu.limits())?;
        gpu.check_lost_async().await?;
        let device = gpu.device();
        let pipelines = gpu.pipelines(plan.launches(), preparation.sliced).await?;

        let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let make =
            |(number, spec): (usize, &crate::plan::BufferSpec)| match (&spec.role, preparation.given.get(&number)) {
                (_, Some(given)) => given.clone(),
                (BufferRole::Constant(values), _) => gpu.buffer_of(&spec.label, bytemuck::cast_slice(values), usage),
                _ => device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some(&spec.label),
                    size: spec.bytes,
                    usage,
                    mapped_at_creation: false,
                }),
            };
        let buffers: Vec<_> = plan.buffers.iter().enumerate().map(make).collect();
        let no_memory = memory.pop();

        let prepare = |(launch, pipeline): (Launch<'_>, Pipeline)| {
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
                layout: &pipeline.pipeline.get_bind_group_layout(0),
                entries: &launch.bindings().iter().map(entry).collect::<Vec<_>>(),
            });
            let side = gpu.limits().max_compute_workgroups_per_dimension;
            Prepared { pipeline, bind_group, grid: fold(launch.workgroups(), side).expect("the plan was checked") }
        };
        let launches: Vec<_> = plan.launches().zip(pipelines).map(prepare).collect();
        let workgroups = |(launch, prepared): (Launch<'_>, &Prepared)| match prepared.pipeline.is_sliced {
            true => launch.workgroups(),
            false => 1,
        };
        let slices = preparation.sliced.then(|| Slices::new(gpu, plan.launches().zip(&launches).map(workgroups)));
        // Nothing is awaited before this point, so the error scope does not catch errors of the app.
        let invalid = validation.pop();
        if let Some(error) = no_memory.await {
            let what = format!("{} bytes in {} buffers", plan.total_bytes(), plan.buffers.len());
            return Err(Error::Gpu { what, reason: format!("{error}; use a smaller batch or a smaller network") });
        }
        let error = invalid.await;
        // Objects created on a lost device are invalid, even if no error was reported.
        gpu.check_lost_async().await?;
        match error {
            None => Ok(Self { buffers, launches, slices }),
            Some(error) => Err(Error::Gpu { what: "buffers and bind groups".into(), reason: error.to_string() }),
        }
    }

    /// Appends one step to an encoder, as one compute pass. Nothing is submitted, polled or allocated.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        self.encode_step(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
    }

    /// Appends one step to a pass.
    pub(super) fn encode_step(&self, pass: &mut wgpu::ComputePass<'_>) {
        (0..self.launches.len()).for_each(|launch| self.encode_launch(pass, launch));
    }

    /// Appends one dispatch of the step to a pass.
    pub(super) fn encode_launch(&self, pass: &mut wgpu::ComputePass<'_>, number: usize) {
        let launch = self.bind(pass, number);
        if let (Some(slices), true) = (&self.slices, launch.pipeline.is_sliced) {
            pass.set_bind_group(SLICE_GROUP, slices.first_workgroup(), &[0]);
        }
        pass.dispatch_workgroups(launch.grid[0], launch.grid[1], 1);
    }

    /// Sets the pipeline and bind group of a dispatch.
    fn bind(&self, pass: &mut wgpu::ComputePass<'_>, number: usize) -> &Prepared {
        let launch = &self.launches[number];
        pass.set_pipeline(&launch.pipeline.pipeline);
        pass.set_bind_group(0, &launch.bind_group, &[]);
        launch
    }

    /// Appends a range of a dispatch's slices to a pass.
    pub(super) fn encode_slices(&self, pass: &mut wgpu::ComputePass<'_>, number: usize, range: Range<u32>) {
        match &self.slices {
            Some(slices) if range != (0..slices.count(number)) => {
                self.bind(pass, number);
                for (offset, workgroups) in slices.dispatches(number, range) {
                    pass.set_bind_group(SLICE_GROUP, slices.first_workgroup(), &[offset]);
                    pass.dispatch_workgroups(workgroups, 1, 1);
                }
            }
            _ => self.encode_launch(pass, number),
        }
    }

    /// The number of slices of each dispatch: 1 if it has only one workgroup or was not prepared for slicing.
    pub fn slices(&self) -> Vec<u32> {
        (0..self.launches()).map(|number| self.slices.as_ref().map_or(1, |slices| slices.count(number))).collect()
    }

    /// The number of dispatches of a step.
    pub fn launches(&self) -> usize {
        self.launches.len()
    }

    /// A buffer of the plan, by its index.
    pub fn buffer(&self, number: usize) -> &wgpu::Buffer {
        &self.buffers[number]
    }
}
