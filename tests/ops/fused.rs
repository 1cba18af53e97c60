//! What becomes of a scalar function after an operation whose kernels can end in one.

use lenslet::check::{Built, Case, Fill, Random, Value, agrees};
use lenslet::compile::{compile_with, first, gradients, merge, pull_back};
use lenslet::cpu::{Reference, budget};
use lenslet::gpu::GpuSession;
use lenslet::graph::Placement;
use lenslet::kernel::{Io, Kernel};
use lenslet::ops::{From, Scalar, TABLE};
use lenslet::tensor::View;
use lenslet::{Gpu, Graph, NodeId, TensorType};

/// Some scalar functions and gradients of such, others for each case, after the case's result, in the same kernel, where
/// its operation takes one.
pub fn every_result(case: &Case, gpu: &Gpu) {
    let start = Random::of(&case.name).bits() as usize;
    for row in TABLE.iter().cycle().skip(start % TABLE.len()).take(3) {
        let built = Built::of(case).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        if !built.graph.traits(built.y).takes_epilogue {
            return;
        }
        activated(case, row, gpu, built);
        scaled(case, row, gpu, Built::of(case).expect("built above"));
    }
}

fn activated(case: &Case, row: &Scalar, gpu: &Gpu, built: Built) {
    let Built { mut graph, inputs: ids, values, y } = built;
    let z = graph.unary(row.name, y).unwrap();
    let fused = merge(&graph);
    assert_eq!(fused.node(z).inputs(), graph.node(y).inputs(), "{} takes no {}", case.name, row.name);
    // The error before the scalar function passes through it, perhaps out of where it is defined.
    let a = row.parameter.as_ref().map_or(0.0, |p| f64::from(p.default));
    let through = |plain: f64, before: f64, want: f64, _: usize| {
        let [below, above] = [-before, before].map(|error| ((row.f)(plain + error, a) - want).abs());
        if below.is_nan() != above.is_nan() { f64::INFINITY } else { below.max(above) }
    };
    compare(case, gpu, graph, &ids, &values, [y, z], through);
}

/// The gradient of a scalar function of another value, which scales the case's result.
fn scaled(case: &Case, row: &Scalar, gpu: &Gpu, built: Built) {
    let Built { mut graph, inputs: mut ids, mut values, y } = built;
    let argument = graph.input("argument", graph.ty(y).clone()).unwrap();
    let mut random = Random::of(&format!("{} {}", case.name, row.name));
    values.push(random.value(graph.ty(y), Fill::Positive));
    ids.push(argument);
    let of_argument = graph.unary(row.name, argument).unwrap();
    let z = pull_back(&mut graph, of_argument, y, &[argument]).unwrap()[0];
    if graph.traits(z).epilogue.is_none() {
        return; // Its slope is the same everywhere.
    }
    let inputs = merge(&graph).node(z).inputs().to_vec();
    assert_eq!(inputs[..inputs.len() - 1], *graph.node(y).inputs(), "{}: gradient of {}", case.name, row.name);
    let Value::Numbers(arguments) = &values[values.len() - 1] else { panic!("numbers") };
    let a = row.parameter.as_ref().map_or(0.0, |p| f64::from(p.default));
    let slopes: Vec<f64> = arguments
        .iter()
        .map(|&x| (row.derivative)(if row.from == From::X { x } else { (row.f)(x, a) }, a).abs())
        .collect();
    compare(case, gpu, graph, &ids, &values, [y, z], |_, before, _, i| before * slopes[i]);
}

/// What the GPU makes of `z` against the reference. `through` is what becomes of an error in `y`: of the value there, the
/// error, the value of `z` and the position.
fn compare(
    case: &Case,
    gpu: &Gpu,
    mut graph: Graph,
    ids: &[NodeId],
    values: &[Value],
    [y, z]: [NodeId; 2],
    through: impl Fn(f64, f64, f64, usize) -> f64,
) {
    graph.output(z);
    let plan = compile_with(&graph, gpu.limits(), &first).unwrap();
    let op = merge(&graph).node(z).op().expect("computed").clone();
    let session = GpuSession::from_plan(gpu, &graph, plan).unwrap();
    for (id, value) in ids.iter().zip(values) {
        value.with_host_data(graph.dtype(*id), |data| session.write(*id, data)).unwrap();
    }
    session.submit(1);
    let got = session.read(z).unwrap();
    let all = Reference::values(&graph, values);
    let (Value::Numbers(plain), Value::Numbers(want)) = (&all[y.index()], &all[z.index()]) else { panic!("numbers") };
    let budget_of = |id: NodeId| {
        let node = graph.node(id);
        let views: Vec<View> = node.inputs().iter().map(|i| all[i.index()].view(graph.ty(*i))).collect();
        let Value::Numbers(want) = &all[id.index()] else { panic!("numbers") };
        budget(node.op().expect("computed").as_ref(), &graph.io(id), &views, want)
    };
    let (before, own) = (budget_of(y), budget_of(z));
    for i in 0..want.len() {
        let allowed = own[i] + through(plain[i], before[i], want[i], i);
        let (got, want) = (f64::from(got[i]), want[i]);
        assert!(
            agrees(got, want, allowed) || allowed.is_infinite(),
            "OPS_CASE={:?}: {op:?}: element {i} is {got}, the reference says {want}, allowed {allowed:.3e}",
            case.name
        );
    }
}

/// A product, then a scalar function, then its gradient: joined only if the gradient does not read the product.
pub fn what_the_gradient_reads_is_kept() {
    for row in TABLE {
        let mut graph = Graph::new();
        let a = graph.input("a", TensorType::f32([2, 3])).unwrap();
        let b = graph.input("b", TensorType::f32([3, 4])).unwrap();
        let x = graph.matmul(a, b, false, false).unwrap();
        let y = graph.unary(row.name, x).unwrap();
        let da = gradients(&mut graph, y, &[a]).unwrap()[0];
        graph.output(da);
        graph.output(y);
        let joined = merge(&graph).node(y).inputs() == [a, b];
        assert_eq!(joined, row.from == From::Y, "{}", row.name);
    }
}

/// The positions that each kernel of a case leaves beside its maxima, to the last one. Returns how many kernels that were.
pub fn what_is_left(case: &Case, gpu: &Gpu) -> usize {
    let mut built = Built::of(case).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let (_, gradients) = built.differentiate(case).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let Built { mut graph, inputs, values, y } = built;
    gradients.into_iter().chain([y]).for_each(|result| graph.output(result));
    let fused = merge(&graph);
    let is_left = |id: &NodeId| matches!(fused.traits(*id).placement, Placement::LeftBy(_));
    let left: Vec<NodeId> = fused.ids().filter(is_left).collect();
    let all = Reference::values(&graph, &values);
    left.iter().for_each(|&id| graph.output(id));
    let (name, mut tried) = ("conv2d", 0);
    for candidate in 0.. {
        let most = std::cell::Cell::new(1);
        let choose = |op: &'static str, _: &Io<'_>, candidates: &[Kernel]| {
            if op == name {
                most.set(candidates.len());
            }
            Ok(if op == name { candidate.min(candidates.len() - 1) } else { 0 })
        };
        let plan = compile_with(&graph, gpu.limits(), &choose).unwrap();
        if candidate >= most.get() {
            break;
        }
        let session = GpuSession::from_plan(gpu, &graph, plan).unwrap();
        for (id, value) in inputs.iter().zip(&values) {
            value.with_host_data(graph.dtype(*id), |data| session.write(*id, data)).unwrap();
        }
        session.submit(1);
        for &id in &left {
            let Value::Numbers(want) = &all[id.index()] else { panic!("numbers") };
            assert_eq!(&session.read_f64(id).unwrap(), want, "OPS_CASE={:?}, candidate {candidate}", case.name);
            tried += 1;
        }
    }
    tried
}
