//! SIMD inner loops of the f32 CPU path: sums of scaled rows and dot products of rows, with the widest vectors of the
//! processor. The summation order does not depend on the number of threads.

pub(in crate::ops) use pulp::NullaryFnOnce;
pub(in crate::ops) use pulp::{Arch, Simd, WithSimd};

/// Maximum rows of a register tile that shares loads of two vectors.
const MAX_ROWS: usize = 6;
/// Depth of a block whose rows stay in the L1 cache.
const DEPTH: usize = 256;

/// Runs plain loops compiled for the processor's vector instructions. The compiler may outline closures of more than a
/// few lines and compile them for the baseline; a type whose `call` is `#[inline(always)]` is always included.
pub(crate) fn vectorized<R>(loops: impl NullaryFnOnce<Output = R>) -> R {
    Arch::new().dispatch(loops)
}

/// A matrix `[rows, depth]` packed in panels of a few rows, each column by column.
pub(in crate::ops) struct Panels {
    rows: usize,
    height: usize,
    depth: usize,
    data: Vec<f32>,
}

impl Panels {
    /// Packs the matrix whose element `[m, t]` is `a[m · strides[0] + t · strides[1]]`.
    pub fn new(a: &[f32], [rows, depth]: [usize; 2], strides: [usize; 2]) -> Self {
        let height = rows.div_ceil(rows.div_ceil(MAX_ROWS));
        let mut data = Vec::with_capacity(rows * depth);
        for first in (0..rows).step_by(height) {
            for t in 0..depth {
                let column = &a[t * strides[1]..];
                (first..rows.min(first + height)).for_each(|m| data.push(column[m * strides[0]]));
            }
        }
        Self { rows, height, depth, data }
    }

    /// First row, number of rows and elements of each panel, for a range of the depth.
    fn parts(&self, depth: std::ops::Range<usize>) -> impl Iterator<Item = (usize, usize, &[f32])> {
        (0..self.rows).step_by(self.height).map(move |first| {
            let rows = self.height.min(self.rows - first);
            (first, rows, &self.data[first * self.depth + depth.start * rows..first * self.depth + depth.end * rows])
        })
    }
}

/// Computes `c[c_at[m] + j] += Σ_t a[m,t] · b[b_at[t] + j]` for all j below `columns`.
pub(in crate::ops) fn add_rows(a: &Panels, b: &[f32], b_at: &[usize], columns: usize, c: &mut [f32], c_at: &[usize]) {
    assert!(a.depth == b_at.len() && a.rows == c_at.len(), "one offset per row");
    Arch::new().dispatch(AddRows { a, b, b_at, columns, c, c_at });
}

struct AddRows<'a> {
    a: &'a Panels,
    b: &'a [f32],
    b_at: &'a [usize],
    columns: usize,
    c: &'a mut [f32],
    c_at: &'a [usize],
}

impl WithSimd for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for start in (0..self.a.depth).step_by(DEPTH) {
            let depth = start..self.a.depth.min(start + DEPTH);
            for j in (0..self.columns).step_by(2 * S::F32_LANES) {
                let left = self.columns - j;
                for (first, rows, panel) in self.a.parts(depth.clone()) {
                    let tile = Tile { panel, b_at: &self.b_at[depth.clone()], first, j, left };
                    match rows {
                        6 => self.columns_of_tile::<S, 6>(simd, tile),
                        5 => self.columns_of_tile::<S, 5>(simd, tile),
                        4 => self.columns_of_tile::<S, 4>(simd, tile),
                        3 => self.columns_of_tile::<S, 3>(simd, tile),
                        2 => self.columns_of_tile::<S, 2>(simd, tile),
                        _ => self.columns_of_tile::<S, 1>(simd, tile),
                    }
                }
            }
        }
    }
}

struct Tile<'a> {
    panel: &'a [f32],
    b_at: &'a [usize],
    first: usize,
    j: usize,
    left: usize,
}

impl AddRows<'_> {
    #[inline(always)]
    fn columns_of_tile<S: Simd, const ROWS: usize>(&mut self, simd: S, tile: Tile<'_>) {
        match tile.left.div_ceil(S::F32_LANES) {
            1 => self.tile::<S, ROWS, 1, false>(simd, tile),
            2 if tile.left < 2 * S::F32_LANES => self.tile::<S, ROWS, 2, false>(simd, tile),
            _ => self.tile::<S, ROWS, 2, true>(simd, tile),
        }
    }

    /// A register tile of `VECTORS` vectors of columns; the last may be partial unless `WHOLE`.
    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const VECTORS: usize, const WHOLE: bool>(&mut self, simd: S, tile: Tile<'_>) {
        let width = if WHOLE { VECTORS * S::F32_LANES } else { tile.left };
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        for (a, at) in tile.panel.as_chunks::<ROWS>().0.iter().zip(tile.b_at) {
            let b = load::<S, VECTORS, WHOLE>(simd, &self.b[at + tile.j..][..width]);
            for (sums, a) in sums.iter_mut().zip(a) {
                let a = simd.splat_f32s(*a);
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = simd.mul_add_e_f32s(a, b, *sum);
                }
            }
        }
        for (sums, at) in sums.into_iter().zip(&self.c_at[tile.first..][..ROWS]) {
            let c = &mut self.c[at + tile.j..][..width];
            let old = load::<S, VECTORS, WHOLE>(simd, c);
            for (v, (old, sum)) in old.into_iter().zip(sums).enumerate() {
                let new = simd.add_f32s(old, sum);
                match WHOLE {
                    true => S::as_mut_simd_f32s(c).0[v] = new,
                    false => {
                        let end = c.len().min((v + 1) * S::F32_LANES);
                        simd.partial_store_f32s(&mut c[v * S::F32_LANES..end], new);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn load<S: Simd, const VECTORS: usize, const WHOLE: bool>(simd: S, b: &[f32]) -> [S::f32s; VECTORS] {
    // Plain loops, because closures of array methods would not be compiled for these vectors.
    let mut vectors = [simd.splat_f32s(0.0); VECTORS];
    for (v, vector) in vectors.iter_mut().enumerate() {
        *vector = match WHOLE {
            true => S::as_simd_f32s(b).0[v],
            false => simd.partial_load_f32s(&b[v * S::F32_LANES..b.len().min((v + 1) * S::F32_LANES)]),
        };
    }
    vectors
}

/// A matrix of `count` images whose rows are contiguous runs of `length`; row m of an image begins at `starts[m]`, and
/// images are `image` elements apart.
pub(in crate::ops) struct Runs<'a> {
    pub data: &'a [f32],
    pub starts: &'a [usize],
    pub image: usize,
}

impl<'a> Runs<'a> {
    /// Adjacent rows of an image. Beyond the last row it is repeated, and the results are discarded.
    fn runs<const ROWS: usize>(&self, image: usize, first: usize, length: usize) -> [&'a [f32]; ROWS] {
        let start = |row: usize| image * self.image + self.starts[row.min(self.starts.len() - 1)];
        std::array::from_fn(|i| &self.data[start(first + i)..][..length])
    }
}

/// Computes `c[m·columns + j] += Σ_i,t a[i,m,t] · b[i,j,t]` over the images i and t below `length`.
pub(in crate::ops) fn add_dots(a: Runs<'_>, b: Runs<'_>, count: usize, length: usize, c: &mut [f32]) {
    Arch::new().dispatch(AddDots { a, b, count, length, c });
}

struct AddDots<'a> {
    a: Runs<'a>,
    b: Runs<'a>,
    count: usize,
    length: usize,
    c: &'a mut [f32],
}

/// Columns of a register tile of [`add_dots`].
const COLUMNS: usize = 4;

impl WithSimd for AddDots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let rows = self.a.starts.len();
        for j in (0..self.b.starts.len()).step_by(COLUMNS) {
            // 4 x 4 sums and their operands exceed 16 registers; three rows waste less for 6 filters.
            let height =
                if S::REGISTER_COUNT < 32 || !rows.is_multiple_of(4) && rows.is_multiple_of(3) { 3 } else { 4 };
            for m in (0..rows).step_by(height) {
                match height.min(rows - m) {
                    4 => self.tile::<S, 4>(simd, m, j),
                    3 => self.tile::<S, 3>(simd, m, j),
                    2 => self.tile::<S, 2>(simd, m, j),
                    _ => self.tile::<S, 1>(simd, m, j),
                }
            }
        }
    }
}

impl AddDots<'_> {
    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize>(&mut self, simd: S, m: usize, j: usize) {
        let columns = self.b.starts.len();
        let mut sums = [[simd.splat_f32s(0.0); COLUMNS]; ROWS];
        let whole = self.length / S::F32_LANES * S::F32_LANES;
        for image in 0..self.count {
            let a: [&[f32]; ROWS] = self.a.runs(image, m, self.length);
            let b: [&[f32]; COLUMNS] = self.b.runs(image, j, self.length);
            for at in (0..whole).step_by(S::F32_LANES) {
                multiply::<S, ROWS, true>(simd, &mut sums, a, b, at);
            }
            if whole < self.length {
                multiply::<S, ROWS, false>(simd, &mut sums, a, b, whole);
            }
        }
        for (i, sums) in sums.into_iter().enumerate() {
            let c = &mut self.c[(m + i) * columns..][..columns][j..];
            c.iter_mut().zip(sums).for_each(|(c, sum)| *c += simd.reduce_sum_f32s(sum));
        }
    }
}

/// Adds the products of one vector of all rows of `a` and `b` at offset `at`; a partial vector unless `WHOLE`.
#[inline(always)]
fn multiply<S: Simd, const ROWS: usize, const WHOLE: bool>(
    simd: S,
    sums: &mut [[S::f32s; COLUMNS]; ROWS],
    a: [&[f32]; ROWS],
    b: [&[f32]; COLUMNS],
    at: usize,
) {
    let width = if WHOLE { S::F32_LANES } else { a[0].len() - at };
    let mut vectors = [simd.splat_f32s(0.0); COLUMNS];
    for (vector, b) in vectors.iter_mut().zip(b) {
        *vector = load::<S, 1, WHOLE>(simd, &b[at..][..width])[0];
    }
    for (sums, a) in sums.iter_mut().zip(a) {
        let a = load::<S, 1, WHOLE>(simd, &a[at..][..width])[0];
        for (sum, b) in sums.iter_mut().zip(vectors) {
            *sum = simd.mul_add_e_f32s(a, b, *sum);
        }
    }
}
