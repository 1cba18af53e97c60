//! A pooling window placed over the planes of `[N, C, H, W]`, shared by max and average pooling.

use std::ops::Range;

use crate::kernel::{Dispatch, Kernel, MOST_ROUNDS, Operand, Shader};
use crate::shape::{DType, Placed, Shape, TensorType, Window};

/// Window size in taps above which loops are clipped to the input instead of testing each tap for padding.
const LARGE_WINDOW: usize = 64;

/// A window placed over planes of known size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pool {
    pub window: Window,
    pub placed: Placed,
    /// Rows and columns of the input.
    pub input: [usize; 2],
}

impl Pool {
    /// Places `window` over the last two axes of `x`.
    ///
    /// A stride or dilation without effect is replaced by the one that suits kernels best: with one window along an
    /// axis the stride is the whole axis, with one tap the dilation is 1.
    pub fn new(mut window: Window, x: &TensorType) -> Result<Self, String> {
        if x.dtype != DType::F32 {
            return Err(format!("x must be f32, is {x}"));
        }
        let [_, _, height, width] = x.shape.nchw("x")?;
        let input = [height, width];
        let placed = window.place(input)?;
        for axis in 0..2 {
            let padded = input[axis] + placed.begin[axis] + placed.end[axis];
            if padded > i32::MAX as usize {
                let name = ["rows", "columns"][axis];
                return Err(format!("{padded} {name} with padding (x {x}) exceed 31 bits; use less padding"));
            }
            if placed.out[axis] == 1 {
                window.stride[axis] = padded;
            }
            if window.size[axis] == 1 {
                window.dilation[axis] = 1;
            }
        }
        Ok(Self { window, placed, input })
    }

    /// [`Pool::new`] for an `x` that the shape rule has accepted.
    pub fn placed(window: Window, x: &Shape) -> Self {
        Self::new(window, &TensorType::f32(x.clone())).expect("infer has checked")
    }

    /// The type of the pooled `x`.
    pub fn output(&self, x: &TensorType) -> TensorType {
        TensorType::f32([x.shape[0], x.shape[1], self.placed.out[0], self.placed.out[1]])
    }

    /// Elements of one input plane.
    pub fn input_plane(&self) -> usize {
        self.input[0] * self.input[1]
    }

    /// Elements of one output plane.
    pub fn output_plane(&self) -> usize {
        self.placed.out[0] * self.placed.out[1]
    }

    /// Whether the pool is 2x2 with stride 2 and no padding, the pooling of most networks.
    pub fn is_2x2(&self) -> bool {
        let Window { size, stride, dilation, .. } = self.window;
        [size, stride] == [[2, 2]; 2] && dilation == [1, 1] && !self.padded()
    }

    /// Whether windows tile the plane from its first element on, without overlap or overhang.
    pub fn tiles_plane(&self) -> bool {
        let tiles_axis = |axis: usize| {
            let size = self.window.size[axis];
            self.window.dilation[axis] == 1
                && self.placed.out[axis] == self.input[axis] / size
                && (self.window.stride[axis] == size || self.placed.out[axis] == 1)
        };
        !self.padded() && tiles_axis(0) && tiles_axis(1)
    }

    /// Whether there is padding.
    pub fn padded(&self) -> bool {
        self.placed.begin != [0, 0] || self.placed.end != [0, 0]
    }

    /// The pool separated into two passes, first along the columns, then along the rows, for windows too large for one
    /// invocation; `None` if the window is small enough.
    pub fn axis_by_axis(&self) -> Option<[Self; 2]> {
        let [rows, columns] = self.window.size;
        (rows * (1 + columns) > MOST_ROUNDS).then(|| self.split())
    }

    fn split(&self) -> [Self; 2] {
        let mut pools = [*self; 2];
        for (axis, pool) in pools.iter_mut().enumerate() {
            (pool.window.size[axis], pool.window.stride[axis], pool.window.dilation[axis]) = (1, 1, 1);
            let placed = &mut pool.placed;
            (placed.begin[axis], placed.end[axis], placed.overhang[axis]) = (0, 0, 0);
        }
        pools[0].placed.out[0] = self.input[0];
        pools[1].input[1] = self.placed.out[1];
        pools
    }

    /// A dispatch in which each invocation loops over the taps of a window. Small windows, whose loops compilers
    /// unroll, test each tap for padding; large ones clip the loops.
    pub fn dispatch_windows(&self, shader: Shader, windows: usize) -> Dispatch {
        let padded = [0, 1].map(|axis| self.placed.begin[axis] > 0 || self.placed.end[axis] > 0);
        let large = self.window.size[0] * self.window.size[1] > LARGE_WINDOW;
        self.dispatch(shader)
            .constants([("TESTED", usize::from(self.padded() && !large))])
            .constants([("CLIPPED_H", usize::from(padded[0] && large)), ("CLIPPED_W", usize::from(padded[1] && large))])
            .invocations(windows, 64)
    }

    /// The kernel that computes one value per window of x `[N, C, H, W]`, input 0; `with` adds a shader's own
    /// constants.
    pub fn forward_kernel(&self, shader: Shader, x: &Shape, with: impl Fn(&Self, Dispatch) -> Dispatch) -> Kernel {
        let planes = x[0] * x[1];
        let dispatch = |pool: &Self, from, to| {
            let dispatch = pool.dispatch_windows(shader, planes * pool.output_plane());
            with(pool, dispatch).reads([from]).writes(to)
        };
        let (x, y) = (Operand::Input(0), Operand::Output);
        let Some([across, down]) = self.axis_by_axis() else { return Kernel::single(dispatch(self, x, y)) };
        let rows = Operand::Scratch(0);
        let scratch = vec![TensorType::f32([planes * across.output_plane()])];
        Kernel { name: shader.name, dispatches: vec![dispatch(&across, x, rows), dispatch(&down, rows, y)], scratch }
    }

    /// Maximum number of windows that have a tap on one element.
    pub fn overlap(&self) -> usize {
        (0..2).map(|axis| self.span(axis).div_ceil(self.window.stride[axis]).min(self.window.size[axis])).product()
    }

    /// Extent of the dilated window along an axis, in input elements.
    fn span(&self, axis: usize) -> usize {
        (self.window.size[axis] - 1) * self.window.dilation[axis] + 1
    }

    /// The input indices of each window, without padding.
    pub fn taps(&self) -> Taps {
        let Self { window, placed, input } = self;
        let [rows, columns] = [0, 1].map(|axis| {
            let taps = |out| window.taps(placed, axis, out, input[axis]).map(|(_, at)| at).collect();
            (0..placed.out[axis]).map(taps).collect()
        });
        Taps { rows, columns }
    }

    /// For each window along `axis`, its number of taps within `positions`, a range of the padded input.
    pub fn taps_in(&self, axis: usize, positions: Range<usize>) -> Vec<usize> {
        let taps = |out| {
            (0..self.window.size[axis]).map(move |r| out * self.window.stride[axis] + r * self.window.dilation[axis])
        };
        (0..self.placed.out[axis]).map(|out| taps(out).filter(|at| positions.contains(at)).count()).collect()
    }

    /// The first output along `axis`, if any, whose window has no tap inside the input.
    pub fn empty(&self, axis: usize) -> Option<usize> {
        let (size, stride, dilation) = (self.window.size[axis], self.window.stride[axis], self.window.dilation[axis]);
        let (begin, end) = (self.placed.begin[axis], self.placed.begin[axis] + self.input[axis]);
        (0..self.placed.out[axis]).find(|out| {
            let start = out * stride;
            let tap = begin.saturating_sub(start).div_ceil(dilation);
            tap >= size || start + tap * dilation >= end
        })
    }

    /// A dispatch of a pooling shader that loops over taps, with the constants that those share.
    pub fn dispatch(&self, shader: Shader) -> Dispatch {
        let Window { size, dilation, .. } = self.window;
        self.dispatch_planes(shader).constants([
            ("R", size[0]),
            ("S", size[1]),
            ("DILATION_H", dilation[0]),
            ("DILATION_W", dilation[1]),
        ])
    }

    /// A dispatch with the constants of every pooling shader: extents of the planes and placement of the windows.
    fn dispatch_planes(&self, shader: Shader) -> Dispatch {
        let Self { window, placed, input } = self;
        Dispatch::new(shader).constants([
            ("H", input[0]),
            ("W", input[1]),
            ("P", placed.out[0]),
            ("Q", placed.out[1]),
            ("STRIDE_H", window.stride[0]),
            ("STRIDE_W", window.stride[1]),
            ("PAD_TOP", placed.begin[0]),
            ("PAD_LEFT", placed.begin[1]),
        ])
    }

    /// The dispatch with one invocation per cell of `cell` rows and columns, which must divide the stride.
    fn over_cells(&self, dispatch: Dispatch, planes: usize, cell: [usize; 2]) -> Dispatch {
        let (stride, begin) = (self.window.stride, self.placed.begin);
        let [down, across] = [0, 1].map(|axis| (self.input[axis] + begin[axis]).div_ceil(cell[axis]));
        let ragged = (0..2).any(|axis| begin[axis] > 0 || !self.input[axis].is_multiple_of(stride[axis]));
        dispatch
            .constants([("CELLS_H", down), ("CELLS_W", across), ("RAGGED", usize::from(ragged))])
            .invocations(planes * down * across, 64)
    }

    /// Number of windows that may cover one element, along each axis.
    pub fn covering(&self) -> [usize; 2] {
        [0, 1].map(|axis| (self.span(axis) - 1 + self.window.stride[axis]) / self.window.stride[axis])
    }

    /// [`Pool::axis_by_axis`] for a gradient that loops over the windows covering an element.
    pub fn gather_axis_by_axis(&self) -> Option<[Self; 2]> {
        let [rows, columns] = self.covering();
        (rows * (1 + columns) > MOST_ROUNDS).then(|| self.split())
    }

    /// A gather gradient: each invocation sums the contributions of all windows covering a few elements. Up to 4 x 4
    /// elements share the index arithmetic; larger cells would leave a GPU too few invocations, or an invocation too
    /// many iterations.
    pub fn dispatch_gather(&self, shader: Shader, planes: usize) -> Dispatch {
        let [rows, columns] = self.covering();
        let largest = [4, 2, 1].into_iter().find(|cell| cell * (1 + cell * (1 + rows * (1 + columns))) <= MOST_ROUNDS);
        let largest = largest.unwrap_or(1);
        let divides = |stride: usize| (1..=largest).rfind(|&cell| stride.is_multiple_of(cell)).expect("1 divides all");
        let cell = self.window.stride.map(divides);
        self.over_cells(self.dispatch(shader), planes, cell).constants([("CELL_H", cell[0]), ("CELL_W", cell[1])])
    }

    /// A scatter gradient for windows without overlap: each invocation writes the elements of one window. `None` if
    /// windows overlap or are too large.
    pub fn dispatch_disjoint(&self, shader: Shader, planes: usize) -> Option<Dispatch> {
        let disjoint = (0..2).all(|axis| self.span(axis) <= self.window.stride[axis]);
        let [down, across] = self.window.stride;
        let fits = disjoint && down.saturating_mul(1 + across) <= MOST_ROUNDS;
        fits.then(|| self.over_cells(self.dispatch_planes(shader), planes, self.window.stride))
    }
}

/// Input indices of the windows along each axis, by output index.
pub(in crate::ops) struct Taps {
    rows: Vec<Vec<usize>>,
    columns: Vec<Vec<usize>>,
}

impl Taps {
    /// Rows and columns of each window, in row-major order of the output.
    pub fn windows(&self) -> impl Iterator<Item = (&[usize], &[usize])> {
        let columns = || self.columns.iter().map(Vec::as_slice);
        self.rows.iter().flat_map(move |rows| columns().map(move |columns| (rows.as_slice(), columns)))
    }
}
