//! Composition of operations: the one way in which passes change what a node computes.

use std::fmt;
use std::sync::Arc;

use crate::graph::{Epilogue, Graph, NodeId, Op, Placement, Pooling, Traits, eval_absolute};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand};
use crate::shape::{Shape, TensorType};
use crate::tensor::View;
use crate::{Error, Result};

/// An operation with another one merged into its kernels, or one whose value is stored by another node's kernel.
///
/// `main` does the work and gives the node its name. Every method of [`Op`] is written out below, in the order of the
/// trait, so a method that is added there has to be decided on here; `tests::every_method_is_answered` holds each.
pub(super) struct Wrapped {
    main: Arc<dyn Op>,
    form: Form,
}

enum Form {
    /// `main` alone. The kernel of the node at this input stores its value, so it has no kernels.
    Left(usize),
    /// `main` with another operation.
    Merged(Merged),
}

/// The second operation. The inputs of the whole are those of `main`, without the one that is computed inside, then
/// those of the other operation, without the one that `main` computes.
struct Merged {
    other: Arc<dyn Op>,
    /// The type of the value between the two.
    ty: TensorType,
    /// The extents of that value as the consumer sees them.
    seen: Shape,
    /// The input of the consumer that is that value.
    number: usize,
    /// How many inputs of the whole are those of `main`.
    own: usize,
    how: How,
}

enum How {
    /// `main`, then a scalar function at the end of its kernels. Its factor is `main`'s input of that number, if it is one.
    Ends { epilogue: Epilogue, shared: Option<usize> },
    /// `main`, then max pooling in its kernels.
    Pools(Pooling),
    /// `main` with one operand computed where its kernels read it. `elements` are those of its output.
    Computes { elements: usize },
}

impl Wrapped {
    /// `main` without kernels: the kernel of the node at input `by` stores its value.
    pub fn left(main: Arc<dyn Op>, by: usize) -> Self {
        Self { main, form: Form::Left(by) }
    }

    /// The operation of `producer`, ended by the scalar function of `reader`. `factor` is the function's other operand,
    /// an input of the whole behind those of the producer.
    pub fn ending(graph: &Graph, producer: NodeId, reader: NodeId, epilogue: Epilogue) -> Option<Self> {
        let (main, other) = (graph.node(producer).op()?.clone(), graph.node(reader).op()?.clone());
        let inputs = graph.node(producer).inputs();
        let factor = epilogue.factor.map(|number| graph.node(reader).inputs()[number]);
        let shared = inputs.iter().position(|&input| Some(input) == factor);
        let (ty, seen) = (graph.ty(producer).clone(), graph.shape(reader).clone());
        let (number, own, how) = (epilogue.of, inputs.len(), How::Ends { epilogue, shared });
        Some(Self { main, form: Form::Merged(Merged { other, ty, seen, number, own, how }) })
    }

    /// The operation of `producer`, then that of `reader`, which takes its windows' maxima or their positions.
    pub fn pooling(graph: &Graph, producer: NodeId, reader: NodeId, pooling: Pooling) -> Option<Self> {
        let (main, other) = (graph.node(producer).op()?.clone(), graph.node(reader).op()?.clone());
        let (ty, own) = (graph.ty(producer).clone(), graph.node(producer).inputs().len());
        let (seen, how) = (ty.shape.clone(), How::Pools(pooling));
        Some(Self { main, form: Form::Merged(Merged { other, ty, seen, number: 0, own, how }) })
    }

    /// The operation of `reader`, with its input `number` computed by the operation of `producer` in its kernels.
    pub fn computing(graph: &Graph, producer: NodeId, reader: NodeId, number: usize) -> Option<Self> {
        let (main, other) = (graph.node(reader).op()?.clone(), graph.node(producer).op()?.clone());
        let (ty, own) = (graph.ty(producer).clone(), graph.node(reader).inputs().len() - 1);
        let (seen, how) = (ty.shape.clone(), How::Computes { elements: graph.shape(reader).elements() });
        Some(Self { main, form: Form::Merged(Merged { other, ty, seen, number, own, how }) })
    }
}

/// The dispatch of an operation that defines one element of its value, if it has one.
pub(super) fn value(op: &dyn Op, io: &Io<'_>, limits: &Limits) -> Option<Dispatch> {
    let single = |kernel: Kernel| <[Dispatch; 1]>::try_from(kernel.dispatches).ok();
    op.kernels(io, limits).into_iter().filter_map(single).map(|[dispatch]| dispatch).find(Dispatch::has_value)
}

impl Merged {
    /// Whether `main` makes the value between the two; else it consumes it.
    fn main_is_first(&self) -> bool {
        !matches!(self.how, How::Computes { .. })
    }

    /// Of the inputs of the whole, those of the first operation.
    fn first<'a, T>(&self, inputs: &'a [T]) -> &'a [T] {
        if self.main_is_first() { &inputs[..self.own] } else { &inputs[self.own..] }
    }

    /// The inputs of the second operation, with the value between the two.
    fn second<T: Clone>(&self, inputs: &[T], between: T) -> Vec<T> {
        let others = if self.main_is_first() { &inputs[self.own..] } else { &inputs[..self.own] };
        let mut second = others.to_vec();
        second.insert(self.number, between);
        second
    }

    /// The two operations in the order of data.
    fn in_order<'a>(&'a self, main: &'a Arc<dyn Op>) -> [&'a Arc<dyn Op>; 2] {
        if self.main_is_first() { [main, &self.other] } else { [&self.other, main] }
    }

    /// The types of `main` alone.
    fn main_io<'a>(&'a self, io: &Io<'a>) -> Io<'a> {
        match self.main_is_first() {
            true => Io { inputs: self.first(&io.inputs).to_vec(), output: &self.ty },
            false => Io { inputs: self.second(&io.inputs, &self.ty), output: io.output },
        }
    }

    /// The value between the two, by the reference.
    fn between(&self, main: &Arc<dyn Op>, inputs: &[View<'_>]) -> Vec<f64> {
        let mut between = vec![0.0; self.ty.shape.elements()];
        self.in_order(main)[0].eval(self.first(inputs), &mut between);
        between
    }

    /// Kernels of `main`, each of which computes the operand as the other operation's kernel would.
    fn computing(&self, main: &dyn Op, io: &Io<'_>, limits: &Limits) -> Vec<Kernel> {
        let of = Io { inputs: self.first(&io.inputs).to_vec(), output: &self.ty };
        let Some(value) = value(self.other.as_ref(), &of, limits) else { return vec![] };
        let value = value.with_operands(|operand| match operand {
            Operand::Input(number) => Operand::Input(self.own + number),
            other => other,
        });
        // The computed input has a number past all others while those of `main` are renumbered.
        let computed = Operand::Input(usize::MAX);
        let own = |operand| match operand {
            Operand::Input(number) if number == self.number => computed,
            Operand::Input(number) if number > self.number => Operand::Input(number - 1),
            other => other,
        };
        let whole = |mut kernel: Kernel| {
            let dispatches = kernel.dispatches.into_iter();
            kernel.dispatches =
                dispatches.map(|d| d.with_operands(own).computes(computed, &value)).collect::<Option<_>>()?;
            Some(kernel)
        };
        main.kernels(&self.main_io(io), limits).into_iter().filter_map(whole).collect()
    }

    /// Those kernels of `main` that pool; each of the others followed by the first kernel of the other operation.
    fn pooling(&self, main: &dyn Op, io: &Io<'_>, limits: &Limits, pooling: Pooling) -> Vec<Kernel> {
        let first = self.main_io(io);
        let pooled = main.pooled_kernels(&first, limits, pooling);
        let kernel = |plain: Kernel| match pooled.iter().find(|pooled| pooled.name == plain.name) {
            Some(pooled) => pooled.clone(),
            None => self.in_turn(plain, io, limits),
        };
        main.kernels(&first, limits).into_iter().map(kernel).collect()
    }

    /// A kernel of `main`, then the other operation's.
    fn in_turn(&self, mut kernel: Kernel, io: &Io<'_>, limits: &Limits) -> Kernel {
        let between = kernel.scratch.len();
        let then = self.other.kernels(&Io { inputs: vec![&self.ty], output: io.output }, limits).swap_remove(0);
        kernel.scratch.push(self.ty.clone());
        let is_between = |operand| if operand == Operand::Output { Operand::Scratch(between) } else { operand };
        let first = kernel.dispatches.into_iter().map(|dispatch| dispatch.with_operands(is_between));
        let then_reads = |operand| match operand {
            Operand::Input(_) => Operand::Scratch(between),
            Operand::Scratch(number) => Operand::Scratch(between + 1 + number),
            Operand::Output => Operand::Output,
        };
        let second = then.dispatches.into_iter().map(|dispatch| dispatch.with_operands(then_reads));
        kernel.dispatches = first.chain(second).collect();
        kernel.scratch.extend(then.scratch);
        kernel
    }
}

/// Kernels with this expression at the end of their last dispatch.
fn ended(mut kernels: Vec<Kernel>, epilogue: &Epilogue, factor: Option<Operand>) -> Vec<Kernel> {
    for kernel in &mut kernels {
        let last = kernel.dispatches.pop().expect("a kernel has a dispatch");
        kernel.dispatches.push(last.ends_in(&epilogue.expression, factor));
    }
    kernels
}

impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let main = &self.main;
        let Form::Merged(Merged { other, how, .. }) = &self.form else { return write!(f, "{main:?} left") };
        match how {
            How::Ends { epilogue, .. } if epilogue.factor.is_none() => write!(f, "{main:?} then {}", other.name()),
            How::Ends { .. } => write!(f, "{main:?} then {other:?}"),
            How::Pools(_) => write!(f, "{main:?} then {} {other:?}", other.name()),
            How::Computes { .. } => write!(f, "{main:?} of {other:?}"),
        }
    }
}

impl Op for Wrapped {
    /// That of `main`.
    fn name(&self) -> &'static str {
        self.main.name()
    }

    /// The second operation's, of the type that the first infers. Refused if that is another one than when the two were
    /// merged.
    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let Form::Merged(merged) = &self.form else { return self.main.infer(inputs) };
        let [first, second] = merged.in_order(&self.main);
        let between = first.infer(merged.first(inputs))?;
        if between != merged.ty {
            return Err(format!("was {}, is {between}", merged.ty));
        }
        second.infer(&merged.second(inputs, &TensorType { shape: merged.seen.clone(), ..between }))
    }

    /// The second operation of what the first computes.
    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        let Form::Merged(merged) = &self.form else { return self.main.eval(inputs, out) };
        let between = merged.between(&self.main, inputs);
        let second = merged.in_order(&self.main)[1];
        second.eval(&merged.second(inputs, View::new(&merged.seen, &between)), out);
    }

    /// None: the CPU device runs graphs as they were built, and passes are for devices with kernels. A path here would
    /// be one that nothing takes.
    fn eval_f32(&self, _: &[View<'_>], _: &mut [f32]) -> bool {
        false
    }

    /// Refused: a graph is differentiated before it is compiled.
    fn grad(&self, graph: &mut Graph, node: NodeId, _: NodeId) -> Result<Vec<Option<NodeId>>> {
        let reason = "is of a compiled graph; differentiate the graph before it is compiled".to_string();
        Err(Error::Shape { op: self.name(), node: graph.node(node).name.clone(), reason })
    }

    fn kernels(&self, io: &Io<'_>, limits: &Limits) -> Vec<Kernel> {
        let Form::Merged(merged) = &self.form else { return vec![] };
        match &merged.how {
            How::Ends { epilogue, shared } => {
                let factor = epilogue.factor.map(|_| Operand::Input(shared.unwrap_or(merged.own)));
                ended(self.main.kernels(&merged.main_io(io), limits), epilogue, factor)
            }
            How::Pools(pooling) => merged.pooling(self.main.as_ref(), io, limits, *pooling),
            How::Computes { .. } => merged.computing(self.main.as_ref(), io, limits),
        }
    }

    /// Those of `main`, ended. None where the function has a factor, whose elements would be elsewhere; none of what is
    /// pooled or computes an operand already.
    fn pooled_kernels(&self, io: &Io<'_>, limits: &Limits, pooling: Pooling) -> Vec<Kernel> {
        let Form::Merged(merged) = &self.form else { return vec![] };
        match &merged.how {
            How::Ends { epilogue, .. } if epilogue.factor.is_none() => {
                ended(self.main.pooled_kernels(&merged.main_io(io), limits, pooling), epilogue, None)
            }
            _ => vec![],
        }
    }

    /// The size of the sums of `main` if nothing canceled. A function at the end scales it by its largest slope:
    /// activations have slopes of about 1 at most, and gradients scale by what they make of 1. A computed operand adds
    /// the error it comes with.
    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        let Form::Merged(merged) = &self.form else { return self.main.error_scale(inputs) };
        let of_main = |inputs: &[View<'_>], elements: usize| {
            let sums = eval_absolute(self.main.as_ref(), inputs, elements).into_iter().filter(|s| s.is_finite());
            sums.fold(self.main.error_scale(inputs), f64::max)
        };
        let own = || of_main(merged.first(inputs), merged.ty.shape.elements());
        match &merged.how {
            How::Ends { epilogue, .. } if epilogue.factor.is_none() => own(),
            How::Ends { .. } => {
                let (ones, mut slopes) = (vec![1.0; merged.seen.elements()], vec![1.0; merged.seen.elements()]);
                merged.other.eval(&merged.second(inputs, View::new(&merged.seen, &ones)), &mut slopes);
                own() * View::new(&merged.seen, &slopes).magnitude().max(1.0)
            }
            How::Pools(_) => own(),
            How::Computes { elements } => {
                let computed = merged.between(&self.main, inputs);
                let inner = merged.second(inputs, View::new(&merged.seen, &computed));
                of_main(&inner, *elements) + merged.other.error_scale(merged.first(inputs))
            }
        }
    }

    /// Those of `main` that hold for the whole: none of being linear in each input, or of what fusion asks for, but that
    /// a product with an activation can be pooled. An update computes no operand inside.
    fn traits(&self, io: &Io<'_>) -> Traits {
        let merged = match &self.form {
            Form::Left(by) => return Traits { placement: Placement::LeftBy(*by), ..Traits::default() },
            Form::Merged(merged) => merged,
        };
        let main = self.main.traits(&merged.main_io(io));
        let Traits { reduction, multiply_adds, .. } = main;
        match &merged.how {
            How::Ends { epilogue, .. } => {
                let takes_pooling = main.takes_pooling && epilogue.factor.is_none();
                let Traits { overwrites, updates, placement, .. } = main;
                Traits { reduction, multiply_adds, overwrites, updates, placement, takes_pooling, ..Traits::default() }
            }
            How::Pools(_) => Traits { reduction, multiply_adds, ..Traits::default() },
            How::Computes { .. } => {
                // Inputs behind the computed one have other numbers here.
                let placement = match main.placement {
                    Placement::LeftBy(by) if by > merged.number => Placement::LeftBy(by - 1),
                    other => other,
                };
                Traits { reduction, multiply_adds, placement, ..Traits::default() }
            }
        }
    }
}

#[cfg(test)]
mod tests;
