//! Dumps of one small training step after each pass. `UPDATE_DUMPS=1 cargo test --test graph` writes them anew: read
//! the difference before it is committed.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use lenslet::compile::{PASSES, compile_observed, first, merge, schedule};
use lenslet::kernel::Limits;
use lenslet::nn::Sequential;
use lenslet::optim::Sgd;
use lenslet::train::TrainingStep;
use lenslet::{Graph, Precision, TensorType};

fn step() -> TrainingStep {
    let model = Sequential::new([1, 8, 8]).conv2d(2, 3).relu().max_pool2d(2).flatten().dense(5).tanh().dense(10);
    super::training_step(&model, &Sgd::new(0.1).momentum(0.9), 4)
}

#[test]
fn after_autodiff() {
    agrees("autodiff.txt", &step().graph.to_string());
}

/// The result of each pass of the compiler as text, by the name of the pass.
fn after_each_pass(graph: &Graph, limits: &Limits) -> Vec<(&'static str, String)> {
    let mut results = vec![];
    let mut observe = |pass, result: &dyn std::fmt::Display| {
        // No space at line ends, for editors and for git.
        let text = result.to_string();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        results.push((pass, lines.join("\n") + "\n"));
    };
    compile_observed(graph, limits, &first, &mut observe).expect("a plan");
    results
}

#[test]
fn every_pass_has_its_snapshot() {
    let results = after_each_pass(&step().graph, &Limits::default());
    let names: Vec<&str> = results.iter().map(|(pass, _)| *pass).collect();
    assert_eq!(
        names,
        ["narrow", "fuse", "pool", "inline", "schedule", "select", "precision", "launch", "memory"],
        "a new pass needs a line here and a snapshot"
    );
    assert_eq!(names[..PASSES.len()], PASSES.map(|(name, _)| name));
    for (pass, text) in results.iter().filter(|(pass, _)| *pass != "precision") {
        agrees(&format!("{pass}.txt"), text);
    }
}

/// In f32 the pass changes nothing, and on a small network nothing is worth it.
#[test]
fn after_precision() {
    let model = Sequential::new([1, 8, 8]).conv2d(4, 3).relu().max_pool2d(2).flatten().dense(20).tanh().dense(10);
    let mut graph = super::training_step(&model, &Sgd::new(0.1), 64).graph;
    graph.set_precision(Precision::F16);
    let results = after_each_pass(&graph, &Limits { f16: true, ..Limits::default() });
    let (_, text) = results.iter().find(|(pass, _)| *pass == "precision").expect("a pass");
    agrees("precision.txt", text);
}

#[test]
fn what_no_limit_affects_is_all_but_inlining() {
    let graph = step().graph;
    let mut passed = graph.clone();
    for (name, pass) in &PASSES[..3] {
        passed = pass(&passed, &Limits::default());
        passed.verify().unwrap_or_else(|error| panic!("after {name}: {error}"));
    }
    assert_eq!(merge(&graph).to_string(), passed.to_string());
}

#[test]
fn the_order_before_inlining() {
    let graph = merge(&step().graph);
    let mut text = String::new();
    for id in schedule(&graph).expect("an order") {
        let node = graph.node(id);
        let what = node.op().map_or("leaf", |op| op.name());
        writeln!(text, "%{:<3} {what:26} {}", id.index(), node.name).expect("a string takes all");
    }
    agrees("schedule_before_inline.txt", &text);
}

#[test]
fn dot_draws_every_node_and_edge() {
    let graph = step().graph;
    let dot = graph.to_dot();
    assert!(dot.starts_with("digraph {\n") && dot.ends_with("}\n"), "{dot}");
    let edges: usize = graph.ids().map(|id| graph.node(id).inputs().len()).sum();
    assert_eq!(dot.matches(" -> ").count(), edges);
    for id in graph.ids() {
        let node = graph.node(id);
        let label = dot.lines().find(|line| line.trim_start().starts_with(&format!("n{} [", id.index())));
        let label = label.unwrap_or_else(|| panic!("node {} is not drawn", id.index()));
        assert!(label.contains(&node.name) && label.contains(&node.ty.to_string()), "{label}");
    }
}

#[test]
fn names_cannot_break_a_drawing() {
    let mut graph = Graph::new();
    graph.input("a \"quoted\" \\ name\n", TensorType::f32([1])).expect("any name");
    let dot = graph.to_dot();
    let label = dot.lines().nth(2).expect("the node");
    assert!(label.starts_with("  n0 [label=\"") && label.ends_with("\"];"), "{label}");
    let inner = &label["  n0 [label=\"".len()..label.len() - "\"];".len()];
    assert!(!inner.replace("\\\\", "").replace("\\\"", "").contains('"'), "{label}");
}

/// Fails at the first line that differs from the file, or writes the file if asked to.
fn agrees(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/graph/dumps").join(name);
    if std::env::var_os("UPDATE_DUMPS").is_some_and(|value| value == "1") {
        return fs::write(&path, found).expect("a writable folder");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    let (mut old, mut new) = (expected.lines(), found.lines());
    for number in 1.. {
        match (old.next(), new.next()) {
            (None, None) => return,
            (a, b) if a == b => {}
            (a, b) => panic!(
                "tests/graph/dumps/{name}:{number}\n  file:  {}\n  found: {}\nIf that is meant, run \
                 UPDATE_DUMPS=1 cargo test --test graph",
                a.unwrap_or("(ends)"),
                b.unwrap_or("(ends)")
            ),
        }
    }
}
