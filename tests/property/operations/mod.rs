//! Random generation of valid operations, and their construction. [`crate::changes`] makes invalid ones.

mod convolution;
mod elementwise;
mod layout;
mod losses;
mod matrices;
mod normalization;
mod pooling;
mod reductions;
mod training;

use lenslet::check::Case;
use proptest::prelude::*;
use proptest::sample::select;

use crate::line::{Fields, Line, Value, flag, pair, word};

/// An operation, or a family that shares options.
pub struct Operation {
    pub name: &'static str,
    /// Strategy of operands and options that match.
    pub draw: fn() -> BoxedStrategy<Fields>,
    /// The case of a line, valid or not.
    pub build: fn(&Line) -> Case,
}

pub fn all() -> Vec<Operation> {
    [
        convolution::all(),
        pooling::all(),
        matrices::all(),
        elementwise::all(),
        reductions::all(),
        layout::all(),
        losses::all(),
        normalization::all(),
        training::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A shape with this number of axes and few elements in total.
fn shape(axes: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<usize>> {
    // Extents around a workgroup and a block are rare, so that most cases stay small.
    let extent = prop_oneof![12 => 1usize..8, 1 => select(vec![16usize, 17, 63, 64, 65])];
    proptest::collection::vec(extent, axes).prop_map(|mut shape| {
        while shape.iter().product::<usize>() > 5_000 {
            let longest = shape.iter_mut().max().expect("a scalar is small");
            *longest = longest.div_ceil(2);
        }
        shape
    })
}

/// One of these words.
fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    select(words)
}

fn float_of(floats: &'static [f32]) -> impl Strategy<Value = f32> {
    select(floats)
}

/// A window that fits its image.
#[derive(Clone, Debug)]
struct Fitting {
    /// Rows and columns of the image.
    image: [usize; 2],
    size: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: Value,
    ceil: bool,
}

impl Fitting {
    /// Ensures that no window is entirely in padding, which has no maximum.
    fn with_taps_inside(mut self) -> Self {
        for axis in 0..2 {
            self.image[axis] = self.image[axis].max(self.dilation[axis]);
            if let Value::Numbers(sides) = &mut self.padding {
                let most = (self.size[axis] - 1) * self.dilation[axis];
                sides[2 * axis..][..2].iter_mut().for_each(|side| *side = most.min(*side));
                // Less padding requires a larger image.
                let padded = sides[2 * axis] + sides[2 * axis + 1];
                self.image[axis] = self.image[axis].max((most + 1).saturating_sub(padded));
            }
        }
        self
    }

    fn fields(&self) -> Fields {
        vec![
            ("size", pair(self.size)),
            ("stride", pair(self.stride)),
            ("dilation", pair(self.dilation)),
            ("padding", self.padding.clone()),
            ("ceil", flag(self.ceil)),
        ]
    }
}

fn window() -> impl Strategy<Value = Fitting> {
    let each = |range: std::ops::Range<usize>| [range.clone(), range];
    let padding = prop_oneof![
        Just([0; 4]).prop_map(|sides| (sides, None)),
        Just(([0; 4], Some("same"))),
        Just(([0; 4], Some("same_lower"))),
        [0usize..3, 0usize..3, 0usize..3, 0usize..3].prop_map(|sides| (sides, None)),
    ];
    let window = (each(1..5), each(1..4), each(1..4), padding, any::<bool>(), each(0..7));
    window.prop_map(|(size, stride, dilation, (sides, same), ceil, spare)| {
        let image = [0, 1].map(|axis| {
            let effective = (size[axis] - 1) * dilation[axis] + 1;
            let padded = if same.is_some() { effective } else { sides[2 * axis] + sides[2 * axis + 1] };
            effective.saturating_sub(padded).max(1) + spare[axis]
        });
        let padding = same.map_or_else(|| Value::Numbers(sides.into()), word);
        Fitting { image, size, stride, dilation, padding, ceil }
    })
}

/// The fields of `fields` with a `fill=` of `fills`.
fn filled(fields: impl Strategy<Value = Fields> + 'static, fills: &'static [&'static str]) -> BoxedStrategy<Fields> {
    let with = |(mut fields, fill): (Fields, &str)| {
        fields.push(("fill", word(fill)));
        fields
    };
    (fields, one_of(fills)).prop_map(with).boxed()
}
