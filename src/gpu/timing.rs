//! How long each dispatch of a step takes on the device.

use std::time::{Duration, Instant};

use super::{Gpu, Replay};
use crate::{Error, Result};

/// Rounds of a dispatch in one submission where the device has no clock.
const ROUNDS_WITHOUT_CLOCK: u32 = 8;

impl Gpu {
    /// Whether the device can say itself when a pass began and ended.
    pub fn has_clock(&self) -> bool {
        self.device().features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }
}

impl Replay {
    /// The device's time for each dispatch of one step, in the plan's order. The step is run: variables advance by one
    /// step, or by several on a device without a clock.
    ///
    /// Each dispatch gets a pass of its own, so short ones look longer than they are within a step. Without
    /// [`Gpu::has_clock`] it is the wall time of a submission that repeats the dispatch, divided by the rounds: then
    /// values that kernels advance are not meaningful afterwards.
    ///
    /// Errors: the device fails.
    pub fn time(&self, gpu: &Gpu) -> Result<Vec<Duration>> {
        match gpu.has_clock() {
            true => self.time_by_clock(gpu),
            false => self.time_by_waiting(gpu),
        }
    }

    fn time_by_clock(&self, gpu: &Gpu) -> Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(self.dispatches());
        let most = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;
        for first in (0..self.dispatches()).step_by(most) {
            times.extend(self.time_range(gpu, first..(first + most).min(self.dispatches()))?);
        }
        Ok(times)
    }

    fn time_range(&self, gpu: &Gpu, range: std::ops::Range<usize>) -> Result<Vec<Duration>> {
        let device = gpu.device();
        let count = 2 * range.len() as u32;
        let bytes = u64::from(count) * 8;
        let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("dispatch times"),
            ty: wgpu::QueryType::Timestamp,
            count,
        });
        let buffer = |usage| {
            let label = Some("dispatch times");
            device.create_buffer(&wgpu::BufferDescriptor { label, size: bytes, usage, mapped_at_creation: false })
        };
        let resolved = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
        let staging = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
        let mut encoder = device.create_command_encoder(&Default::default());
        for (number, dispatch) in range.enumerate() {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &queries,
                    beginning_of_pass_write_index: Some(2 * number as u32),
                    end_of_pass_write_index: Some(2 * number as u32 + 1),
                }),
            });
            self.encode_dispatch(&mut pass, dispatch);
        }
        encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, bytes);
        gpu.queue().submit([encoder.finish()]);
        staging.map_async(wgpu::MapMode::Read, .., |_| ());
        gpu.wait()?;
        let failed = |reason: String| Error::Gpu { what: "reading dispatch times".into(), reason };
        let mapped = staging.get_mapped_range(..).map_err(|e| failed(e.to_string()))?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&mapped);
        let tick = f64::from(gpu.queue().get_timestamp_period());
        Ok(ticks.chunks(2).map(|t| Duration::from_nanos((t[1].saturating_sub(t[0]) as f64 * tick) as u64)).collect())
    }

    fn time_by_waiting(&self, gpu: &Gpu) -> Result<Vec<Duration>> {
        let submit = |dispatch: Option<usize>| {
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            if let Some(dispatch) = dispatch {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                (0..ROUNDS_WITHOUT_CLOCK).for_each(|_| self.encode_dispatch(&mut pass, dispatch));
            }
            let start = Instant::now();
            gpu.queue().submit([encoder.finish()]);
            gpu.wait()?;
            Ok::<_, Error>(start.elapsed())
        };
        let mut times = vec![];
        for dispatch in 0..self.dispatches() {
            let (nothing, rounds) = (submit(None)?, submit(Some(dispatch))?);
            times.push(rounds.saturating_sub(nothing) / ROUNDS_WITHOUT_CLOCK);
        }
        Ok(times)
    }
}
