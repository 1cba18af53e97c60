//! What max and average pooling share: a window placed over the planes of `[N, C, H, W]`.

use std::ops::Range;

use crate::kernel::{Dispatch, Kernel, MOST_ROUNDS, Operand, Shader};
use crate::shape::{DType, Placed, Shape, TensorType, Window};

/// Taps of a window from which on loops leave padding out.
const LARGE: usize = 64;

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
    /// A stride or dilation that makes no difference is replaced by the one that suits kernels best: a lone window
    /// along an axis strides over all of it, a lone tap has dilation 1.
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
                return Err(format!("{padded} {name} with padding (x {x}) are more than 31 bits count; pad less"));
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

    /// As [`Pool::new`], over the shape of an `x` that the shape rule has let through.
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

    /// Whether windows of two by two lie side by side: the pooling of most networks.
    pub fn halves(&self) -> bool {
        let Window { size, stride, dilation, .. } = self.window;
        [size, stride] == [[2, 2]; 2] && dilation == [1, 1] && !self.padded()
    }

    /// Whether windows lie side by side from the first element on, and none reaches beyond the last.
    pub fn side_by_side(&self) -> bool {
        let is_so = |axis: usize| {
            let size = self.window.size[axis];
            self.window.dilation[axis] == 1
                && self.placed.out[axis] == self.input[axis] / size
                && (self.window.stride[axis] == size || self.placed.out[axis] == 1)
        };
        !self.padded() && is_so(0) && is_so(1)
    }

    /// Whether a window may reach into padding.
    pub fn padded(&self) -> bool {
        self.placed.begin != [0, 0] || self.placed.end != [0, 0]
    }

    /// The same windows, first of one row each, over the columns, then of one column each, over the rows of what the
    /// first make: for windows too large for one invocation. `None` if they are not.
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

    /// A dispatch in which each invocation goes over the taps of a window. Padding is tested for at each tap of small
    /// windows, whose loops compilers unroll, and left out of the loops over large ones.
    pub fn dispatch_windows(&self, shader: Shader, windows: usize) -> Dispatch {
        let padded = [0, 1].map(|axis| self.placed.begin[axis] > 0 || self.placed.end[axis] > 0);
        let large = self.window.size[0] * self.window.size[1] > LARGE;
        self.dispatch(shader)
            .constants([("TESTED", usize::from(self.padded() && !large))])
            .constants([("CLIPPED_H", usize::from(padded[0] && large)), ("CLIPPED_W", usize::from(padded[1] && large))])
            .invocations(windows, 64)
    }

    /// The kernel that makes of x `[N, C, H, W]`, input 0, the value of each window; `with` sets what else the shader
    /// needs for a pool.
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

    /// The most windows that have a tap on one element.
    pub fn overlap(&self) -> usize {
        (0..2).map(|axis| self.span(axis).div_ceil(self.window.stride[axis]).min(self.window.size[axis])).product()
    }

    /// How many input positions a window reaches over along an axis.
    fn span(&self, axis: usize) -> usize {
        (self.window.size[axis] - 1) * self.window.dilation[axis] + 1
    }

    /// The input positions under each window, padding left out.
    pub fn taps(&self) -> Taps {
        let Self { window, placed, input } = self;
        let [rows, columns] = [0, 1].map(|axis| {
            let taps = |out| window.taps(placed, axis, out, input[axis]).map(|(_, at)| at).collect();
            (0..placed.out[axis]).map(taps).collect()
        });
        Taps { rows, columns }
    }

    /// How many taps of each window along `axis` lie on these positions, numbered from the first of the padding.
    pub fn taps_in(&self, axis: usize, positions: Range<usize>) -> Vec<usize> {
        let taps = |out| {
            (0..self.window.size[axis]).map(move |r| out * self.window.stride[axis] + r * self.window.dilation[axis])
        };
        (0..self.placed.out[axis]).map(|out| taps(out).filter(|at| positions.contains(at)).count()).collect()
    }

    /// The first output position along `axis`, if any, whose window has no tap inside the input.
    pub fn empty(&self, axis: usize) -> Option<usize> {
        let (size, stride, dilation) = (self.window.size[axis], self.window.stride[axis], self.window.dilation[axis]);
        let (begin, end) = (self.placed.begin[axis], self.placed.begin[axis] + self.input[axis]);
        (0..self.placed.out[axis]).find(|out| {
            let start = out * stride;
            let tap = begin.saturating_sub(start).div_ceil(dilation);
            tap >= size || start + tap * dilation >= end
        })
    }

    /// A dispatch of a pooling shader that goes over the taps of windows, with the constants that all of those have.
    pub fn dispatch(&self, shader: Shader) -> Dispatch {
        let Window { size, dilation, .. } = self.window;
        self.dispatch_planes(shader).constants([
            ("R", size[0]),
            ("S", size[1]),
            ("DILATION_H", dilation[0]),
            ("DILATION_W", dilation[1]),
        ])
    }

    /// A dispatch with the constants of every pooling shader: extents of the planes, and where windows begin.
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

    /// The dispatch with an invocation for each cell of `cell` rows and columns; they divide the stride.
    fn over_cells(&self, dispatch: Dispatch, planes: usize, cell: [usize; 2]) -> Dispatch {
        let (stride, begin) = (self.window.stride, self.placed.begin);
        let [down, across] = [0, 1].map(|axis| (self.input[axis] + begin[axis]).div_ceil(cell[axis]));
        let ragged = (0..2).any(|axis| begin[axis] > 0 || !self.input[axis].is_multiple_of(stride[axis]));
        dispatch
            .constants([("CELLS_H", down), ("CELLS_W", across), ("RAGGED", usize::from(ragged))])
            .invocations(planes * down * across, 64)
    }

    /// Windows that reach over one element along each axis.
    pub fn over(&self) -> [usize; 2] {
        [0, 1].map(|axis| (self.span(axis) - 1 + self.window.stride[axis]) / self.window.stride[axis])
    }

    /// As [`Pool::axis_by_axis`], for a gradient that goes over the windows over an element.
    pub fn gather_axis_by_axis(&self) -> Option<[Self; 2]> {
        let [rows, columns] = self.over();
        (rows * (1 + columns) > MOST_ROUNDS).then(|| self.split())
    }

    /// A gradient in which each invocation collects what the windows over a few elements give. Up to 4 x 4 of them
    /// share the index arithmetic; more would leave a GPU too few invocations, or an invocation too much to do.
    pub fn dispatch_gather(&self, shader: Shader, planes: usize) -> Dispatch {
        let [rows, columns] = self.over();
        let largest = [4, 2, 1].into_iter().find(|cell| cell * (1 + cell * (1 + rows * (1 + columns))) <= MOST_ROUNDS);
        let largest = largest.unwrap_or(1);
        let divides = |stride: usize| (1..=largest).rfind(|&cell| stride.is_multiple_of(cell)).expect("1 divides all");
        let cell = self.window.stride.map(divides);
        self.over_cells(self.dispatch(shader), planes, cell).constants([("CELL_H", cell[0]), ("CELL_W", cell[1])])
    }

    /// A gradient in which each invocation spreads what the one window over its elements gives, if none overlap and that
    /// is not too much.
    pub fn dispatch_disjoint(&self, shader: Shader, planes: usize) -> Option<Dispatch> {
        let disjoint = (0..2).all(|axis| self.span(axis) <= self.window.stride[axis]);
        let [down, across] = self.window.stride;
        let fits = disjoint && down.saturating_mul(1 + across) <= MOST_ROUNDS;
        fits.then(|| self.over_cells(self.dispatch_planes(shader), planes, self.window.stride))
    }
}

/// Input positions under the windows along each axis, by output position.
pub(in crate::ops) struct Taps {
    rows: Vec<Vec<usize>>,
    columns: Vec<Vec<usize>>,
}

impl Taps {
    /// Rows and columns under each window, in row-major order of the output.
    pub fn windows(&self) -> impl Iterator<Item = (&[usize], &[usize])> {
        let columns = || self.columns.iter().map(Vec::as_slice);
        self.rows.iter().flat_map(move |rows| columns().map(move |columns| (rows.as_slice(), columns)))
    }
}
