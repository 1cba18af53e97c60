//! Comparison of single kernels with the reference.

use std::sync::Arc;

use crate::Result;
use crate::check::cases::Case;
use crate::check::values::Built;
use crate::compile::{compile_with, merge};
use crate::cpu::{Reference, Value, budget};
use crate::gpu::{Gpu, GpuSession, KernelChoice, TunedOperation};
use crate::graph::{Graph, NodeId, Op, Placement};
use crate::kernel::{Io, Kernel};
use crate::plan::BufferRole;
use crate::shape::{DType, TensorType};
use crate::tensor::{View, ViewData};

/// An operation with input values, ready to be tried.
pub struct Trial<'a> {
    /// The case it belongs to.
    pub case: &'a str,
    /// The operation.
    pub op: Arc<dyn Op>,
    /// Its inputs.
    pub inputs: Vec<(TensorType, Value)>,
}

/// The error of a kernel relative to the reference, and its bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The name of the case, with the operation's options and shapes.
    pub case: String,
    /// The operation tried: the case's own or one of its gradients.
    pub operation: &'static str,
    /// Attributes and operand types.
    pub detail: String,
    /// The kernel.
    pub kernel: &'static str,
    /// Index among the candidates.
    pub candidate: usize,
    /// Whether the output reused an input's memory.
    pub in_place: bool,
    /// The element with the largest error relative to its bound.
    pub worst: Element,
    /// Whether every element is within its bound.
    pub passed: bool,
}

/// One element of an output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Element {
    /// Its row-major index.
    pub index: usize,
    /// The kernel's value.
    pub got: f64,
    /// The reference's value.
    pub want: f64,
    /// The maximum error allowed.
    pub budget: f64,
}

impl Element {
    /// The absolute error; infinite if exactly one of the values is NaN.
    pub fn error(&self) -> f64 {
        match (self.got - self.want).abs() {
            _ if self.got == self.want || self.got.is_nan() && self.want.is_nan() => 0.0,
            error if error.is_nan() => f64::INFINITY,
            error => error,
        }
    }
}

/// Whether two values agree within a bound. NaN agrees with NaN, an infinity with itself. Above the largest float an
/// infinity is correct.
pub fn agrees(got: f64, want: f64, budget: f64) -> bool {
    let want = if want.abs() > f64::from(f32::MAX) { want.signum() * f64::INFINITY } else { want };
    match want.is_finite() {
        true => (got - want).abs() <= budget,
        false => got == want || got.is_nan() && want.is_nan(),
    }
}

impl Case {
    /// The operations of the case with their input values, including gradients if the case has them.
    pub fn trials(&self) -> Result<Vec<Trial<'_>>> {
        let mut built = Built::of(self)?;
        let mut results = vec![built.y];
        if self.backward {
            results.extend(built.differentiate(self)?.1);
        }
        if self.joined {
            results.into_iter().for_each(|result| built.graph.output(result));
            built.graph = merge(&built.graph);
        }
        let graph = &built.graph;
        let all = Reference::rounded_values(graph, &built.values);
        let trial = |id: NodeId| {
            let op = graph.node(id).op()?.clone();
            let input = |i: &NodeId| (graph.ty(*i).clone(), all[i.index()].clone());
            let inputs = graph.node(id).inputs().iter().map(input).collect();
            (graph.traits(id).placement == Placement::Own).then_some(Trial { case: &self.name, op, inputs })
        };
        Ok(graph.ids().filter_map(trial).collect())
    }
}

impl Trial<'_> {
    /// Tries every candidate, out of place and in place.
    ///
    /// Errors: the device fails. A difference is a [`Verdict`], not an error.
    pub fn run(&self, gpu: &Gpu) -> Result<Vec<Verdict>> {
        let output = self.output();
        let io = self.io(&output);
        let mut verdicts = vec![];
        for candidate in 0..self.op.kernels(&io, gpu.limits()).len() {
            verdicts.extend(self.one(gpu, candidate, false)?);
            if !self.op.traits(&io).overwrites.is_empty() {
                verdicts.extend(self.one(gpu, candidate, true)?);
            }
        }
        Ok(verdicts)
    }

    /// Tries the candidate that sessions on this device use.
    pub(super) fn chosen(&self, gpu: &Gpu, choice: &KernelChoice) -> Result<Verdict> {
        let output = self.output();
        let io = self.io(&output);
        let chosen = choice.choose(self.op.name(), &io, &self.op.kernels(&io, gpu.limits()))?;
        Ok(self.one(gpu, chosen, false)?.expect("a verdict, as nothing is done in place"))
    }

    /// The names of its kernels on this device.
    pub fn kernels(&self, gpu: &Gpu) -> Vec<&'static str> {
        let kernels = self.op.kernels(&self.io(&self.output()), gpu.limits());
        kernels.iter().map(|kernel| kernel.name).collect()
    }

    /// The record entry for these times in milliseconds.
    pub fn tuned<'t>(&self, gpu: &Gpu, ms: impl IntoIterator<Item = (&'t str, f64)>) -> Result<TunedOperation> {
        let output = self.output();
        let io = self.io(&output);
        let candidates = self.op.kernels(&io, gpu.limits());
        TunedOperation::new(self.op.name(), format!("{:?}", self.op), &io, &candidates, ms)
    }

    fn output(&self) -> TensorType {
        let types: Vec<&TensorType> = self.inputs.iter().map(|(ty, _)| ty).collect();
        self.op.infer(&types).expect("inferred when the case was built")
    }

    fn io<'a>(&'a self, output: &'a TensorType) -> Io<'a> {
        Io { inputs: self.inputs.iter().map(|(ty, _)| ty).collect(), output }
    }

    /// Number of multiply-adds, and number of bytes of the inputs and the output.
    pub fn work(&self) -> (u64, u64) {
        let output = self.output();
        let bytes = self.inputs.iter().map(|(ty, _)| ty.bytes()).sum::<u64>() + output.bytes();
        (self.op.traits(&self.io(&output)).multiply_adds, bytes)
    }

    /// Tries the f32 implementation of the CPU device, where it differs from the reference, on memory filled with
    /// garbage.
    pub fn on_cpu(&self) -> Option<Verdict> {
        let floats = |(ty, value): &(TensorType, Value)| match (value, ty.dtype) {
            (Value::Numbers(v), DType::F32) => v.iter().map(|&v| v as f32).collect(),
            _ => vec![],
        };
        let floats: Vec<Vec<f32>> = self.inputs.iter().map(floats).collect();
        let mut views: Vec<View<'_>> = self.inputs.iter().map(|(ty, value)| value.view(ty)).collect();
        for ((view, floats), (ty, _)) in views.iter_mut().zip(&floats).zip(&self.inputs) {
            if ty.dtype == DType::F32 {
                view.data = ViewData::F32(floats);
            }
        }
        let output = self.output();
        let io = self.io(&output);
        let results: Vec<&TensorType> = match self.op.traits(&io).updates {
            [] => vec![&output],
            updates => updates.iter().map(|&u| io.inputs[u]).collect(),
        };
        let mut got = vec![f32::NAN; results.iter().map(|ty| ty.shape.elements()).sum()];
        let done = self.op.eval_f32(&views, &mut got);
        done.then(|| {
            let got: Vec<f64> = got.into_iter().map(f64::from).collect();
            self.verdict(&io, &got, "f32 on the CPU", 0, false)
        })
    }

    fn verdict(&self, io: &Io<'_>, got: &[f64], kernel: &'static str, candidate: usize, in_place: bool) -> Verdict {
        let (worst, passed) = self.compare(io, got);
        let operands: Vec<_> = io.inputs.iter().map(|t| t.to_string()).collect();
        Verdict {
            case: self.case.to_string(),
            operation: self.op.name(),
            detail: format!("{:?} {}", self.op, operands.join(" ")),
            kernel,
            candidate,
            in_place,
            worst,
            passed,
        }
    }

    fn one(&self, gpu: &Gpu, candidate: usize, in_place: bool) -> Result<Option<Verdict>> {
        self.attempt(gpu, candidate, in_place)?.map(|attempt| attempt.verdict()).transpose()
    }

    /// Prepares one candidate, alone in a graph, with outputs filled with NaN. `None` if no input can be overwritten.
    ///
    /// Errors: the device fails.
    pub fn attempt(&self, gpu: &Gpu, candidate: usize, in_place: bool) -> Result<Option<Attempt<'_>>> {
        let output = self.output();
        let io = self.io(&output);
        let traits = self.op.traits(&io);
        let mut graph = Graph::new();
        let leaf = |(ty, _): &(TensorType, Value)| graph.variable("x", ty.clone());
        let leaves: Vec<NodeId> = self.inputs.iter().map(leaf).collect::<Result<_>>()?;
        let mut operands = leaves.clone();
        if in_place {
            // Only a computed value can be overwritten.
            for &number in traits.overwrites {
                operands[number] = graph.copy(leaves[number])?;
            }
        }
        let y = graph.append_shared(self.op.clone(), &operands)?;
        if traits.updates.is_empty() {
            graph.output(y);
        }
        let name = self.op.name();
        let choose = |op: &'static str, _: &Io<'_>, _: &[Kernel]| Ok(if op == name { candidate } else { 0 });
        let plan = compile_with(&graph, gpu.limits(), &choose)?;
        if in_place && plan.steps.iter().all(|step| step.dispatch.in_place.is_none()) {
            return Ok(None);
        }
        let slots = plan.buffers.iter().enumerate().filter(|(_, b)| b.role == BufferRole::Slot);
        let slots: Vec<(usize, u64)> = slots.map(|(i, b)| (i, b.bytes)).collect();
        let session = GpuSession::from_plan(gpu, &graph, plan)?;
        for (slot, bytes) in slots {
            let poison = f32::NAN.to_ne_bytes().repeat(bytes as usize / 4);
            gpu.queue().write_buffer(session.replay().buffer(slot), 0, &poison);
        }
        for (&leaf, (ty, value)) in leaves.iter().zip(&self.inputs) {
            value.with_host_data(ty.dtype, |data| session.write(leaf, data))?;
        }
        let results = match traits.updates {
            [] => vec![y],
            updates => updates.iter().map(|&u| leaves[u]).collect(),
        };
        Ok(Some(Attempt { trial: self, candidate, in_place, session, results }))
    }

    fn compare(&self, io: &Io<'_>, got: &[f64]) -> (Element, bool) {
        let views: Vec<View<'_>> = self.inputs.iter().map(|(ty, value)| value.view(ty)).collect();
        let mut want = vec![0.0; got.len()];
        self.op.eval(&views, &mut want);
        let budgets = budget(self.op.as_ref(), io, &views, &want);
        let element = |index: usize| Element { index, got: got[index], want: want[index], budget: budgets[index] };
        let disagrees = |e: &Element| !agrees(e.got, e.want, e.budget);
        if let Some(wrong) = (0..got.len()).map(element).find(disagrees) {
            return (wrong, false);
        }
        let share = |e: &Element| e.error() / e.budget;
        let worst =
            (0..got.len()).map(element).filter(|e| e.want.is_finite()).max_by(|a, b| share(a).total_cmp(&share(b)));
        (worst.unwrap_or_else(|| element(0)), true)
    }
}

/// A candidate of a trial on a device, ready to run.
pub struct Attempt<'a> {
    trial: &'a Trial<'a>,
    candidate: usize,
    in_place: bool,
    session: GpuSession,
    results: Vec<NodeId>,
}

impl Attempt<'_> {
    /// Its session.
    pub fn session(&self) -> &GpuSession {
        &self.session
    }

    /// Runs it once and compares the output with the reference.
    ///
    /// Errors: the device fails. A difference is a verdict, not an error.
    pub fn verdict(&self) -> Result<Verdict> {
        self.session.submit(1);
        let mut got = vec![];
        for &result in &self.results {
            got.extend(self.session.read_f64(result)?);
        }
        let trial = self.trial;
        let output = trial.output();
        let io = trial.io(&output);
        let kernel = trial.op.kernels(&io, self.session.gpu().limits())[self.candidate].name;
        Ok(trial.verdict(&io, &got, kernel, self.candidate, self.in_place))
    }
}
