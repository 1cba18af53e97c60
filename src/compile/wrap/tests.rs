//! Which methods of the two operations each method of a wrapped one calls.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::*;
use crate::shape::Window;

type Log = Arc<Mutex<BTreeSet<String>>>;

/// An operation that notes which of its methods are called.
#[derive(Debug)]
struct Noting(Arc<dyn Op>, &'static str, Log);

impl Noting {
    fn note(&self, method: &str) -> &dyn Op {
        self.2.lock().unwrap().insert(format!("{}.{method}", self.1));
        self.0.as_ref()
    }
}

impl Op for Noting {
    fn name(&self) -> &'static str {
        self.note("name").name()
    }
    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        self.note("infer").infer(inputs)
    }
    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        self.note("eval").eval(inputs, out);
    }
    fn eval_f32(&self, inputs: &[View<'_>], out: &mut [f32]) -> bool {
        self.note("eval_f32").eval_f32(inputs, out)
    }
    fn grad(&self, graph: &mut Graph, node: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        self.note("grad").grad(graph, node, dy)
    }
    fn kernels(&self, io: &Io<'_>, limits: &Limits) -> Vec<Kernel> {
        self.note("kernels").kernels(io, limits)
    }
    fn pooled_kernels(&self, io: &Io<'_>, limits: &Limits, pooling: Pooling) -> Vec<Kernel> {
        self.note("pooled_kernels").pooled_kernels(io, limits, pooling)
    }
    fn error_scale(&self, inputs: &[View<'_>]) -> f64 {
        self.note("error_scale").error_scale(inputs)
    }
    fn traits(&self, io: &Io<'_>) -> Traits {
        self.note("traits").traits(io)
    }
}

/// `relu`, `conv2d` of that, `relu` of that or `max_pool2d` of that, noting what they are asked.
fn noting() -> Result<(Graph, [NodeId; 5], Log)> {
    let mut plain = Graph::new();
    let x = plain.input("x", TensorType::f32([1, 1, 6, 6]))?;
    let w = plain.input("w", TensorType::f32([2, 1, 3, 3]))?;
    let before = plain.relu(x)?;
    let y = plain.conv2d(before, w, None, Window::new(3))?;
    let ended = plain.relu(y)?;
    let pooled = plain.max_pool2d(y, Window::new(2).stride(2))?;
    let (mut graph, log) = (plain.clone(), Log::default());
    for (id, label) in [(before, "before"), (y, "y"), (ended, "ended"), (pooled, "pooled")] {
        let node = plain.node(id);
        let op = Noting(node.op().unwrap().clone(), label, log.clone());
        graph.replace(id, node.name.clone(), Arc::new(op), node.inputs().to_vec());
    }
    Ok((graph, [w, before, y, ended, pooled], log))
}

/// The methods of the two operations that each method of the whole calls, in the order of the trait.
fn calls(graph: &mut Graph, id: NodeId, whole: Wrapped, inputs: Vec<NodeId>, log: &Log) -> [String; 9] {
    graph.replace(id, "whole".into(), Arc::new(whole), inputs.clone());
    let (op, graph) = (graph.node(id).op().unwrap().clone(), graph.clone());
    let (io, limits, mut other) = (graph.io(id), Limits::default(), graph.clone());
    let data: Vec<Vec<f64>> = inputs.iter().map(|&i| vec![0.5; graph.shape(i).elements()]).collect();
    let views: Vec<View<'_>> = inputs.iter().zip(&data).map(|(&i, data)| View::new(graph.shape(i), data)).collect();
    let elements = io.output.shape.elements();
    let pooling = Pooling { size: [2, 2], leaves: false };
    let noted = |ask: &mut dyn FnMut()| {
        log.lock().unwrap().clear();
        ask();
        log.lock().unwrap().iter().map(String::as_str).collect::<Vec<_>>().join(" ")
    };
    [
        noted(&mut || assert_eq!(op.name(), io_name(&graph, id))),
        noted(&mut || assert_eq!(op.infer(&io.inputs).as_ref(), Ok(io.output))),
        noted(&mut || op.eval(&views, &mut vec![0.0; elements])),
        noted(&mut || assert!(!op.eval_f32(&views, &mut vec![0.0; elements]))),
        noted(&mut || assert!(op.grad(&mut other, id, id).unwrap_err().to_string().contains("compiled graph"))),
        noted(&mut || drop(op.kernels(&io, &limits))),
        noted(&mut || drop(op.pooled_kernels(&io, &limits, pooling))),
        noted(&mut || assert!(op.error_scale(&views).is_finite())),
        noted(&mut || drop(op.traits(&io))),
    ]
}

fn io_name(graph: &Graph, id: NodeId) -> &'static str {
    graph.node(id).op().unwrap().name()
}

#[test]
fn every_method_is_answered() -> Result<()> {
    let (graph, [w, before, y, ended, pooled], log) = noting()?;
    let (x, of_y) = (graph.node(before).inputs()[0], graph.node(y).inputs().to_vec());
    let whole = Wrapped::left(graph.node(ended).op().unwrap().clone(), 0);
    let left = calls(&mut graph.clone(), ended, whole, vec![y], &log);
    let error_scale = "ended.error_scale";
    assert_eq!(left, ["ended.name", "ended.infer", "ended.eval", "", "ended.name", "", "", error_scale, ""]);

    let epilogue = graph.traits(ended).epilogue.expect("relu is one");
    let whole = Wrapped::ending(&graph, y, ended, epilogue).expect("two operations");
    let ending = calls(&mut graph.clone(), ended, whole, of_y.clone(), &log);
    let both = ["ended.infer y.infer", "ended.eval y.eval"];
    let (kernels, pooling, scale) = ("y.kernels", "y.pooled_kernels", "y.error_scale y.eval");
    assert_eq!(ending, ["y.name", both[0], both[1], "", "y.name", kernels, pooling, scale, "y.traits"]);

    let pools = graph.traits(pooled).pools.expect("it pools");
    let whole = Wrapped::pooling(&graph, y, pooled, pools).expect("two operations");
    let pooling = calls(&mut graph.clone(), pooled, whole, of_y, &log);
    let both = ["pooled.infer y.infer", "pooled.eval y.eval"];
    let kernels = pooling[5].replace("pooled.kernels ", "");
    assert_eq!(kernels, "y.kernels y.pooled_kernels");
    assert_eq!(pooling, ["y.name", both[0], both[1], "", "y.name", &pooling[5], "", scale, "y.traits"]);

    let whole = Wrapped::computing(&graph, before, y, 0).expect("two operations");
    let computing = calls(&mut graph.clone(), y, whole, vec![w, x], &log);
    let both = ["before.infer y.infer", "before.eval y.eval", "before.kernels y.kernels"];
    let scale = "before.error_scale before.eval y.error_scale y.eval";
    assert_eq!(computing, ["y.name", both[0], both[1], "", "y.name", both[2], "", scale, "y.traits"]);
    Ok(())
}
