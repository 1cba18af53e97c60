//! Inlining: what an operation makes element by element is computed where the next kernels read it.

use std::fmt;
use std::sync::Arc;

use crate::compile::schedule::needed;
use crate::graph::{Graph, NodeId, Op, Placement, Traits, eval_absolute};
use crate::kernel::{Dispatch, Io, Kernel, Limits, Operand};
use crate::shape::TensorType;
use crate::tensor::View;

/// Multiply-adds that a kernel makes of each element it reads: those of a register tile.
const USES_OF_A_LOAD: u64 = 32;
/// What computing an element takes for each term of it, loads included, in operations.
const OPERATIONS_A_TERM: u64 = 8;
/// What writing an element and reading it again takes.
const OPERATIONS_OF_STORAGE: u64 = 4;
/// What a GPU does in the microseconds that another launch takes.
const OPERATIONS_OF_A_LAUNCH: u64 = 1 << 24;
/// The same of a software device.
const OPERATIONS_OF_A_SOFTWARE_LAUNCH: u64 = 1 << 15;

/// The graph in which products of matrices and convolutions compute what they read, where a shader says how, where nothing
/// else reads it, and where computing it as often as it is read costs less than a dispatch, and writing and reading it.
pub fn inline(graph: &Graph, limits: &Limits) -> Graph {
    let mut inlined = graph.clone();
    let needed = needed(graph);
    let readers = graph.readers();
    for id in graph.ids().filter(|id| needed[id.index()] && !graph.outputs().contains(id)) {
        let has_value = |op: &Arc<dyn Op>| value(op.as_ref(), &inlined.io(id), limits).is_some();
        if !inlined.node(id).op().is_some_and(has_value) {
            continue;
        }
        let readers: Vec<NodeId> =
            readers[id.index()].iter().copied().filter(|reader| needed[reader.index()]).collect();
        let loads: u64 = readers.iter().map(|&reader| graph.traits(reader).multiply_adds / USES_OF_A_LOAD).sum();
        let operations = OPERATIONS_A_TERM * graph.traits(id).reduction as u64;
        let launch = if limits.software { OPERATIONS_OF_A_SOFTWARE_LAUNCH } else { OPERATIONS_OF_A_LAUNCH };
        let stored = graph.shape(id).elements() as u64 * (operations + OPERATIONS_OF_STORAGE);
        if loads * operations > launch + stored {
            continue;
        }
        let computing: Option<Vec<_>> = readers.iter().map(|&reader| computing(&inlined, reader, id, limits)).collect();
        for (&reader, op) in readers.iter().zip(computing.into_iter().flatten()) {
            let node = inlined.node(reader);
            let own = node.inputs().iter().copied().filter(|input| *input != id);
            let inputs = own.chain(inlined.node(id).inputs().iter().copied()).collect();
            inlined.replace(reader, node.name.clone(), Arc::new(op), inputs);
        }
    }
    inlined
}

/// The dispatch of an operation that says what one element is, if there is one.
fn value(op: &dyn Op, io: &Io<'_>, limits: &Limits) -> Option<Dispatch> {
    let single = |kernel: Kernel| <[Dispatch; 1]>::try_from(kernel.dispatches).ok();
    op.kernels(io, limits).into_iter().filter_map(single).map(|[dispatch]| dispatch).find(Dispatch::has_value)
}

/// The operation of `reader` with the value of `id` computed inside, if its first kernel can do so.
fn computing(graph: &Graph, reader: NodeId, id: NodeId, limits: &Limits) -> Option<Computing> {
    let (op, io, traits) = (graph.node(reader).op()?, graph.io(reader), graph.traits(reader));
    let is_product = traits.multiply_adds > 0 && traits.updates.is_empty();
    // What another node's kernel leaves has that one's inputs, and none of its own to run.
    let is_left = matches!(traits.placement, Placement::LeftBy(_));
    let inputs = graph.node(reader).inputs();
    let number = inputs.iter().position(|input| *input == id)?;
    let once = inputs.iter().filter(|input| **input == id).count() == 1;
    let whole = Computing {
        inner: op.clone(),
        number,
        of: graph.node(id).op()?.clone(),
        ty: graph.ty(id).clone(),
        own: inputs.len() - 1,
        elements: io.output.shape.elements(),
    };
    let all = Io { inputs: whole.types(&io, &graph.io(id)), output: io.output };
    // Not at the price of the kernel that suits it best.
    let best = || op.kernels(&io, limits).first().map(|kernel| kernel.name);
    let keeps_best = || whole.kernels(&all, limits).first().is_some_and(|kernel| Some(kernel.name) == best());
    (once && (is_left || is_product && keeps_best())).then_some(whole)
}

/// An operation that computes one of its inputs. Its other inputs, then those of what computes it.
struct Computing {
    inner: Arc<dyn Op>,
    /// Which input.
    number: usize,
    of: Arc<dyn Op>,
    /// The type of that input.
    ty: TensorType,
    /// How many other inputs there are.
    own: usize,
    /// How many elements its output has.
    elements: usize,
}

impl Computing {
    fn types<'a>(&self, own: &Io<'a>, of: &Io<'a>) -> Vec<&'a TensorType> {
        let own = own.inputs.iter().enumerate().filter(|(number, _)| *number != self.number);
        own.map(|(_, ty)| *ty).chain(of.inputs.iter().copied()).collect()
    }

    /// The operation's inputs, of all and of the one that is computed.
    fn inner_inputs<T: Clone>(&self, all: &[T], computed: T) -> Vec<T> {
        let mut inputs = all[..self.own].to_vec();
        inputs.insert(self.number, computed);
        inputs
    }

    /// Calls `f` with the operation's inputs.
    fn with_inner<R>(&self, inputs: &[View<'_>], f: impl FnOnce(&[View<'_>]) -> R) -> R {
        let mut computed = vec![0.0; self.ty.shape.elements()];
        self.of.eval(&inputs[self.own..], &mut computed);
        f(&self.inner_inputs(inputs, View::new(&self.ty.shape, &computed)))
    }
}

impl fmt::Debug for Computing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {:?}", self.inner, self.of)
    }
}

impl Op for Computing {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let computed = self.of.infer(&inputs[self.own..])?;
        self.inner.infer(&self.inner_inputs(inputs, &computed))
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        self.with_inner(inputs, |inputs| self.inner.eval(inputs, out));
    }

    fn kernels(&self, io: &Io<'_>, limits: &Limits) -> Vec<Kernel> {
        let inner = Io { inputs: self.inner_inputs(&io.inputs, &self.ty), output: io.output };
        let of = Io { inputs: io.inputs[self.own..].to_vec(), output: &self.ty };
        let Some(value) = value(self.of.as_ref(), &of, limits) else { return vec![] };
        let value = value.with_operands(|operand| match operand {
            Operand::Input(number) => Operand::Input(self.own + number),
            other => other,
        });
        // The computed input has a number past all others while the operation's own are brought to theirs.
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
        self.inner.kernels(&inner, limits).into_iter().filter_map(whole).collect()
    }

    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        self.with_inner(inputs, |inner| {
            let sums = eval_absolute(self.inner.as_ref(), inner, self.elements).into_iter().filter(|s| s.is_finite());
            sums.fold(self.inner.error_scale(inner), f64::max) + self.of.error_scale(&inputs[self.own..])
        })
    }

    fn traits(&self, io: &Io<'_>) -> Traits {
        let inner = Io { inputs: self.inner_inputs(&io.inputs, &self.ty), output: io.output };
        let traits = self.inner.traits(&inner);
        let placement = match traits.placement {
            Placement::LeftBy(by) if by > self.number => Placement::LeftBy(by - 1),
            other => other,
        };
        Traits { takes_epilogue: false, multilinear: false, overwrites: &[], placement, ..traits }
    }
}
