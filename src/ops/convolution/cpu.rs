//! f32 convolution on the CPU. Each image is repacked so that every tap of all windows is one contiguous run, and the
//! convolution becomes [sums over runs](crate::ops::loops::simd).
//!
//! The image is padded, and its rows and columns are grouped by phase (position modulo stride), so that adjacent
//! windows are adjacent in memory for any stride. Planes are walked flat, across row ends; results of windows that
//! would span a row end are discarded or multiplied by 0. lie across them is not used, or is multiplied by 0.

use rayon::prelude::*;

use crate::ops::convolution::extents::{Extents, IMAGES_PER_PART};
use crate::ops::loops::reference::span;
use crate::ops::loops::simd::{Panels, Runs, add_dots, add_rows};

/// Images per task, which share scratch memory.
const IMAGES_PER_TASK: usize = 4;
/// Maximum scratch memory for the images that the weight gradient sums at once, in floats.
const MAX_SCRATCH: usize = 1 << 22;

/// The packed layout of one image axis.
struct Axis {
    /// The phases (position modulo stride) that some tap starts from.
    phases: Vec<usize>,
    /// For each tap, the index of its phase and its offset within it, in windows.
    taps: Vec<[usize; 2]>,
    /// Positions of a phase.
    length: usize,
    outputs: usize,
    input: usize,
    stride: usize,
    begin: usize,
}

impl Axis {
    fn new(e: &Extents, axis: usize) -> Self {
        let (stride, outputs) = (e.window.stride[axis], e.placed.out[axis]);
        let starts = (0..e.window.size[axis]).map(|tap| tap * e.window.dilation[axis]);
        let mut phases: Vec<usize> = starts.clone().map(|start| start % stride).collect();
        phases.sort_unstable();
        phases.dedup();
        let phase = |start: usize| phases.binary_search(&(start % stride)).expect("collected above");
        let taps: Vec<[usize; 2]> = starts.map(|start| [phase(start), start / stride]).collect();
        let furthest = taps.iter().map(|tap| tap[1]).max().unwrap_or(0);
        let (input, begin) = ([e.h, e.w][axis], e.placed.begin[axis]);
        Self { phases, taps, length: outputs + furthest, outputs, input, stride, begin }
    }

    /// The positions of a phase that are inside the image, and the image coordinate of the first one.
    fn inside(&self, phase: usize) -> (std::ops::Range<usize>, usize) {
        span(self.length, self.input, self.stride, self.begin, self.phases[phase])
    }
}

/// The packed layout of one image's channels and of its outputs.
struct Packed<'a> {
    e: &'a Extents,
    rows: Axis,
    columns: Axis,
    /// Elements of a packed channel.
    channel: usize,
    /// Offset of each tap of a group's channels: `[C/groups, R, S]`.
    taps: Vec<usize>,
    /// Elements of a filter's output, row ends included.
    positions: usize,
}

impl<'a> Packed<'a> {
    fn new(e: &'a Extents) -> Self {
        let (rows, columns) = (Axis::new(e, 0), Axis::new(e, 1));
        let plane = rows.length * columns.length;
        let channel = rows.phases.len() * columns.phases.len() * plane;
        let mut taps = vec![];
        for c in 0..e.group_c {
            for [phase_h, ahead_h] in &rows.taps {
                for [phase_w, ahead_w] in &columns.taps {
                    let phase = phase_h * columns.phases.len() + phase_w;
                    taps.push(c * channel + phase * plane + ahead_h * columns.length + ahead_w);
                }
            }
        }
        let positions = (rows.outputs - 1) * columns.length + columns.outputs;
        Self { e, rows, columns, channel, taps, positions }
    }

    /// Calls `f(offset in the channel, length, offset in the image)` for each contiguous run of a channel within an
    /// image row.
    fn runs(&self, mut f: impl FnMut(usize, usize, usize)) {
        for phase_h in 0..self.rows.phases.len() {
            let (rows, h) = self.rows.inside(phase_h);
            for phase_w in 0..self.columns.phases.len() {
                let (columns, w) = self.columns.inside(phase_w);
                let plane = (phase_h * self.columns.phases.len() + phase_w) * self.rows.length;
                for (i, row) in rows.clone().enumerate() {
                    let at = (plane + row) * self.columns.length + columns.start;
                    f(at, columns.len(), (h + i * self.rows.stride) * self.e.w + w);
                }
            }
        }
    }

    /// Packs an image; the padding keeps its zeros.
    fn pack(&self, x: &[f32], flat: &mut [f32]) {
        let image = self.e.h * self.e.w;
        for (x, flat) in x.chunks(image).zip(flat.chunks_mut(self.channel)) {
            self.runs(|at, length, first| {
                let flat = &mut flat[at..][..length];
                match self.columns.stride {
                    1 => flat.copy_from_slice(&x[first..][..length]),
                    stride => flat.iter_mut().zip(x[first..].iter().step_by(stride)).for_each(|(f, x)| *f = *x),
                }
            });
        }
    }

    /// Adds a packed image to the image.
    fn add_packed(&self, flat: &[f32], x: &mut [f32]) {
        let image = self.e.h * self.e.w;
        for (x, flat) in x.chunks_mut(image).zip(flat.chunks(self.channel)) {
            self.runs(|at, length, first| {
                let flat = &flat[at..][..length];
                let stride = self.columns.stride;
                x[first..].iter_mut().step_by(stride).zip(flat).for_each(|(x, f)| *x += f);
            });
        }
    }

    /// Packs the outputs of an image, with zeros at the row ends.
    fn pack_outputs(&self, y: &[f32], flat: &mut [f32]) {
        let plane = self.rows.outputs * self.columns.outputs;
        for (y, flat) in y.chunks(plane).zip(flat.chunks_mut(self.positions)) {
            for (y, flat) in y.chunks(self.columns.outputs).zip(flat.chunks_mut(self.columns.length)) {
                flat[..y.len()].copy_from_slice(y);
            }
        }
    }

    /// Offsets of the filters of a group among the outputs.
    fn filters(&self, group: usize) -> Vec<usize> {
        (0..self.e.group_k).map(|k| (group * self.e.group_k + k) * self.positions).collect()
    }

    /// Offsets of the taps of a group.
    fn taps_of(&self, group: usize) -> Vec<usize> {
        self.taps.iter().map(|tap| group * self.e.group_c * self.channel + tap).collect()
    }
}

impl Extents {
    /// [`Extents::forward`] in f32.
    pub fn forward_f32(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        let flat = Packed::new(self);
        let plane = self.placed.out[0] * self.placed.out[1];
        let (x_size, y_size, weights) = (self.c * self.h * self.w, self.k * plane, self.group_k * self.taps());
        let groups: Vec<_> = w
            .chunks(weights)
            .map(|w| Panels::new(w, [self.group_k, self.taps()], [self.taps(), 1]))
            .enumerate()
            .map(|(group, panels)| (panels, flat.taps_of(group), flat.filters(group)))
            .collect();
        let tasks = y.par_chunks_mut(IMAGES_PER_TASK * y_size).zip(x.par_chunks(IMAGES_PER_TASK * x_size));
        tasks.for_each(|(y, x)| {
            let mut laid = vec![0.0; self.c * flat.channel];
            let mut sums = vec![0.0; self.k * flat.positions];
            for (y, x) in y.chunks_mut(y_size).zip(x.chunks(x_size)) {
                flat.pack(x, &mut laid);
                for (k, sums) in sums.chunks_mut(flat.positions).enumerate() {
                    sums.fill(bias.map_or(0.0, |bias| bias[k]));
                }
                for (panels, taps, filters) in &groups {
                    add_rows(panels, &laid, taps, flat.positions, &mut sums, filters);
                }
                for (y, sums) in y.chunks_mut(plane).zip(sums.chunks(flat.positions)) {
                    for (y, sums) in y.chunks_mut(flat.columns.outputs).zip(sums.chunks(flat.columns.length)) {
                        y.copy_from_slice(&sums[..y.len()]);
                    }
                }
            }
        });
    }

    /// [`Extents::grad_input`] in f32.
    pub fn grad_input_f32(&self, w: &[f32], dy: &[f32], bias: Option<&[f32]>, dx: &mut [f32]) {
        let flat = Packed::new(self);
        let (image, plane) = (self.h * self.w, self.placed.out[0] * self.placed.out[1]);
        let (x_size, y_size, weights) = (self.c * image, self.k * plane, self.group_k * self.taps());
        let groups: Vec<_> = w
            .chunks(weights)
            .map(|w| Panels::new(w, [self.taps(), self.group_k], [1, self.taps()]))
            .enumerate()
            .map(|(group, panels)| (panels, flat.taps_of(group), flat.filters(group)))
            .collect();
        let tasks = dx.par_chunks_mut(IMAGES_PER_TASK * x_size).zip(dy.par_chunks(IMAGES_PER_TASK * y_size));
        tasks.for_each(|(dx, dy)| {
            let mut laid = vec![0.0; self.c * flat.channel];
            let mut outputs = vec![0.0; self.k * flat.positions];
            for (dx, dy) in dx.chunks_mut(x_size).zip(dy.chunks(y_size)) {
                flat.pack_outputs(dy, &mut outputs);
                laid.fill(0.0);
                for (panels, taps, filters) in &groups {
                    add_rows(panels, &outputs, filters, flat.positions, &mut laid, taps);
                }
                for (c, dx) in dx.chunks_mut(image).enumerate() {
                    dx.fill(bias.map_or(0.0, |bias| bias[c]));
                }
                flat.add_packed(&laid, dx);
            }
        });
    }

    /// [`Extents::grad_weight`] in f32.
    pub fn grad_weight_f32(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        let flat = Packed::new(self);
        let (image, plane) = (self.h * self.w, self.placed.out[0] * self.placed.out[1]);
        let (x_size, y_size, weights) = (self.c * image, self.k * plane, self.group_k * self.taps());
        let (x_laid, y_laid) = (self.c * flat.channel, self.k * flat.positions);
        let at_once = (MAX_SCRATCH / (x_laid + y_laid)).clamp(1, IMAGES_PER_PART);
        let groups: Vec<_> = (0..self.groups).map(|group| (flat.filters(group), flat.taps_of(group))).collect();
        let part = |(x, dy): (&[f32], &[f32])| {
            let mut dw = vec![0.0; self.k * self.taps()];
            let mut laid = vec![0.0; at_once * x_laid];
            let mut outputs = vec![0.0; at_once * y_laid];
            for (x, dy) in x.chunks(at_once * x_size).zip(dy.chunks(at_once * y_size)) {
                let count = x.len() / x_size;
                x.chunks(x_size).zip(laid.chunks_mut(x_laid)).for_each(|(x, laid)| flat.pack(x, laid));
                dy.chunks(y_size).zip(outputs.chunks_mut(y_laid)).for_each(|(y, laid)| flat.pack_outputs(y, laid));
                for ((filters, taps), dw) in groups.iter().zip(dw.chunks_mut(weights)) {
                    let dy = Runs { data: &outputs, starts: filters, image: y_laid };
                    let x = Runs { data: &laid, starts: taps, image: x_laid };
                    add_dots(dy, x, count, flat.positions, dw);
                }
            }
            dw
        };
        let parts: Vec<Vec<f32>> =
            x.par_chunks(IMAGES_PER_PART * x_size).zip(dy.par_chunks(IMAGES_PER_PART * y_size)).map(part).collect();
        dw.fill(0.0);
        parts.iter().for_each(|part| dw.iter_mut().zip(part).for_each(|(dw, part)| *dw += part));
    }
}
