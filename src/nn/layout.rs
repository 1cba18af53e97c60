//! Where each parameter lives in the one flat buffer that holds them all.

use std::ops::Range;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::kernel;
use crate::nn::parameter::{Fate, ParameterSpec};
use crate::shape::TensorType;

/// Parameters begin at multiples of this many floats, so that kernels can be bound to them.
pub(super) const ALIGNMENT: usize = kernel::ALIGNMENT / 4;

/// First generator stream of initial values; those below are for shuffling and augmentation under the same seed.
const FIRST_STREAM: u64 = 1 << 32;

/// A model's parameters and their places in one flat buffer: those that are trained, group by group, then those that
/// are frozen, then running averages.
///
/// Gradients and optimizer state have the layout of the trained parameters, so that one optimizer update is one dispatch
/// a group.
#[derive(Clone, PartialEq, Debug)]
pub struct Layout {
    specs: Vec<ParameterSpec>,
    fates: Vec<Fate>,
    offsets: Vec<usize>,
    groups: Vec<Range<usize>>,
    frozen: Range<usize>,
    total: usize,
}

impl Layout {
    /// The same parameters in `groups` groups: `group` says for each that may be trained to which of them it belongs, and
    /// `None` freezes it. Of the running averages of a layer the first decides for all whether they are frozen.
    pub(crate) fn arranged(&self, groups: usize, group: impl Fn(&ParameterSpec) -> Option<usize>) -> Self {
        Self::place(self.specs.clone(), groups, group)
    }

    pub(super) fn place(
        specs: Vec<ParameterSpec>,
        groups: usize,
        group: impl Fn(&ParameterSpec) -> Option<usize>,
    ) -> Self {
        let mut fates: Vec<Fate> = Vec::with_capacity(specs.len());
        for spec in &specs {
            let fate = match (spec.statistic, spec.trainable.then(|| group(spec)).flatten()) {
                (Some(row), _) if row > 0 => *fates.last().expect("rows follow the first"),
                (_, None) => Fate::Frozen,
                (Some(_), _) => Fate::Tracked,
                (None, Some(group)) => Fate::Trained(group),
            };
            fates.push(fate);
        }
        let (mut offsets, mut end) = (vec![0; specs.len()], 0usize);
        let mut section = |fate: Fate| {
            let begin = end;
            for (i, spec) in specs.iter().enumerate().filter(|(i, _)| fates[*i] == fate) {
                // Rows of one matrix lie end to end.
                if spec.statistic.is_none_or(|row| row == 0) {
                    end = end.next_multiple_of(ALIGNMENT);
                }
                offsets[i] = end;
                end += spec.shape.elements();
            }
            end = end.next_multiple_of(ALIGNMENT);
            begin..end
        };
        let groups = (0..groups).map(|number| section(Fate::Trained(number))).collect();
        let frozen = section(Fate::Frozen);
        section(Fate::Tracked);
        Self { specs, fates, offsets, groups, frozen, total: end.max(ALIGNMENT) }
    }

    /// Length of the flat buffer, gaps included: a multiple of 64, and never 0.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Type of the flat buffer.
    pub fn ty(&self) -> TensorType {
        TensorType::f32([self.total])
    }

    /// The parameters in the order the model declares them.
    pub fn specs(&self) -> &[ParameterSpec] {
        &self.specs
    }

    /// Where each parameter begins, in elements.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// Each parameter with its range of the flat buffer.
    pub fn parameters(&self) -> impl Iterator<Item = (&ParameterSpec, Range<usize>)> {
        self.specs.iter().zip(&self.offsets).map(|(spec, &at)| (spec, at..at + spec.shape.elements()))
    }

    /// The number of parameters, gaps not counted.
    pub fn count(&self) -> usize {
        self.specs.iter().map(|spec| spec.shape.elements()).sum()
    }

    /// The number of parameters that training changes by their gradients.
    pub fn trainable(&self) -> usize {
        let trained = |(spec, fate): (&ParameterSpec, &Fate)| match fate {
            Fate::Trained(_) => spec.shape.elements(),
            _ => 0,
        };
        self.specs.iter().zip(&self.fates).map(trained).sum()
    }

    /// The [`Fate`] of each parameter in training.
    pub fn fates(&self) -> &[Fate] {
        &self.fates
    }

    /// The range of each group of trained parameters; all together they begin the flat buffer.
    pub fn groups(&self) -> &[Range<usize>] {
        &self.groups
    }

    /// Length of the part of the flat buffer that is trained, gaps included.
    pub fn trained(&self) -> usize {
        self.frozen.start
    }

    /// The range of the parameters that are frozen.
    pub fn frozen(&self) -> Range<usize> {
        self.frozen.clone()
    }

    /// Whether training steps move running averages.
    pub fn has_statistics(&self) -> bool {
        self.fates.contains(&Fate::Tracked)
    }

    /// The flat buffer before the first step; gaps hold 0.
    ///
    /// Each parameter draws from a stream of its own, of `seed` and its position among the parameters: its values do
    /// not change when another parameter changes its size.
    pub fn initial(&self, seed: u64) -> Vec<f32> {
        let mut flat = vec![0.0; self.total];
        for (stream, (spec, range)) in (FIRST_STREAM..).zip(self.parameters()) {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(stream);
            let rows = spec.shape.first().copied().unwrap_or(1);
            spec.init.fill(spec.fans, rows, &mut random, &mut flat[range]);
        }
        flat
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models;
    use crate::nn::Sequential;

    #[test]
    fn parameters_begin_at_multiples_of_256_bytes() {
        let layout = Layout::of(&models::lenet5()).unwrap();
        let names: Vec<_> = layout.specs().iter().map(|s| s.name.as_str()).collect();
        let layers = ["conv1", "conv2", "fc1", "fc2", "fc3"];
        let expected: Vec<_> = layers.iter().flat_map(|l| [format!("{l}.weight"), format!("{l}.bias")]).collect();
        assert_eq!(names, expected);
        assert_eq!(layout.offsets()[..4], [0, 192, 256, 2688]);
        assert!(layout.offsets().iter().chain([&layout.total()]).all(|at| at.is_multiple_of(64)));
        let ranges: Vec<_> = layout.parameters().map(|(_, r)| r).collect();
        assert!(ranges.windows(2).all(|w| w[0].end <= w[1].start) && ranges[9].end <= layout.total());
    }

    #[test]
    fn initial_values_depend_on_the_seed_and_the_position_alone() {
        let flat = |filters: usize, seed: u64| {
            let model = Sequential::new([1, 8, 8]).conv2d(filters, 3).flatten().dense(4);
            let layout = Layout::of(&model).unwrap();
            let values = layout.initial(seed);
            layout.parameters().map(|(_, range)| values[range].to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(flat(2, 1), flat(2, 1));
        let (a, b, more) = (flat(2, 1), flat(2, 2), flat(4, 1));
        assert_ne!(a[0], b[0]);
        assert_eq!(a[0], more[0][..a[0].len()]);
        assert!(a[1].iter().all(|&v| v == 0.0), "biases begin at 0");
    }

    #[test]
    fn gaps_hold_zeros() {
        let layout = Layout::of(&models::lenet5()).unwrap();
        let mut flat = layout.initial(7);
        assert_eq!(flat.len(), layout.total());
        for (_, range) in layout.parameters() {
            flat[range].fill(0.0);
        }
        assert!(flat.iter().all(|&v| v == 0.0));
    }
}
