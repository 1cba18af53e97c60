//! What is done with a case.

use std::cell::RefCell;

use lenslet::compile::{compile_with, gradients as differentiate};
use lenslet::cpu::{Interpreter, budget};
use lenslet::gpu::GpuSession;
use lenslet::graph::{Op, Placement, Source};
use lenslet::kernel::{Io, Kernel};
use lenslet::ops::IGNORE;
use lenslet::plan::BufferRole;
use lenslet::tensor::{HostData, View, ViewData};
use lenslet::{DType, Gpu, Graph, NodeId, Padding, Tensor, TensorType, Window};

use crate::cases::{Case, Fill};

/// A value of the reference: numbers, or bytes.
#[derive(Clone)]
enum Value {
    Numbers(Vec<f64>),
    Bytes(Vec<u8>),
}

impl Value {
    fn view<'a>(&'a self, ty: &'a TensorType) -> View<'a> {
        let data = match self {
            Value::Numbers(v) => ViewData::F64(v),
            Value::Bytes(v) => ViewData::U8(v),
        };
        View { shape: &ty.shape, data }
    }
}

/// A small generator of its own: a failure names the case, and the case fixes the numbers.
struct Random(u64);

impl Random {
    fn of(name: &str) -> Self {
        Self(name.bytes().fold(0x9e37_79b9_7f4a_7c15, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }

    /// A float in −1..1.
    fn unit(&mut self) -> f64 {
        f64::from((self.next() % (1 << 24)) as f32 / (1 << 23) as f32 - 1.0)
    }

    fn value(&mut self, ty: &TensorType, fill: Fill) -> Value {
        let elements = ty.shape.elements();
        if let Fill::Bytes = fill {
            return Value::Bytes((0..elements).map(|_| self.next() as u8).collect());
        }
        let one = |_| match fill {
            Fill::Any => 2.0 * self.unit(),
            Fill::AwayFromZero => {
                let v = self.unit();
                v.signum() * (0.5 + 1.5 * v.abs())
            }
            Fill::Ties => (self.next() % 4) as f64 - 1.0,
            Fill::Special => match self.next() % 12 {
                0 => f64::NAN,
                1 => f64::INFINITY,
                2 => f64::NEG_INFINITY,
                n => n as f64 - 6.0,
            },
            Fill::Large => 1e4 * self.unit(),
            Fill::Below(n) => (self.next() % u64::from(n)) as f64,
            Fill::BelowOrIgnore(_) if self.next().is_multiple_of(3) => f64::from(IGNORE),
            Fill::BelowOrIgnore(n) => (self.next() % u64::from(n)) as f64,
            Fill::Only(n) => f64::from(n),
            Fill::Bytes => unreachable!("handled above"),
        };
        // What the GPU sees is what the reference sees.
        Value::Numbers(
            (0..elements).map(one).map(|v| if ty.dtype == DType::F32 { f64::from(v as f32) } else { v }).collect(),
        )
    }
}

/// The graph of a case, its leaves' values, and its result.
fn build(case: &Case) -> (Graph, Vec<Value>, Vec<NodeId>, NodeId) {
    let mut random = Random::of(&case.name);
    let mut graph = Graph::new();
    let leaf = |i: &crate::cases::Input| match case.updates {
        true => graph.variable("x", i.ty.clone()).unwrap(),
        false => graph.input("x", i.ty.clone()).unwrap(),
    };
    let ids: Vec<NodeId> = case.inputs.iter().map(leaf).collect();
    let values = case.inputs.iter().map(|i| random.value(&i.ty, i.fill)).collect();
    let y = (case.build)(&mut graph, &ids).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    (graph, values, ids, y)
}

/// Every value of the graph, by the reference.
fn interpret(graph: &Graph, leaves: &[Value]) -> Vec<Value> {
    let mut all: Vec<Value> = vec![];
    let mut leaves = leaves.iter();
    for id in graph.ids() {
        let node = graph.node(id);
        all.push(match &node.source {
            Source::Constant(v) => Value::Numbers(v.iter().map(|&v| f64::from(v)).collect()),
            Source::Input | Source::Variable => leaves.next().expect("a value a leaf").clone(),
            Source::Op { op, inputs } => {
                let views: Vec<View> = inputs.iter().map(|i| all[i.index()].view(graph.ty(*i))).collect();
                let mut out = vec![0.0; node.ty.shape.elements()];
                op.eval(&views, &mut out);
                Value::Numbers(out)
            }
        });
    }
    all
}

/// Appends a random upstream gradient to a result, and the gradients to the float inputs.
fn append_gradients(case: &Case, graph: &mut Graph, ids: &[NodeId], y: NodeId) -> Vec<NodeId> {
    let mut random = Random::of(&format!("{} upstream", case.name));
    let upstream = Tensor::from_fn(graph.shape(y).clone(), |_| random.unit() as f32);
    let upstream = graph.constant("upstream", upstream).unwrap();
    let weighted = graph.mul(y, upstream).unwrap();
    differentiate(graph, weighted, ids).unwrap_or_else(|e| panic!("{}: {e}", case.name))
}

/// The gradient of a weighted sum of the result against central differences, at some elements of each input.
pub fn gradients(case: &Case) {
    let (mut graph, values, ids, y) = build(case);
    let floats: Vec<usize> = (0..ids.len()).filter(|&i| graph.dtype(ids[i]) == DType::F32).collect();
    let wrt: Vec<NodeId> = floats.iter().map(|&i| ids[i]).collect();
    let grads = append_gradients(case, &mut graph, &wrt, y);
    for grad in &grads {
        graph.output(*grad);
    }
    let weighted = NodeId::from_index(y.index() + 2);
    let mut forward = graph.clone();
    forward.output(weighted);
    let session = RefCell::new(Interpreter::new(&forward).unwrap());
    let run = |values: &[Value]| {
        let mut session = session.borrow_mut();
        for (id, value) in ids.iter().zip(values) {
            let Value::Numbers(v) = value else { panic!("bytes have no gradient") };
            session.write_f64(*id, v).unwrap();
        }
        session.step();
        session.read_f64(weighted).unwrap().iter().sum::<f64>()
    };
    run(&values);
    let analytic: Vec<Vec<f64>> = grads.iter().map(|g| session.borrow().read_f64(*g).unwrap().to_vec()).collect();
    let mut random = Random::of(&format!("{} elements", case.name));
    for (&input, analytic) in floats.iter().zip(&analytic) {
        assert_eq!(analytic.len(), graph.shape(ids[input]).elements(), "{}: shape of the gradient", case.name);
        let tries = analytic.len().min(12);
        for attempt in 0..tries {
            let at = if tries < 12 { attempt } else { random.next() as usize % analytic.len() };
            let shifted = |h: f64| {
                let mut values = values.clone();
                if let Value::Numbers(v) = &mut values[input] {
                    v[at] += h;
                }
                run(&values)
            };
            let h = 1e-5;
            let numeric = (shifted(h) - shifted(-h)) / (2.0 * h);
            let error = (numeric - analytic[at]).abs() / numeric.abs().max(1.0);
            assert!(
                error < 1e-6,
                "OPS_CASE={:?}: input {input} element {at}: gradient {}, central difference {numeric}",
                case.name,
                analytic[at]
            );
        }
    }
}

/// Every candidate of every operation of the case, forward and backward, against the reference.
pub fn kernels(case: &Case, gpu: &Gpu) {
    let (mut graph, values, ids, y) = build(case);
    if case.backward {
        let floats: Vec<NodeId> = ids.iter().copied().filter(|&i| graph.dtype(i) == DType::F32).collect();
        append_gradients(case, &mut graph, &floats, y);
    }
    let all = interpret_rounded(&graph, &values);
    for id in graph.ids() {
        let node = graph.node(id);
        let Some(op) = node.op() else { continue };
        if graph.traits(id).placement != Placement::Own {
            continue;
        }
        let inputs: Vec<(&TensorType, &Value)> =
            node.inputs().iter().map(|i| (graph.ty(*i), &all[i.index()])).collect();
        // The helper operations of large gradients repeat those of the case proper.
        for candidate in 0..op.kernels(&graph.io(id), gpu.limits()).len() {
            for in_place in [false, true] {
                if !in_place || !graph.traits(id).overwrites.is_empty() {
                    one_kernel(&case.name, op, &inputs, gpu, candidate, in_place);
                }
            }
        }
    }
}

/// As [`interpret`], with each value rounded to what a buffer holds.
fn interpret_rounded(graph: &Graph, leaves: &[Value]) -> Vec<Value> {
    let mut values = interpret(graph, leaves);
    for (id, value) in graph.ids().zip(&mut values) {
        if let (Value::Numbers(v), DType::F32) = (value, graph.dtype(id)) {
            v.iter_mut().for_each(|v| *v = f64::from(*v as f32));
        }
    }
    values
}

/// One candidate of one operation: alone in a graph, its output poisoned, its result within the budget.
fn one_kernel(
    case: &str,
    op: &std::sync::Arc<dyn Op>,
    inputs: &[(&TensorType, &Value)],
    gpu: &Gpu,
    candidate: usize,
    in_place: bool,
) {
    let types: Vec<&TensorType> = inputs.iter().map(|(ty, _)| *ty).collect();
    let output = op.infer(&types).expect("inferred before");
    let io = Io { inputs: types, output: &output };
    let traits = op.traits(&io);
    let mut graph = Graph::new();
    let leaf = |(ty, _): &(&TensorType, &Value)| graph.variable("x", (*ty).clone()).unwrap();
    let leaves: Vec<NodeId> = inputs.iter().map(leaf).collect();
    // In place needs a computed value to overwrite.
    let mut operands = leaves.clone();
    if in_place {
        for &number in traits.overwrites {
            operands[number] = graph.copy(leaves[number]).unwrap();
        }
    }
    let y = graph.append_shared(op.clone(), &operands).unwrap();
    let results: Vec<NodeId> = match traits.updates {
        [] => vec![y],
        updates => updates.iter().map(|&u| leaves[u]).collect(),
    };
    if traits.updates.is_empty() {
        graph.output(y);
    }
    let name = op.name();
    let choose = |op: &'static str, _: &Io<'_>, _: &[Kernel]| if op == name { candidate } else { 0 };
    let attempt = format!("OPS_CASE={case:?}: {name} candidate {candidate}");
    let plan = compile_with(&graph, gpu.limits(), &choose).expect(&attempt);
    if in_place && plan.steps.iter().all(|s| s.dispatch.in_place.is_none()) {
        return;
    }
    let slots: Vec<(usize, u64)> = plan
        .buffers
        .iter()
        .enumerate()
        .filter(|(_, b)| b.role == BufferRole::Slot)
        .map(|(i, b)| (i, b.bytes))
        .collect();
    let kernel = plan.steps.last().expect("a step").dispatch.shader.name;
    let session = GpuSession::from_plan(gpu, &graph, plan).expect(&attempt);
    for (slot, bytes) in slots {
        gpu.queue().write_buffer(session.replay().buffer(slot), 0, &f32::NAN.to_ne_bytes().repeat(bytes as usize / 4));
    }
    for (&leaf, (ty, value)) in leaves.iter().zip(inputs) {
        write(&session, leaf, ty, value);
    }
    session.submit(1);

    let views: Vec<View> = inputs.iter().map(|(ty, value)| value.view(ty)).collect();
    let length = match traits.updates {
        [] => output.shape.elements(),
        updates => updates.iter().map(|&u| inputs[u].0.shape.elements()).sum(),
    };
    let mut want = vec![0.0; length];
    op.eval(&views, &mut want);
    let allowed = budget(op.as_ref(), &io, &views, &want);
    let mut first = 0;
    for result in results {
        let is_integer = graph.dtype(result) != DType::F32;
        let got = session.read(result).expect(&attempt);
        for (i, got) in got.iter().enumerate() {
            let (want, allowed) = (want[first + i], allowed[first + i]);
            let got = if is_integer { f64::from(got.to_bits()) } else { f64::from(*got) };
            assert!(
                agrees(got, want, allowed),
                "OPS_CASE={case:?}: {name} {op:?} {:?}, kernel {kernel} (candidate {candidate}{}, {:?} shaders): \
                 element {i} is {got}, the reference says {want}, allowed error {allowed:.3e}",
                io.inputs,
                if in_place { ", in place" } else { "" },
                gpu.checks(),
            );
        }
        first += got.len();
    }
}

/// NaN agrees with NaN and an infinity with itself; past the largest float an infinity is right.
fn agrees(got: f64, want: f64, allowed: f64) -> bool {
    let want = if want.abs() > f64::from(f32::MAX) { want.signum() * f64::INFINITY } else { want };
    match want.is_finite() {
        true => (got - want).abs() <= allowed,
        false => got == want || got.is_nan() && want.is_nan(),
    }
}

fn write(session: &GpuSession, node: NodeId, ty: &TensorType, value: &Value) {
    let floats: Vec<f32>;
    let integers: Vec<u32>;
    let data = match (value, ty.dtype) {
        (Value::Bytes(v), _) => HostData::U8(v),
        (Value::Numbers(v), DType::F32) => {
            floats = v.iter().map(|&v| v as f32).collect();
            HostData::F32(&floats)
        }
        (Value::Numbers(v), _) => {
            integers = v.iter().map(|&v| v as u32).collect();
            HostData::U32(&integers)
        }
    };
    session.write(node, data).unwrap();
}

/// Each scalar function after the case's result, in the same kernel, where its operation takes one.
pub fn fused(case: &Case, gpu: &Gpu) {
    for row in lenslet::ops::TABLE {
        let (mut graph, values, ids, y) = build(case);
        if !graph.traits(y).takes_epilogue {
            return;
        }
        let z = graph.unary(row.name, y).unwrap();
        graph.output(z);
        let plan = compile_with(&graph, gpu.limits(), &lenslet::compile::first).unwrap();
        let fused = lenslet::compile::fuse(&graph);
        let op = fused.node(z).op().expect("computed").clone();
        assert_eq!(fused.node(z).inputs(), graph.node(y).inputs(), "{} takes no {}", case.name, row.name);
        let session = GpuSession::from_plan(gpu, &graph, plan).unwrap();
        for (id, value) in ids.iter().zip(&values) {
            write(&session, *id, graph.ty(*id), value);
        }
        session.submit(1);
        let got = session.read(z).unwrap();
        let Value::Numbers(want) = &interpret(&graph, &values)[z.index()] else { panic!("numbers") };
        // The error before the scalar function passes through it: its slope is at most 1.
        let io = graph.io(y);
        let views: Vec<View> = graph.node(y).inputs().iter().zip(&values).map(|(i, v)| v.view(graph.ty(*i))).collect();
        let plain = graph.node(y).op().expect("computed");
        let allowed = budget(plain.as_ref(), &io, &views, want);
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            let allowed = allowed[i] + 4.0 * f64::from(f32::EPSILON);
            let got = f64::from(*got);
            assert!(
                agrees(got, *want, allowed),
                "OPS_CASE={:?}: {op:?}: element {i} is {got}, the reference says {want}, allowed {allowed:.3e}",
                case.name
            );
        }
    }
}

/// A picture shifted by a row and two columns gives the same response, shifted alike, away from the border: for each
/// kernel of the convolution, to the bit.
pub fn translation_equivariance(gpu: &Gpu) {
    let (h, w) = (19, 23);
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([1, 2, h, w])).unwrap();
    let f = graph.input("w", TensorType::f32([5, 2, 3, 3])).unwrap();
    let y = graph.conv2d(x, f, None, Window::new(3).padding(Padding::Same)).unwrap();
    graph.output(y);
    let candidates = graph.node(y).op().expect("computed").kernels(&graph.io(y), gpu.limits()).len();
    let mut random = Random::of("equivariance");
    let picture: Vec<f32> = (0..2 * h * w).map(|_| random.unit() as f32).collect();
    let filters: Vec<f32> = (0..5 * 2 * 9).map(|_| random.unit() as f32).collect();
    let (down, right) = (1, 2);
    let shifted: Vec<f32> = (0..2 * h * w)
        .map(|i| {
            let (c, row, column) = (i / (h * w), i / w % h, i % w);
            if row < down || column < right { 0.0 } else { picture[(c * h + row - down) * w + column - right] }
        })
        .collect();
    for candidate in 0..candidates {
        let plan = compile_with(&graph, gpu.limits(), &|_, _, _| candidate).unwrap();
        let session = GpuSession::from_plan(gpu, &graph, plan).unwrap();
        session.write(f, HostData::F32(&filters)).unwrap();
        let response = |picture: &[f32]| {
            session.write(x, HostData::F32(picture)).unwrap();
            session.submit(1);
            session.read(y).unwrap()
        };
        let (plain, moved) = (response(&picture), response(&shifted));
        for k in 0..5 {
            for row in 1..h - 1 - down {
                for column in 1..w - 1 - right {
                    let before = plain[(k * h + row) * w + column];
                    let after = moved[(k * h + row + down) * w + column + right];
                    assert_eq!(before, after, "candidate {candidate}, filter {k} at {row}, {column}");
                }
            }
        }
    }
}
