//! Launches in slices: ranges of their workgroups, each with a dispatch of its own.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::gpu::Gpu;

/// Most slices of a launch, unless its grid has more than so many times what one axis takes.
const MOST: u64 = 256;

/// How far apart uniforms lie that a bind group reaches by an offset: WebGPU's rule.
const STRIDE: u32 = 256;

/// The slices of all launches of a step, and the numbers of their first workgroups.
pub(super) struct Slices {
    launches: Vec<Launch>,
    first_workgroup: wgpu::BindGroup,
    /// Most workgroups of a dispatch of one axis.
    side: u32,
}

/// A launch's slices.
struct Launch {
    workgroups: u64,
    /// Workgroups of each slice, the last one aside.
    size: u32,
    /// Position of its first slice's number among all: launches with slices of one size share them.
    position: u32,
}

impl Launch {
    fn new(workgroups: u64, side: u32) -> Self {
        let size = workgroups.div_ceil(MOST).clamp(1, side.into()) as u32;
        Self { workgroups, size, position: 0 }
    }

    fn count(&self) -> u32 {
        self.workgroups.div_ceil(self.size.into()) as u32
    }

    /// For a range of slices, dispatches: the position of the number, and how many workgroups from there on.
    fn dispatches(&self, range: Range<u32>, side: u32) -> impl Iterator<Item = (u32, u32)> {
        // A grid that is folded may pass the end of the range, and workgroups must not run twice.
        let most = (side / self.size).max(1);
        range.clone().step_by(most as usize).map(move |slice| {
            let end = u64::from(range.end.min(slice + most)) * u64::from(self.size);
            let first = u64::from(slice) * u64::from(self.size);
            (self.position + slice, (end.min(self.workgroups) - first) as u32)
        })
    }
}

impl Slices {
    /// The slices of launches of so many workgroups.
    pub fn new(gpu: &Gpu, workgroups: impl Iterator<Item = u64>) -> Self {
        let side = gpu.limits().max_compute_workgroups_per_dimension;
        let mut launches: Vec<Launch> = workgroups.map(|workgroups| Launch::new(workgroups, side)).collect();
        let mut longest = BTreeMap::new();
        for launch in &launches {
            let count = longest.entry(launch.size).or_insert(0);
            *count = launch.count().max(*count);
        }
        // Whichever size comes first, the first number of all is 0, which whole launches use too.
        let mut numbers: Vec<u32> = vec![];
        for (size, count) in longest {
            let position = numbers.len() as u32;
            launches.iter_mut().filter(|launch| launch.size == size).for_each(|launch| launch.position = position);
            numbers.extend((0..count).map(|slice| slice * size));
        }
        let words = STRIDE as usize / 4;
        let mut spread = vec![0u32; numbers.len().max(1) * words];
        numbers.iter().enumerate().for_each(|(i, number)| spread[i * words] = *number);
        let usage = wgpu::BufferUsages::UNIFORM;
        let buffer = gpu.buffer_of("first workgroups", bytemuck::cast_slice(&spread), usage);
        let binding = wgpu::BufferBinding { buffer: &buffer, offset: 0, size: wgpu::BufferSize::new(4) };
        let first_workgroup = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("first workgroups"),
            layout: &gpu.slice_layout(),
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(binding) }],
        });
        Self { launches, first_workgroup, side }
    }

    /// The bind group of the number of a dispatch's first workgroup, at an offset of bytes.
    pub fn first_workgroup(&self) -> &wgpu::BindGroup {
        &self.first_workgroup
    }

    /// Slices of a launch.
    pub fn count(&self, launch: usize) -> u32 {
        self.launches[launch].count()
    }

    /// For a range of a launch's slices, dispatches: the offset of the number, and how many workgroups from there on.
    pub fn dispatches(&self, launch: usize, range: Range<u32>) -> impl Iterator<Item = (u32, u32)> {
        self.launches[launch].dispatches(range, self.side).map(|(position, count)| (position * STRIDE, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cover_every_workgroup_once() {
        for (workgroups, side) in
            [(1, 65_535), (2, 65_535), (63, 65_535), (65, 65_535), (10_007, 65_535), (9_000_000, 65_535)]
        {
            let launch = Launch { position: 5, ..Launch::new(workgroups, side) };
            let count = launch.count();
            for cut in [0, 1, count / 3, count] {
                let parts = [0..cut, cut..count];
                let mut next = 0u64;
                for (position, size) in parts.into_iter().flat_map(|range| launch.dispatches(range, side)) {
                    assert_eq!(u64::from(position - 5) * u64::from(launch.size), next, "{workgroups}");
                    assert!((1..=side).contains(&size), "{workgroups}: {size}");
                    next += u64::from(size);
                }
                assert_eq!(next, workgroups, "cut at {cut}");
            }
        }
        assert!(Launch::new(10_007, 65_535).count() <= MOST as u32);
    }
}
