//! The context in which a model writes its forward computation: a graph, parameters, and a row for each layer.

use std::collections::{HashMap, HashSet};

use crate::graph::{Graph, NodeId};
use crate::nn::init::Init;
use crate::nn::layout::Layout;
use crate::nn::parameter::{Fate, Leaves, ParameterSpec, Part, Stored};
use crate::nn::reach::{Field, Reach};
use crate::nn::row::Row;
use crate::shape::{TensorType, Window};
use crate::{Error, Result, Shape};

/// The name of the network's input among the names of layers.
pub(super) const INPUT: &str = "input";

/// A graph under construction, with the parameters and layers declared on the way.
pub struct Build<'a> {
    /// The graph, for operations that no layer covers.
    pub graph: &'a mut Graph,
    parameters: Parameters<'a>,
    specs: Vec<ParameterSpec>,
    names: HashSet<String>,
    layer: String,
    rows: Vec<(NodeId, Row)>,
    /// The receptive field of each node, as far as known.
    fields: Vec<Option<Field>>,
    /// The network's input, once it runs on a batch of one.
    input: Option<NodeId>,
    /// Rows and columns of the input.
    image: Option<[usize; 2]>,
    trained: Vec<Part>,
    statistics: Vec<Part>,
    max_poolings: HashMap<String, MaxPooling>,
}

/// A max pooling layer's computation, from which a later layer finds the positions of the maxima.
#[derive(Clone, Copy, Debug)]
pub struct MaxPooling {
    /// The layer's input.
    pub x: NodeId,
    /// Its maxima.
    pub y: NodeId,
    /// Its window.
    pub window: Window,
}

/// How parameters stand in the graph.
#[derive(Clone, Copy)]
enum Parameters<'a> {
    /// Each is a variable: the graph is not run.
    Own,
    /// A view of the flat variable.
    Views { layout: &'a Layout, flat: NodeId },
    /// A view of the trained or of the frozen parameters, or a variable for a running average.
    Leaves { layout: &'a Layout, leaves: Leaves },
}

/// The declarations of a model.
pub(super) struct Declared {
    pub specs: Vec<ParameterSpec>,
    pub rows: Vec<Row>,
    /// The output of each row's layer.
    pub outputs: Vec<NodeId>,
    pub trained: Vec<Part>,
    pub statistics: Vec<Part>,
}

/// The step's number and seed, for layers that behave differently in training.
#[derive(Clone, Copy, Debug)]
pub struct Training {
    /// The number of the step over the whole run, `u32[1]`.
    pub clock: NodeId,
    /// The random seed.
    pub seed: u64,
}

/// Running means and variances of channels, `f32[2, C]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Statistics {
    /// A variable that the step updates.
    Tracked(NodeId),
    /// A constant: in evaluation, and where they are frozen.
    Fixed(NodeId),
}

impl<'a> Build<'a> {
    /// For a scratch graph, on which a model makes its declarations.
    pub(crate) fn declare(graph: &'a mut Graph) -> Self {
        Self::new(graph, Parameters::Own)
    }

    /// For computing, with the parameters at their places in `flat`.
    pub(super) fn with_parameters(graph: &'a mut Graph, layout: &'a Layout, flat: NodeId) -> Self {
        Self::new(graph, Parameters::Views { layout, flat })
    }

    /// For training.
    pub(super) fn with_leaves(graph: &'a mut Graph, layout: &'a Layout, leaves: Leaves) -> Self {
        Self::new(graph, Parameters::Leaves { layout, leaves })
    }

    fn new(graph: &'a mut Graph, parameters: Parameters<'a>) -> Self {
        Self {
            graph,
            parameters,
            specs: vec![],
            names: HashSet::new(),
            layer: String::new(),
            rows: vec![],
            fields: vec![],
            input: None,
            image: None,
            trained: vec![],
            statistics: vec![],
            max_poolings: HashMap::new(),
        }
    }

    /// A batch of one.
    pub(crate) fn begin(&mut self, input: &Shape) -> Result<NodeId> {
        let batch: Vec<usize> = std::iter::once(1).chain(input.iter().copied()).collect();
        let x = self.graph.input(INPUT, TensorType::f32(batch))?;
        self.input = Some(x);
        if let [_, rows, columns] = input[..] {
            self.image = Some([rows, columns]);
            self.fields.resize(x.index(), None);
            self.fields.push(Some(Field { size: [1.0; 2], jump: [1.0; 2] }));
        }
        Ok(x)
    }

    /// The declarations.
    pub(super) fn finish(self) -> Declared {
        let (outputs, rows) = self.rows.into_iter().unzip();
        Declared { specs: self.specs, rows, outputs, trained: self.trained, statistics: self.statistics }
    }

    /// The step's number and seed in a training graph; `None` in evaluation and on a scratch graph.
    pub fn training(&self) -> Option<Training> {
        match self.parameters {
            Parameters::Leaves { leaves: Leaves { clock, seed, .. }, .. } => Some(Training { clock, seed }),
            _ => None,
        }
    }

    /// Appends a layer: what `f` appends carries its name, and the summary shows it with `kind`. `x` is what it reads,
    /// and `reach` how much of it one output depends on.
    ///
    /// Errors: those of `f`; an empty name, or one that another layer has.
    pub fn layer(
        &mut self,
        name: &str,
        kind: &str,
        x: NodeId,
        reach: Reach,
        f: impl FnOnce(&mut Self) -> Result<NodeId>,
    ) -> Result<NodeId> {
        self.row(name, kind, &[x], |b| Ok((f(b)?, reach)))
    }

    /// As [`Build::layer`], for one that reads several values, each at the place of its output.
    pub fn join(
        &mut self,
        name: &str,
        kind: &str,
        inputs: &[NodeId],
        f: impl FnOnce(&mut Self) -> Result<NodeId>,
    ) -> Result<NodeId> {
        self.row(name, kind, inputs, |b| Ok((f(b)?, Reach::Point)))
    }

    /// As [`Build::join`], with the reach of what `f` appends.
    pub(super) fn row(
        &mut self,
        name: &str,
        kind: &str,
        inputs: &[NodeId],
        f: impl FnOnce(&mut Self) -> Result<(NodeId, Reach)>,
    ) -> Result<NodeId> {
        if name.is_empty() || !self.names.insert(name.to_string()) {
            return Err(Error::option("layer name", "a name for each layer that no other has", format!("{name:?}")));
        }
        let (first_node, first_parameter) = (self.graph.len(), self.specs.len());
        let reads = self.sources(inputs);
        let (y, reach) = self.scoped(name, f)?;

        self.note_fields();
        let field = inputs.iter().filter_map(|x| self.fields[x.index()]).reduce(Field::join);
        let field = field.map(|field| field.through(reach, self.image));
        self.fields[y.index()] = field;
        let batch = inputs.first().and_then(|x| self.graph.shape(*x).first()).map_or(1, |&n| n as u64);
        let work: u64 = self.graph.ids().skip(first_node).map(|id| self.graph.traits(id).multiply_adds).sum();
        let row = Row {
            layer: name.to_string(),
            kind: kind.to_string(),
            reads,
            output: self.graph.shape(y).iter().skip(1).copied().collect(),
            parameters: elements(&self.specs[first_parameter..], |_| true),
            trainable: elements(&self.specs[first_parameter..], ParameterSpec::has_gradient),
            receptive_field: field
                .zip(self.image)
                .map(|(f, image)| [0, 1].map(|axis| (f.size[axis].ceil() as usize).min(image[axis]))),
            multiply_adds: work / batch,
        };
        self.rows.push((y, row));
        Ok(y)
    }

    /// Appends an activation of `x`. If `x` is a layer's output, it belongs to that layer, in name and summary.
    pub fn activation(
        &mut self,
        name: &str,
        kind: &str,
        x: NodeId,
        f: impl FnOnce(&mut Self) -> Result<NodeId>,
    ) -> Result<NodeId> {
        let row = self.rows.iter().rposition(|(node, _)| *node == x);
        let scope = row.map_or_else(|| name.to_string(), |row| self.rows[row].1.layer.clone());
        let y = self.scoped(&scope, f)?;
        if let Some((node, row)) = row.map(|row| &mut self.rows[row]) {
            *node = y;
            row.kind = format!("{} {kind}", row.kind);
        }
        Ok(y)
    }

    /// The layers that values come from, if they are not the one before.
    fn sources(&self, inputs: &[NodeId]) -> Vec<String> {
        let before = self.rows.last().map_or(self.input, |(node, _)| Some(*node));
        if let &[x] = inputs
            && Some(x) == before
        {
            return vec![];
        }
        let source = |x: &NodeId| match self.rows.iter().rfind(|(node, _)| node == x) {
            Some((_, row)) => Some(row.layer.clone()),
            None => (Some(*x) == self.input).then(|| INPUT.to_string()),
        };
        inputs.iter().filter_map(source).collect()
    }

    /// Records a max pooling layer, for [`Build::max_pooling`].
    pub fn note_max_pooling(&mut self, layer: &str, pooling: MaxPooling) {
        self.max_poolings.insert(layer.to_string(), pooling);
    }

    /// The max pooling layer of that name, if it has been appended.
    pub fn max_pooling(&self, layer: &str) -> Option<MaxPooling> {
        self.max_poolings.get(layer).copied()
    }

    fn scoped<T>(&mut self, name: &str, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.graph.set_scope(name);
        self.layer = name.to_string();
        let y = f(self);
        self.layer.clear();
        self.graph.set_scope("");
        y.map_err(|error| error.in_layer(name))
    }

    /// The value of a parameter of the layer under construction, whose name is put before the parameter's. Running
    /// averages are declared by [`Build::statistics`] alone.
    ///
    /// Errors: the name is taken; the initial values or the shape are impossible; the [`Layout`] that the graph is
    /// built with has another parameter in this place.
    pub fn parameter(&mut self, spec: ParameterSpec) -> Result<NodeId> {
        let shape = spec.shape.clone();
        let number = self.declare_parameter(ParameterSpec { statistic: None, ..spec })?;
        self.value(number, shape)
    }

    /// The running means and variances of a layer's channels: its parameters `running_mean`, which begins at 0, and
    /// `running_var`, which begins at 1. They are saved, and have no gradient.
    ///
    /// Errors: as [`Build::parameter`].
    pub fn statistics(&mut self, channels: usize, trainable: bool) -> Result<Statistics> {
        let begun = [("running_mean", 0.0), ("running_var", 1.0)];
        let first = self.specs.len();
        for (row, (name, value)) in begun.into_iter().enumerate() {
            let init = Init::Constant(value);
            let spec = ParameterSpec::new(name, [channels]).init(init, [1, channels]).trainable(trainable);
            self.declare_parameter(ParameterSpec { statistic: Some(row), ..spec })?;
        }
        let node = self.value(first, [begun.len(), channels].into())?;
        let tracked =
            matches!(self.parameters, Parameters::Leaves { layout, .. } if layout.fates()[first] == Fate::Tracked);
        Ok(if tracked { Statistics::Tracked(node) } else { Statistics::Fixed(node) })
    }

    /// Notes a parameter, and checks that it is the one the layout has in its place.
    fn declare_parameter(&mut self, mut spec: ParameterSpec) -> Result<usize> {
        if !self.layer.is_empty() {
            spec.name = format!("{}.{}", self.layer, spec.name);
        }
        let about = |expected: String, found: String| {
            Err(Error::option(format!("parameter \"{}\"", spec.name), expected, found))
        };
        if self.specs.iter().any(|other| other.name == spec.name) {
            return about("a name of its own".into(), "a second parameter of that name".into());
        }
        if spec.stored == Stored::Transposed && spec.shape.len() != 2 {
            return about("a matrix, as it is stored transposed".into(), spec.shape.to_string());
        }
        spec.init.check(&spec.name)?;
        let number = self.specs.len();
        if let Parameters::Views { layout, .. } | Parameters::Leaves { layout, .. } = self.parameters {
            match layout.specs().get(number) {
                Some(declared) if *declared == spec => {}
                Some(declared) => {
                    let form = |name: &str, shape: &Shape| format!("{name} {shape}");
                    return about(form(&declared.name, &declared.shape), form(&spec.name, &spec.shape));
                }
                None => return about("no more parameters than the layout has".into(), "one more".into()),
            }
        }
        self.specs.push(spec);
        Ok(number)
    }

    /// The value of this shape that begins with the parameter of this number.
    fn value(&mut self, number: usize, shape: Shape) -> Result<NodeId> {
        let (layout, leaves) = match self.parameters {
            Parameters::Own => return self.graph.variable(&self.specs[number].name, TensorType::f32(shape)),
            Parameters::Views { layout, flat } => {
                return self.graph.slice_flat(flat, layout.offsets()[number], shape);
            }
            Parameters::Leaves { layout, leaves } => (layout, leaves),
        };
        let range = layout.offsets()[number]..layout.offsets()[number] + shape.elements();
        match (layout.fates()[number], leaves.frozen) {
            (Fate::Tracked, _) => {
                let node = self.graph.variable(&self.specs[number].name, TensorType::f32(shape))?;
                self.statistics.push((node, range));
                Ok(node)
            }
            (Fate::Frozen, Some(frozen)) => self.graph.slice_flat(frozen, range.start - layout.frozen().start, shape),
            _ => {
                let node = self.graph.slice_flat(leaves.parameters, range.start, shape)?;
                self.trained.push((node, range));
                Ok(node)
            }
        }
    }

    /// Gives each node that has no field yet the widest field of its inputs.
    fn note_fields(&mut self) {
        for id in self.graph.ids().skip(self.fields.len()) {
            let inputs = self.graph.node(id).inputs();
            let field = inputs.iter().filter_map(|i| self.fields[i.index()]).reduce(Field::join);
            self.fields.push(field);
        }
    }
}

/// How many values those parameters have that `count`.
fn elements(specs: &[ParameterSpec], count: impl Fn(&ParameterSpec) -> bool) -> usize {
    specs.iter().filter(|spec| count(spec)).map(|spec| spec.shape.elements()).sum()
}
