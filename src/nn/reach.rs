//! Receptive fields.

use crate::shape::Window;

/// Which inputs one output of a layer depends on.
#[derive(Clone, Copy, Debug)]
pub enum Reach {
    /// The input at the same place.
    Point,
    /// The inputs under the window.
    Window(Window),
    /// All inputs.
    All,
    /// A number of neighbors; `to` outputs lie where `from` inputs do.
    Resized {
        /// Rows and columns of neighbors.
        taps: [usize; 2],
        /// Rows and columns of the input.
        from: [usize; 2],
        /// Rows and columns of the output.
        to: [usize; 2],
    },
}

/// Receptive field: how much of the image one value depends on, and how far apart in the image neighboring values look.
/// Enlarged maps have neighbors less than a pixel apart.
#[derive(Clone, Copy)]
pub(super) struct Field {
    pub size: [f64; 2],
    pub jump: [f64; 2],
}

impl Field {
    /// The field of an output of a layer whose inputs have `self`: a window adds its further taps, `jump` apart each.
    /// Araujo, Norris and Sim 2019, *Computing receptive fields of convolutional neural networks*.
    pub fn through(self, reach: Reach, image: Option<[usize; 2]>) -> Self {
        let extended = |further: [usize; 2], jump: [f64; 2]| Self {
            size: [0, 1].map(|i| self.size[i] + further[i] as f64 * self.jump[i]),
            jump,
        };
        match reach {
            Reach::Point => self,
            Reach::All => Self { size: image.map_or(self.size, |extents| extents.map(|n| n as f64)), jump: self.jump },
            Reach::Window(w) => extended(
                [0, 1].map(|i| w.dilation[i].saturating_mul(w.size[i].saturating_sub(1))),
                [0, 1].map(|i| self.jump[i] * w.stride[i] as f64),
            ),
            Reach::Resized { taps, from, to } => extended(
                taps.map(|n| n.saturating_sub(1)),
                [0, 1].map(|i| self.jump[i] * from[i] as f64 / to[i] as f64),
            ),
        }
    }

    /// The field of a value computed from both.
    pub fn join(self, other: Self) -> Self {
        let larger = |a: [f64; 2], b: [f64; 2]| [a[0].max(b[0]), a[1].max(b[1])];
        Self { size: larger(self.size, other.size), jump: larger(self.jump, other.jump) }
    }
}
