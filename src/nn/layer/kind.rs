//! The interface of all layers, and a layer as a value.

use std::collections::HashMap;
use std::fmt;

use crate::graph::NodeId;
use crate::nn::build::Build;
use crate::nn::init::Init;
use crate::nn::layer::setting::{self, Setting, Value};
use crate::nn::parameter::ParameterSpec;
use crate::nn::reach::Reach;
use crate::shape::Shape;
use crate::{Error, Result};

/// How a layer stands among others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// A layer with a row of its own in summaries.
    Layer,
    /// An activation: part of the layer before it in summaries.
    Activation,
    /// A layer that joins branches: it reads several values.
    Join,
}

/// A kind of layer: its name, options, and computation. [`Layer::new`] makes a layer of it.
pub trait LayerKind: CloneKind + Send + Sync {
    /// The name of the kind, as in network files: `conv2d`.
    fn kind(&self) -> &str;

    /// The stem of automatic names: `conv` for `conv1`.
    fn stem(&self) -> &str {
        self.kind()
    }

    /// A description for the guide.
    fn about(&self) -> &'static str;

    /// The options, in the order in which files have them.
    fn options(&mut self) -> Vec<Setting<'_>> {
        vec![]
    }

    /// How the layer stands among others.
    fn role(&self) -> Role {
        Role::Layer
    }

    /// Whether it has parameters.
    fn is_parametric(&self) -> bool {
        false
    }

    /// The kind's name in summaries, before the options.
    fn title(&self) -> String {
        self.kind().to_string()
    }

    /// The inputs that one output depends on; `x` is the shape of the first input. Asked after [`append`](Self::append).
    fn reach(&self, _x: &Shape) -> Reach {
        Reach::Point
    }

    /// Appends the computation to the graph, and declares the parameters.
    ///
    /// Errors: those of the operations; options out of range.
    fn append(&self, at: &mut Place<'_, '_>) -> Result<NodeId>;
}

/// Cloning of boxed kinds, which every [`Clone`] type has.
pub trait CloneKind {
    /// A copy in a box.
    fn boxed(&self) -> Box<dyn LayerKind>;
}

impl<K: LayerKind + Clone + 'static> CloneKind for K {
    fn boxed(&self) -> Box<dyn LayerKind> {
        Box::new(self.clone())
    }
}

/// Where a layer is appended: the graph under construction, the layer's name and its inputs.
pub struct Place<'b, 'g> {
    /// The graph under construction.
    pub build: &'b mut Build<'g>,
    /// The name of the layer.
    pub name: &'b str,
    /// The first input.
    pub x: NodeId,
    /// All inputs.
    pub inputs: &'b [NodeId],
    /// Whether training changes the parameters.
    pub trainable: bool,
}

impl Place<'_, '_> {
    /// The shape of the first input.
    pub fn shape(&self) -> Shape {
        self.build.graph.shape(self.x).clone()
    }

    /// The channels of the first input: its second extent, 1 if it has none.
    pub fn channels(&self) -> usize {
        self.build.graph.shape(self.x).get(1).copied().unwrap_or(1)
    }

    /// A parameter with these initial values, scaled by fan in and fan out.
    ///
    /// Errors: those of [`Build::parameter`].
    pub fn parameter(&mut self, name: &str, shape: impl Into<Shape>, init: Init, fans: [usize; 2]) -> Result<NodeId> {
        self.declare(ParameterSpec::new(name, shape).init(init, fans))
    }

    /// A parameter.
    ///
    /// Errors: those of [`Build::parameter`].
    pub fn declare(&mut self, spec: ParameterSpec) -> Result<NodeId> {
        self.build.parameter(spec.trainable(self.trainable))
    }

    /// A bias of `n` zeros, if there is one.
    pub(super) fn bias(&mut self, has: bool, n: usize) -> Result<Option<NodeId>> {
        has.then(|| self.parameter("bias", [n], Init::Zeros, [1, n])).transpose()
    }

    /// The error of an input whose shape does not fit.
    pub fn refuse(&self, op: &'static str, reason: String) -> Error {
        Error::Shape { op, node: self.name.to_string(), reason }
    }

    /// Errors: an option that is 0.
    pub(super) fn at_least_one(&self, op: &str, option: &str, value: usize) -> Result<()> {
        let refuse = || Error::option(format!("{op} \"{}\": {option}", self.name), "at least 1", value);
        if value > 0 { Ok(()) } else { Err(refuse()) }
    }
}

/// A layer: its kind with options, and its name if it has one of its own.
pub struct Layer {
    /// The name; networks number layers without one: `conv1`, `pool1`, `fc1`.
    pub name: Option<String>,
    /// Whether training changes its parameters.
    pub trainable: bool,
    pub(super) kind: Box<dyn LayerKind>,
    pub(super) misuse: Option<Misuse>,
}

/// The first fluent method that a layer refused. Reported when the network is built.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Misuse {
    /// The layer lacks the option.
    Option { method: &'static str, key: &'static str, value: Value },
    /// The method needs another layer.
    Other { method: &'static str, expected: &'static str },
}

impl Layer {
    /// A layer of that kind.
    pub fn new(kind: impl LayerKind + 'static) -> Self {
        Self { name: None, trainable: true, kind: Box::new(kind), misuse: None }
    }

    /// A layer of that kind with these options; the others have their defaults.
    pub(super) fn of<const N: usize>(mut kind: impl LayerKind + 'static, values: [(&'static str, Value); N]) -> Self {
        setting::fill(kind.options(), |setting| {
            values.iter().find(|(key, _)| *key == setting.key).map(|(_, value)| value.clone())
        });
        Self::new(kind)
    }

    /// The name of the kind: `conv2d`.
    pub fn kind(&self) -> &str {
        self.kind.kind()
    }

    /// The stem of automatic names.
    pub(crate) fn stem(&self) -> &str {
        self.kind.stem()
    }

    /// How the layer stands among others.
    pub fn role(&self) -> Role {
        self.kind.role()
    }

    /// Whether it joins branches.
    pub(crate) fn is_join(&self) -> bool {
        self.role() == Role::Join
    }

    /// Whether it belongs to the layer before it in summaries.
    pub(crate) fn is_activation(&self) -> bool {
        self.role() == Role::Activation
    }

    /// The kind and the options that are not the defaults: `conv2d 5x5 pad 2`.
    pub(super) fn describe(&self) -> String {
        self.kind.title() + &setting::summary(&self.kind.boxed().options())
    }

    /// The description of the kind, for the guide.
    pub fn about(&self) -> &'static str {
        self.kind.about()
    }

    /// The options with their values, whether training changes the parameters included. Calls `f` with the list.
    pub fn with_options<R>(&self, f: impl FnOnce(&[Setting<'_>]) -> R) -> R {
        let mut copy = self.clone();
        let is_parametric = copy.kind.is_parametric();
        let mut settings = copy.kind.options();
        if is_parametric {
            settings.push(trainable(&mut copy.trainable));
        }
        f(&settings)
    }

    /// Gives each option the value that `find` has for it, or its default. Required options that `find` lacks keep their
    /// values.
    pub fn fill(&mut self, mut find: impl FnMut(&Setting<'_>) -> Option<Value>) {
        setting::fill(self.kind.options(), &mut find);
        if self.kind.is_parametric() {
            setting::fill(vec![trainable(&mut self.trainable)], find);
        }
    }

    /// Sets an option. Returns whether the layer has it, for values of this type.
    pub(super) fn set(&mut self, key: &str, value: Value) -> bool {
        let mut settings = self.kind.options();
        settings.iter_mut().find(|setting| setting.key == key).is_some_and(|setting| setting.set(value))
    }
}

fn trainable(slot: &mut bool) -> Setting<'_> {
    setting::optional("trainable", slot, true, "whether training changes the parameters")
}

impl Clone for Layer {
    fn clone(&self) -> Self {
        let (name, misuse) = (self.name.clone(), self.misuse.clone());
        Self { name, trainable: self.trainable, kind: self.kind.boxed(), misuse }
    }
}

impl PartialEq for Layer {
    fn eq(&self, other: &Self) -> bool {
        let values = |layer: &Self| layer.with_options(|list| list.iter().map(Setting::value).collect::<Vec<_>>());
        self.name == other.name
            && self.trainable == other.trainable
            && self.misuse == other.misuse
            && self.kind() == other.kind()
            && values(self) == values(other)
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct(self.kind());
        if let Some(name) = &self.name {
            text.field("name", name);
        }
        self.with_options(|list| {
            list.iter().filter_map(|setting| Some((setting.key, setting.value()?))).for_each(|(key, value)| {
                text.field(key, &format_args!("{value}"));
            });
        });
        text.field("misuse", &self.misuse).finish()
    }
}

/// The names of layers: their own, or numbered by kind.
pub(in crate::nn) fn names<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> impl Iterator<Item = String> {
    let mut counts = HashMap::new();
    layers.into_iter().map(move |layer| {
        let stem = layer.stem();
        let count = counts.entry(stem).and_modify(|n| *n += 1).or_insert(1);
        layer.name.clone().unwrap_or_else(|| format!("{stem}{count}"))
    })
}

/// Constructors of layers: each is a function of [`Layer`] and a method of [`Sequential`](crate::nn::Sequential), which
/// appends the layer.
macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $ty:ty),*) $body:block)*) => {
        impl $crate::nn::Layer {$(
            $(#[$doc])*
            pub fn $name($($argument: $ty),*) -> Self $body
        )*}

        impl $crate::nn::Sequential {$(
            #[doc = concat!("Appends a layer: [`Layer::", stringify!($name), "`](crate::nn::Layer::", stringify!($name), ").")]
            pub fn $name(self, $($argument: $ty),*) -> Self {
                self.layer($crate::nn::Layer::$name($($argument),*))
            }
        )*}
    };
}

pub(super) use constructors;
