//! What a model's forward computation is written with: a graph, parameters, and notes on each layer.

use std::collections::HashSet;

use super::{Layout, Model, ParameterSpec, Row, Stored};
use crate::graph::{Graph, NodeId};
use crate::shape::{TensorType, Window};
use crate::{Error, Result, Shape};

/// A graph under construction, with the parameters and layers declared on the way.
pub struct Build<'a> {
    /// The graph, for whatever layers do not cover.
    pub graph: &'a mut Graph,
    parameters: Parameters<'a>,
    specs: Vec<ParameterSpec>,
    names: HashSet<String>,
    layer: String,
    rows: Vec<(NodeId, Row)>,
    /// What each node sees of the input, as far as known.
    fields: Vec<Option<Field>>,
    /// Rows and columns of the input.
    image: Option<[usize; 2]>,
}

/// What a parameter is in the graph.
enum Parameters<'a> {
    /// A variable of its own: the graph is only looked at.
    Own,
    /// A view of the flat variable.
    Views { layout: &'a Layout, flat: NodeId },
}

/// Which inputs one output of a layer depends on.
#[derive(Clone, Copy, Debug)]
pub enum Reach {
    /// The input at the same place.
    Point,
    /// Those under the window.
    Window(Window),
    /// All.
    All,
}

/// Receptive field: how much of the image one value sees, and how far apart in the image neighbours look.
#[derive(Clone, Copy)]
struct Field {
    size: [usize; 2],
    jump: [usize; 2],
}

impl<'a> Build<'a> {
    /// For finding out what a model declares.
    pub(super) fn declare(graph: &'a mut Graph) -> Self {
        Self::new(graph, Parameters::Own)
    }

    /// For computing, with the parameters at their places in `flat`.
    pub(super) fn with_parameters(graph: &'a mut Graph, layout: &'a Layout, flat: NodeId) -> Self {
        Self::new(graph, Parameters::Views { layout, flat })
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
            image: None,
        }
    }

    /// Runs a model on a batch of one.
    pub(super) fn run(&mut self, model: &dyn Model) -> Result<NodeId> {
        let input = model.input();
        let batch: Vec<usize> = std::iter::once(1).chain(input.iter().copied()).collect();
        let x = self.graph.input("input", TensorType::f32(batch))?;
        if let [_, rows, columns] = input[..] {
            self.image = Some([rows, columns]);
            self.fields.resize(x.index(), None);
            self.fields.push(Some(Field { size: [1, 1], jump: [1, 1] }));
        }
        model.forward(self, x)
    }

    /// What was declared.
    pub(super) fn finish(self) -> (Vec<ParameterSpec>, Vec<Row>) {
        (self.specs, self.rows.into_iter().map(|(_, row)| row).collect())
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
        if name.is_empty() || !self.names.insert(name.to_string()) {
            return Err(Error::option("layer name", "a name for each layer that no other has", format!("{name:?}")));
        }
        let (first_node, first_parameter) = (self.graph.len(), self.specs.len());
        let y = self.scoped(name, f)?;

        self.note_fields();
        let field = self.fields[x.index()].map(|field| field.through(reach, self.image));
        self.fields[y.index()] = field;
        let batch = self.graph.shape(x).first().map_or(1, |&n| n as u64);
        let work: u64 = self.graph.ids().skip(first_node).map(|id| self.graph.traits(id).multiply_adds).sum();
        let row = Row {
            layer: name.to_string(),
            kind: kind.to_string(),
            output: self.graph.shape(y).iter().skip(1).copied().collect(),
            parameters: self.specs[first_parameter..].iter().map(|spec| spec.shape.elements()).sum(),
            receptive_field: field.zip(self.image).map(|(f, image)| [0, 1].map(|axis| f.size[axis].min(image[axis]))),
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

    fn scoped(&mut self, name: &str, f: impl FnOnce(&mut Self) -> Result<NodeId>) -> Result<NodeId> {
        self.graph.set_scope(name);
        self.layer = name.to_string();
        let y = f(self);
        self.layer.clear();
        self.graph.set_scope("");
        y.map_err(|error| error.in_layer(name))
    }

    /// The value of a parameter of the layer under construction, whose name is put before the parameter's.
    ///
    /// Errors: the name is taken; the initial values or the shape are impossible; the [`Layout`] that the graph is
    /// built with has another parameter in this place.
    pub fn parameter(&mut self, mut spec: ParameterSpec) -> Result<NodeId> {
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
        let node = match self.parameters {
            Parameters::Own => self.graph.variable(&spec.name, TensorType::f32(spec.shape.clone()))?,
            Parameters::Views { layout, flat } => match layout.specs().get(self.specs.len()) {
                Some(declared) if *declared == spec => {
                    self.graph.slice_flat(flat, layout.offsets()[self.specs.len()], spec.shape.clone())?
                }
                Some(declared) => {
                    let form = |name: &str, shape: &Shape| format!("{name} {shape}");
                    return about(form(&declared.name, &declared.shape), form(&spec.name, &spec.shape));
                }
                None => return about("no more parameters than the layout has".into(), "one more".into()),
            },
        };
        self.specs.push(spec);
        Ok(node)
    }

    /// Gives each node that has no field yet the widest of what it is computed from.
    fn note_fields(&mut self) {
        for id in self.graph.ids().skip(self.fields.len()) {
            let inputs = self.graph.node(id).inputs();
            let field = inputs.iter().filter_map(|i| self.fields[i.index()]).reduce(Field::join);
            self.fields.push(field);
        }
    }
}

impl Field {
    /// What an output of a layer sees whose inputs see `self`: a window adds its further taps, `jump` apart each.
    /// Araujo, Norris and Sim 2019, *Computing receptive fields of convolutional neural networks*.
    fn through(self, reach: Reach, image: Option<[usize; 2]>) -> Self {
        match reach {
            Reach::Point => self,
            Reach::All => Self { size: image.unwrap_or(self.size), jump: self.jump },
            Reach::Window(w) => {
                let further = |axis: usize| w.dilation[axis].saturating_mul(w.size[axis].saturating_sub(1));
                Self {
                    size: [0, 1].map(|i| self.size[i].saturating_add(further(i).saturating_mul(self.jump[i]))),
                    jump: [0, 1].map(|i| self.jump[i].saturating_mul(w.stride[i])),
                }
            }
        }
    }

    /// What a value sees that is computed from both.
    fn join(self, other: Self) -> Self {
        let larger = |a: [usize; 2], b: [usize; 2]| [a[0].max(b[0]), a[1].max(b[1])];
        Self { size: larger(self.size, other.size), jump: larger(self.jump, other.jump) }
    }
}
