//! Where each parameter lives in the one flat buffer that holds them all.

use std::ops::Range;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::graph::{Graph, NodeId};
use crate::nn::build::Declared;
use crate::nn::{Build, Init, Model};
use crate::shape::{Shape, TensorType};
use crate::{Error, Result, kernel};

/// Parameters begin at multiples of this many floats, so that kernels can be bound to them.
const ALIGNMENT: usize = kernel::ALIGNMENT / 4;

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
    /// Whether training may change it.
    pub trainable: bool,
    /// Of a running average, which training steps move, and no gradient: which row it is of the matrix that all those
    /// of its layer form.
    pub statistic: Option<usize>,
}

impl ParameterSpec {
    /// A weight as files hold it, which begins at 0.
    pub fn new(name: impl Into<String>, shape: impl Into<Shape>) -> Self {
        Self {
            name: name.into(),
            shape: shape.into(),
            init: Init::Zeros,
            fans: [1, 1],
            stored: Stored::AsIs,
            trainable: true,
            statistic: None,
        }
    }

    /// Sets the initial values and the fan in and fan out that scale them.
    pub fn init(mut self, init: Init, fans: [usize; 2]) -> Self {
        (self.init, self.fans) = (init, fans);
        self
    }

    /// Sets the form in files.
    pub fn stored(mut self, stored: Stored) -> Self {
        self.stored = stored;
        self
    }

    /// Sets whether training may change it.
    pub fn trainable(mut self, trainable: bool) -> Self {
        self.trainable = trainable;
        self
    }

    /// Whether its gradient changes it.
    pub fn has_gradient(&self) -> bool {
        self.trainable && self.statistic.is_none()
    }

    /// The shape in files.
    pub fn stored_shape(&self) -> Shape {
        match self.stored {
            Stored::AsIs => self.shape.clone(),
            Stored::Transposed => self.shape.iter().rev().copied().collect::<Vec<_>>().into(),
        }
    }
}

/// What training does with a parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Its gradient changes it, by the settings of the group of this number.
    Trained(usize),
    /// Nothing.
    Frozen,
    /// A running average: steps move it.
    Tracked,
}

/// A model's parameters and their places in one flat buffer: those that are trained, group by group, then those that
/// are frozen, then running averages.
///
/// Gradients and optimizer state have the same layout as what is trained, so that one optimizer update is one dispatch
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
    /// The layout of a model, with one group.
    ///
    /// Errors: those of the model's layers; more parameters than 32 bits count.
    pub fn of(model: &dyn Model) -> Result<Self> {
        let mut graph = Graph::new();
        let mut build = Build::declare(&mut graph);
        build.run(model)?;
        let specs = build.finish().specs;
        let mut total = 0;
        for spec in &specs {
            total = (total + spec.shape.elements() as u64).next_multiple_of(ALIGNMENT as u64);
            if total > u32::MAX.into() {
                let option = format!("parameters of {} up to \"{}\"", model.name(), spec.name);
                return Err(Error::option(option, format!("at most {}", u32::MAX), total));
            }
        }
        Ok(Self::place(specs, 1, |_| Some(0)))
    }

    /// The same parameters in `groups` groups: `group` says for each that may be trained to which of them it belongs, and
    /// `None` freezes it. Of the running averages of a layer the first decides for all whether they are frozen.
    pub(crate) fn arranged(&self, groups: usize, group: impl Fn(&ParameterSpec) -> Option<usize>) -> Self {
        Self::place(self.specs.clone(), groups, group)
    }

    fn place(specs: Vec<ParameterSpec>, groups: usize, group: impl Fn(&ParameterSpec) -> Option<usize>) -> Self {
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

    /// What training does with each parameter.
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

    /// Appends the model's forward computation of `x`, for evaluation, to `graph`, every parameter a view of the
    /// variable `flat`.
    ///
    /// Errors: those of the model's layers; the model declares other parameters than those of this layout (it is
    /// another model, or `x` has another shape than its input).
    pub fn forward(&self, model: &dyn Model, graph: &mut Graph, flat: NodeId, x: NodeId) -> Result<NodeId> {
        self.forward_layers(model, graph, flat, x).map(|(y, _)| y)
    }

    /// As [`Layout::forward`], with what each layer gives, activation included, by the layer's name.
    pub fn forward_layers(
        &self,
        model: &dyn Model,
        graph: &mut Graph,
        flat: NodeId,
        x: NodeId,
    ) -> Result<(NodeId, Vec<(String, NodeId)>)> {
        let mut build = Build::with_parameters(graph, self, flat);
        let y = model.forward(&mut build, x)?;
        let declared = build.finish();
        self.all_declared(model, &declared)?;
        Ok((y, declared.rows.into_iter().map(|row| row.layer).zip(declared.outputs).collect()))
    }

    /// The leaves of a training step that hold this layout's parameters, and whatever else its forward computation
    /// reads, in `graph`.
    pub fn leaves(&self, graph: &mut Graph, clock: NodeId, seed: u64) -> Result<Leaves> {
        let flat = |length: usize| TensorType::f32([length]);
        let parameters = graph.variable("parameters", flat(self.trained().max(ALIGNMENT)))?;
        let frozen = match self.frozen.len() {
            0 => None,
            length => Some(graph.input("frozen", flat(length))?),
        };
        Ok(Leaves { parameters, frozen, clock, seed })
    }

    /// As [`Layout::forward`], for training: each parameter is where `leaves` has it, and running averages are
    /// variables that the step moves.
    ///
    /// Errors: as [`Layout::forward`]; a layer that cannot be trained with so few pictures.
    pub fn forward_training(
        &self,
        model: &dyn Model,
        graph: &mut Graph,
        leaves: Leaves,
        x: NodeId,
    ) -> Result<TrainingForward> {
        let mut build = Build::with_leaves(graph, self, leaves);
        let y = model.forward(&mut build, x)?;
        let declared = build.finish();
        self.all_declared(model, &declared)?;
        Ok(TrainingForward { y, trained: declared.trained, statistics: declared.statistics })
    }

    fn all_declared(&self, model: &dyn Model, declared: &Declared) -> Result<()> {
        let refuse = || {
            let option = format!("parameters of {}", model.name());
            Error::option(option, format!("{} tensors", self.specs.len()), declared.specs.len())
        };
        if declared.specs.len() == self.specs.len() { Ok(()) } else { Err(refuse()) }
    }
}

/// The leaves of a training step that a network reads.
#[derive(Clone, Copy, Debug)]
pub struct Leaves {
    /// What is trained, a variable `f32[T]`, with T as [`Layout::trained`] and never 0.
    pub parameters: NodeId,
    /// What is frozen, an input, if anything is.
    pub frozen: Option<NodeId>,
    /// The number of the step over the whole run, `u32[1]`.
    pub clock: NodeId,
    /// Of whatever is drawn at random in a step.
    pub seed: u64,
}

/// A value in a graph with the range of the flat buffer that it holds.
pub type Part = (NodeId, Range<usize>);

/// A network's forward computation in a training step.
#[derive(Clone, Debug)]
pub struct TrainingForward {
    /// The result.
    pub y: NodeId,
    /// The parameters that gradients go to.
    pub trained: Vec<Part>,
    /// The variables that hold running averages.
    pub statistics: Vec<Part>,
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
