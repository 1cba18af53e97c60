//! Where each parameter lives in the one flat buffer that holds them all.

use std::ops::Range;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Build, Init, Model};
use crate::graph::{Graph, NodeId};
use crate::kernel::ALIGNMENT;
use crate::shape::{Shape, TensorType};
use crate::{Error, Result};

/// First generator stream of initial values; those below are for shuffling and augmentation under the same seed.
const FIRST_STREAM: u64 = 1 << 32;

/// How weight files hold a parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Stored {
    /// As the engine does.
    #[default]
    AsIs,
    /// As the transposed matrix: dense weights, `[out, in]` in files as PyTorch has them.
    Transposed,
}

/// What a layer says about one of its parameters.
#[derive(Clone, PartialEq, Debug)]
pub struct ParameterSpec {
    /// Layer and role: `conv1.weight`.
    pub name: String,
    /// Extents.
    pub shape: Shape,
    /// Initial values.
    pub init: Init,
    /// Fan in and fan out, for scaled initial values.
    pub fans: [usize; 2],
    /// Form in files.
    pub stored: Stored,
}

impl ParameterSpec {
    /// The shape in files.
    pub fn stored_shape(&self) -> Shape {
        match self.stored {
            Stored::AsIs => self.shape.clone(),
            Stored::Transposed => self.shape.iter().rev().copied().collect::<Vec<_>>().into(),
        }
    }
}

/// A model's parameters and their places in one flat buffer.
///
/// Gradients and optimizer state have the same layout, so that one optimizer update is one dispatch.
#[derive(Clone, PartialEq, Debug)]
pub struct Layout {
    specs: Vec<ParameterSpec>,
    offsets: Vec<usize>,
    total: usize,
}

impl Layout {
    /// The layout of a model.
    ///
    /// Errors: those of the model's layers; more parameters than 32 bits count.
    pub fn of(model: &dyn Model) -> Result<Self> {
        let mut graph = Graph::new();
        let mut build = Build::declare(&mut graph);
        build.run(model)?;
        let (specs, _) = build.finish();
        let (mut offsets, mut total) = (Vec::with_capacity(specs.len()), 0);
        for spec in &specs {
            offsets.push(total as usize);
            total = (total + spec.shape.elements() as u64).next_multiple_of(ALIGNMENT as u64);
            if total > u32::MAX.into() {
                let option = format!("parameters of {} up to \"{}\"", model.name(), spec.name);
                return Err(Error::option(option, format!("at most {}", u32::MAX), total));
            }
        }
        Ok(Self { specs, offsets, total: (total as usize).max(ALIGNMENT) })
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

    /// The number of parameters that training changes: all.
    pub fn trainable(&self) -> usize {
        self.count()
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

    /// The views of `flat` in a graph that holds [`Self::forward`]: each parameter, in the layout's order.
    pub fn views(&self, graph: &Graph, flat: NodeId) -> Vec<NodeId> {
        graph.ids().filter(|&id| graph.node(id).inputs() == [flat]).collect()
    }

    /// Appends the model's forward computation of `x` to `graph`, every parameter a view of the variable `flat`.
    ///
    /// Errors: those of the model's layers; the model declares other parameters than those of this layout (it is
    /// another model, or `x` has another shape than its input).
    pub fn forward(&self, model: &dyn Model, graph: &mut Graph, flat: NodeId, x: NodeId) -> Result<NodeId> {
        let mut build = Build::with_parameters(graph, self, flat);
        let y = model.forward(&mut build, x)?;
        let (specs, _) = build.finish();
        if specs.len() != self.specs.len() {
            let option = format!("parameters of {}", model.name());
            return Err(Error::option(option, format!("{} tensors", self.specs.len()), specs.len()));
        }
        Ok(y)
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

    #[test]
    fn forward_reads_the_flat_variable() {
        let model = models::lenet5();
        let layout = Layout::of(&model).unwrap();
        let mut graph = Graph::new();
        let flat = graph.variable("parameters", layout.ty()).unwrap();
        let x = graph.input("x", TensorType::f32([5, 1, 28, 28])).unwrap();
        let y = layout.forward(&model, &mut graph, flat, x).unwrap();
        assert_eq!(graph.shape(y)[..], [5, 10]);
        graph.verify().unwrap();

        let x = graph.input("x", TensorType::f32([5, 1, 32, 32])).unwrap();
        let error = layout.forward(&model, &mut graph, flat, x).unwrap_err().to_string();
        assert!(
            error.contains("fc1.weight") && error.contains("[400, 120]") && error.contains("[576, 120]"),
            "{error}"
        );
    }
}
