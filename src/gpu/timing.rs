//! Device times of single dispatches and of whole steps.

use std::time::Duration;

use crate::gpu::{Gpu, Instant, Replay};
use crate::{Error, Result};

/// Repetitions of a dispatch in one submission, on a device without timestamps.
const ROUNDS_WITHOUT_CLOCK: u32 = 8;

impl Gpu {
    /// Whether the device supports timestamp queries.
    pub fn has_clock(&self) -> bool {
        self.device().features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }
}

impl Replay {
    /// The device time of each dispatch of one step, in the plan's order. The step is executed: variables advance by
    /// one step, or by several on a device without timestamps.
    ///
    /// Each dispatch has its own pass, so short dispatches appear longer than within a step. Without [`Gpu::has_clock`]
    /// the time is the wall time of a submission that repeats the dispatch, divided by the repetitions; variables are
    /// not meaningful afterwards.
    ///
    /// Errors: the device fails.
    pub fn time(&self, gpu: &Gpu) -> Result<Vec<Duration>> {
        if gpu.has_clock() {
            return time_passes(gpu, self.launches(), |pass, dispatch| self.encode_launch(pass, dispatch));
        }
        let one = |dispatch| {
            let rounds =
                |pass: &mut Pass<'_>| (0..ROUNDS_WITHOUT_CLOCK).for_each(|_| self.encode_launch(pass, dispatch));
            Ok(time_submission(gpu, rounds)? / ROUNDS_WITHOUT_CLOCK)
        };
        (0..self.launches()).map(one).collect()
    }

    /// The device time of `steps` steps in one pass. Without [`Gpu::has_clock`] it is the wall time of their submission
    /// minus that of an empty one.
    ///
    /// Errors: the device fails.
    pub fn time_steps(&self, gpu: &Gpu, steps: u32) -> Result<Duration> {
        let all = |pass: &mut Pass<'_>| (0..steps).for_each(|_| self.encode_step(pass));
        match gpu.has_clock() {
            true => Ok(time_passes(gpu, 1, |pass, _| all(pass))?[0]),
            false => time_submission(gpu, all),
        }
    }
}

type Pass<'a> = wgpu::ComputePass<'a>;

/// The device time of each of `count` passes.
fn time_passes(gpu: &Gpu, count: usize, encode: impl Fn(&mut Pass<'_>, usize)) -> Result<Vec<Duration>> {
    let most = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;
    let mut times = Vec::with_capacity(count);
    for first in (0..count).step_by(most) {
        times.extend(time_range(gpu, first..(first + most).min(count), &encode)?);
    }
    Ok(times)
}

fn time_range(
    gpu: &Gpu,
    range: std::ops::Range<usize>,
    encode: &impl Fn(&mut Pass<'_>, usize),
) -> Result<Vec<Duration>> {
    let device = gpu.device();
    let count = 2 * range.len() as u32;
    let bytes = u64::from(count) * 8;
    let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
        label: Some("times"),
        ty: wgpu::QueryType::Timestamp,
        count,
    });
    let buffer = |usage| {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("times"),
            size: bytes,
            usage,
            mapped_at_creation: false,
        })
    };
    let resolved = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
    let staging = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    let mut encoder = device.create_command_encoder(&Default::default());
    for (at, number) in range.enumerate() {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: None,
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &queries,
                beginning_of_pass_write_index: Some(2 * at as u32),
                end_of_pass_write_index: Some(2 * at as u32 + 1),
            }),
        });
        encode(&mut pass, number);
    }
    encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
    encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, bytes);
    gpu.queue().submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., |_| ());
    gpu.wait()?;
    let failed = |reason: String| Error::Gpu { what: "reading times".into(), reason };
    let mapped = staging.get_mapped_range(..).map_err(|e| failed(e.to_string()))?;
    let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&mapped);
    let tick = f64::from(gpu.queue().get_timestamp_period());
    Ok(ticks.chunks(2).map(|t| Duration::from_nanos((t[1].saturating_sub(t[0]) as f64 * tick) as u64)).collect())
}

/// The wall time of a submission of one pass, minus that of an empty submission.
fn time_submission(gpu: &Gpu, encode: impl Fn(&mut Pass<'_>)) -> Result<Duration> {
    let submit = |encode: Option<&dyn Fn(&mut Pass<'_>)>| {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        if let Some(encode) = encode {
            encode(&mut encoder.begin_compute_pass(&Default::default()));
        }
        let commands = encoder.finish();
        let start = Instant::now();
        gpu.queue().submit([commands]);
        gpu.wait()?;
        Ok::<_, Error>(start.elapsed())
    };
    let nothing = submit(None)?;
    Ok(submit(Some(&encode))?.saturating_sub(nothing))
}
