//! Reverse-mode differentiation, fusion, and what a graph promises.

use std::sync::atomic::{AtomicUsize, Ordering};

use lenslet::compile::{gradients, merge, schedule};
use lenslet::graph::{Graph, Op};
use lenslet::kernel::{Io, Kernel, Limits};
use lenslet::optim::Sgd;
use lenslet::tensor::View;
use lenslet::{Device, NodeId, Result, Tensor, TensorType, device, models};

use super::training_step;

/// A graph with one flat input.
fn graph(length: usize) -> (Graph, NodeId) {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([length])).expect("an input");
    (graph, x)
}

/// The values of these nodes, on the CPU.
fn values(mut graph: Graph, nodes: &[NodeId], inputs: &[(NodeId, &[f32])]) -> Vec<Vec<f32>> {
    nodes.iter().for_each(|&node| graph.output(node));
    let tensors: Vec<(NodeId, Tensor)> = inputs
        .iter()
        .map(|&(id, data)| (id, Tensor::new(graph.shape(id).clone(), data.to_vec()).expect("as many values")))
        .collect();
    let inputs: Vec<(NodeId, &Tensor)> = tensors.iter().map(|(id, tensor)| (*id, tensor)).collect();
    let outputs = device::run(&Device::Cpu, &graph, &inputs).expect("the CPU runs any graph");
    let place = |node: &NodeId| graph.outputs().iter().position(|output| output == node).expect("an output");
    nodes.iter().map(|node| outputs[place(node)].data().to_vec()).collect()
}

#[test]
fn gradients_add_up_where_a_value_is_used_more_than_once() -> Result<()> {
    let (mut graph, x) = graph(3);
    // x³ + 2x², with x read by four nodes.
    let square = graph.mul(x, x)?;
    let cube = graph.mul(square, x)?;
    let double = graph.scale(x, 2.0)?;
    let product = graph.mul(double, x)?;
    let loss = graph.add(cube, product)?;
    let dx = gradients(&mut graph, loss, &[x])?;
    graph.verify().expect("a good graph");
    assert_eq!(values(graph, &dx, &[(x, &[0.0, 1.0, -2.0])]), [[0.0, 3.0 + 4.0, 12.0 - 8.0]]);
    Ok(())
}

#[test]
fn what_does_not_influence_the_loss_gets_zeros() -> Result<()> {
    let (mut graph, x) = graph(2);
    let unused = graph.input("unused", TensorType::f32([2, 2]))?;
    let dead_end = graph.relu(unused)?;
    let loss = graph.sum(x, &[], false)?;
    let later = graph.scale(loss, 3.0)?;
    let grads = gradients(&mut graph, loss, &[unused, x, dead_end, later])?;
    assert_eq!(values(graph, &grads, &[]), [&[0.0; 4][..], &[1.0; 2], &[0.0; 4], &[0.0]]);
    Ok(())
}

#[test]
fn values_on_the_way_have_gradients_too() -> Result<()> {
    let (mut graph, x) = graph(2);
    let middle = graph.scale(x, 3.0)?;
    let loss = graph.mul(middle, middle)?;
    let grads = gradients(&mut graph, loss, &[x, middle, loss])?;
    assert_eq!(values(graph, &grads, &[(x, &[1.0, -2.0])]), [[18.0, -36.0], [6.0, -12.0], [1.0, 1.0]]);
    Ok(())
}

#[test]
fn operations_without_a_gradient_are_an_error_only_on_the_way() -> Result<()> {
    let (mut graph, x) = graph(4);
    let logits = graph.reshape(x, [2, 2])?;
    let labels = graph.input("labels", TensorType::u32([2]))?;
    let loss = graph.softmax_cross_entropy(logits, labels)?;
    let counts = graph.count_correct(logits, labels)?;
    assert!(gradients(&mut graph, loss, &[x]).is_ok());
    let error = gradients(&mut graph, counts, &[x]).expect_err("counts have no slope").to_string();
    assert!(error.contains("count_correct") && error.contains("has no gradient"), "{error}");
    Ok(())
}

#[test]
fn the_gradient_to_the_pictures_is_not_computed() {
    let step = training_step(&models::lenet5(), &Sgd::new(0.1), 2);
    let order = schedule(&step.graph).expect("an order");
    let count = |op: &str| order.iter().filter(|id| step.graph.node(**id).op().is_some_and(|o| o.name() == op)).count();
    assert_eq!([count("conv2d"), count("conv2d_grad_weight"), count("conv2d_grad_input")], [2, 2, 1]);
    // Three dense layers forward, their gradients to weights, and to the inputs of all three: the first one's is what
    // the pools are given.
    assert_eq!([count("dense"), count("dense_grad_weight"), count("matmul")], [3, 3, 3]);
    assert_eq!(count("max_pool2d_grad"), 2);
}

#[test]
fn scalar_functions_join_what_nothing_else_reads() -> Result<()> {
    let op = |graph: &Graph, id: NodeId| format!("{:?}", graph.node(id).op().expect("an operation"));
    let build = |second_reader: bool, is_output: bool| -> Result<String> {
        let (mut graph, x) = graph(6);
        let a = graph.reshape(x, [2, 3])?;
        let b = graph.input("b", TensorType::f32([3, 2]))?;
        let c = graph.matmul(a, b, false, false)?;
        let y = graph.relu(c)?;
        if second_reader {
            graph.tanh(c)?;
        }
        if is_output {
            graph.output(c);
        }
        let fused = merge(&graph);
        fused.verify().expect("a good graph");
        assert_eq!(fused.ty(y), graph.ty(y));
        Ok(op(&fused, y))
    };
    assert_eq!(build(false, false)?, "Matmul then relu");
    assert_eq!([build(true, false)?, build(false, true)?], ["Unary", "Unary"]);
    Ok(())
}

/// An operation whose output grows each time it is asked.
#[derive(Debug)]
struct Growing(AtomicUsize);

impl Op for Growing {
    fn name(&self) -> &'static str {
        "growing"
    }

    fn infer(&self, _: &[&TensorType]) -> Result<TensorType, String> {
        Ok(TensorType::f32([self.0.fetch_add(1, Ordering::Relaxed)]))
    }

    fn eval(&self, _: &[View<'_>], _: &mut [f64]) {}

    fn kernels(&self, _: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        vec![]
    }
}

#[test]
fn verify_reports_what_a_graph_must_not_be() -> Result<()> {
    let refused = |graph: &Graph| graph.verify().expect_err("a broken graph");

    let (mut graph, _) = graph(1);
    graph.append(Growing(AtomicUsize::new(1)), &[])?;
    assert!(refused(&graph).contains("node 1 (growing \"\") has type f32[1], its operation infers f32[2]"));

    // History and step as variables, loss, counts.
    let start = |graph: &mut Graph| -> Result<[NodeId; 4]> {
        Ok([
            graph.variable("history", TensorType::f32([5, 3]))?,
            graph.variable("step", TensorType::u32([1]))?,
            graph.input("logits", TensorType::f32([4, 2]))?,
            graph.input("labels", TensorType::u32([4]))?,
        ])
    };
    let mut graph = Graph::new();
    let [history, step, logits, labels] = start(&mut graph)?;
    let update = graph.record(history, step, logits, labels, None)?;
    graph.verify().expect("a good graph");
    let mut read = graph.clone();
    read.relu(update)?;
    assert!(refused(&read).contains("(record \"\") is an update and is read"));
    graph.record(history, step, logits, labels, None)?;
    assert!(refused(&graph).contains("updates node 0, which another node updates"));

    let mut graph = Graph::new();
    let [_, step, logits, labels] = start(&mut graph)?;
    let fixed = graph.input("fixed", TensorType::f32([5, 3]))?;
    graph.record(fixed, step, logits, labels, None)?;
    assert!(refused(&graph).contains("updates node 4, which is no variable"));
    Ok(())
}
