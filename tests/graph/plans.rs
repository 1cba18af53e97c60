//! Plans of many graphs, followed step by step, and how much memory they take.

use lenslet::check::cases;
use lenslet::compile::{Choice, compile, first, gradients, inline, merge, schedule, select};
use lenslet::data::Spec;
use lenslet::graph::Graph;
use lenslet::infer::EvaluationStep;
use lenslet::kernel::{Io, Kernel, Limits};
use lenslet::nn::{Build, Layer, Layout, Model, Sequential};
use lenslet::optim::{Adam, Clip, Clipped, Optimizer, RmsProp, Sgd};
use lenslet::plan::{BufferRole, Plan};
use lenslet::{DType, Error, NodeId, Result, Shape, TensorType, models};

use super::simulation::{follow, plan_and_follow};
use super::training_step;

/// A block whose input is read three times.
struct Branching;

impl Model for Branching {
    fn name(&self) -> &str {
        "branching"
    }

    fn input(&self) -> Shape {
        [2, 12, 12].into()
    }

    fn forward(&self, b: &mut Build<'_>, x: NodeId) -> Result<NodeId> {
        let x = Layer::conv2d(4, 3).padding(1).apply(b, "stem", x)?;
        let near = Layer::conv2d(4, 3).padding(1).apply(b, "near", x)?;
        let near = Layer::relu().apply(b, "near relu", near)?;
        let far = Layer::conv2d(4, 5).padding(2).apply(b, "far", x)?;
        let far = Layer::sigmoid().apply(b, "far sigmoid", far)?;
        let product = b.graph.mul(near, far)?;
        let sum = b.graph.add(product, x)?;
        let pooled = Layer::avg_pool2d(3).stride(2).apply(b, "pool", sum)?;
        let flat = Layer::flatten().apply(b, "flat", pooled)?;
        Layer::dense(10).apply(b, "fc", flat)
    }
}

fn networks() -> Vec<Box<dyn Model>> {
    let named = models::NAMES.map(|name| Box::new(models::by_name(name).expect("a known name")) as Box<dyn Model>);
    let dense = Sequential::new([3, 8, 8]).flatten().dense(100).tanh().dense(50).bias(false).sigmoid().dense(10);
    let single = Sequential::new([1, 1, 1]).flatten().dense(10);
    let others: [Box<dyn Model>; 3] = [Box::new(dense), Box::new(single), Box::new(Branching)];
    named.into_iter().chain(others).collect()
}

fn last(_: &'static str, _: &Io<'_>, candidates: &[Kernel]) -> Result<usize> {
    Ok(candidates.len() - 1)
}

/// Kernels of the first and of the last choice: they differ in what they keep between dispatches.
const CHOICES: [(&str, &Choice<'static>); 2] = [("first", &first), ("last", &last)];

/// For plans that no device has to take.
const NO_LIMITS: Limits = Limits {
    f16: false,
    max_storage_buffer_binding_size: u64::MAX,
    max_buffer_size: u64::MAX,
    max_storage_buffers_per_shader_stage: 8,
    max_compute_workgroups_per_dimension: u32::MAX,
    max_compute_invocations_per_workgroup: 256,
    subgroup: None,
    software: false,
};

fn followed(about: &str, graph: &Graph, choice: &Choice<'_>) -> Plan {
    plan_and_follow(graph, &NO_LIMITS, choice).unwrap_or_else(|error| panic!("{about}: {error}"))
}

#[test]
fn every_dispatch_of_a_training_step_reads_what_it_should() {
    let clipped = |clip| Box::new(Clipped::new(Adam::new(0.1), clip));
    let optimizers: [Box<dyn Optimizer>; 4] = [
        Box::new(Sgd::new(0.1)),
        Box::new(RmsProp::new(0.1)),
        clipped(Clip::Norm(1.0)),
        clipped(Clip::GlobalNorm(1.0)),
    ];
    for model in networks() {
        for (batch, optimizer) in
            [1, 3, 64, 256].into_iter().flat_map(|batch| optimizers.iter().map(move |o| (batch, o)))
        {
            let step = training_step(&*model, &**optimizer, batch);
            for (what, choice) in CHOICES {
                let about = format!("{} with {} at {batch}, {what} kernels", model.name(), optimizer.name());
                let plan = followed(&about, &step.graph, choice);
                let updates = plan.steps.iter().filter(|step| step.op == optimizer.name()).count();
                assert_eq!(updates, 1, "{about}: one dispatch updates all parameters");
            }
        }
    }
}

#[test]
fn every_dispatch_of_an_evaluation_step_reads_what_it_should() {
    for model in networks() {
        let layout = Layout::of(&*model).expect("a network that fits together");
        let shape = <[usize; 3]>::try_from(&model.input()[..]).expect("a network over pictures");
        let step = EvaluationStep::new(&*model, &layout, Spec { len: 1000, shape, classes: 10 }, 77).expect("a step");
        followed(&format!("evaluation of {}", model.name()), &step.graph, &first);
    }
}

#[test]
fn every_dispatch_of_an_operation_and_its_gradient_reads_what_it_should() {
    for case in cases::all() {
        let mut graph = Graph::new();
        let leaf =
            |(n, input): (usize, &cases::Input)| graph.variable(&format!("{n}"), input.ty.clone()).expect("a leaf");
        let leaves: Vec<NodeId> = case.inputs.iter().enumerate().map(leaf).collect();
        let y = (case.build)(&mut graph, &leaves).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        if !case.updates {
            graph.output(y);
        }
        if case.backward {
            let floats: Vec<NodeId> = leaves.into_iter().filter(|&id| graph.dtype(id) == DType::F32).collect();
            let grads = gradients(&mut graph, y, &floats).unwrap_or_else(|error| panic!("{}: {error}", case.name));
            grads.into_iter().for_each(|grad| graph.output(grad));
        }
        for (what, choice) in CHOICES {
            followed(&format!("{}, {what} kernels", case.name), &graph, choice);
        }
    }
}

#[test]
fn a_value_is_computed_where_it_is_held_only_if_nobody_else_reads_it() -> Result<()> {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([64]))?;
    let own = graph.relu(x)?;
    let read_by_another = graph.scale(x, 2.0)?;
    let other = graph.tanh(read_by_another)?;
    let held_twice = graph.sigmoid(x)?;
    let product = graph.mul(x, x)?;
    let view = graph.reshape(product, [8, 8])?;
    let output = graph.scale(x, 3.0)?;
    graph.output(output);
    let parts = [own, read_by_another, other, held_twice, held_twice, view, output, x];
    let offsets: Vec<usize> = (0..parts.len()).map(|i| 64 * i).collect();
    let packed = graph.pack(&parts, &offsets, 64 * parts.len())?;
    graph.output(packed);
    let plan = followed("parts of every kind", &graph, &first);
    let copies = plan.steps.iter().filter(|step| step.dispatch.shader.name == "copy").count();
    assert_eq!(copies, parts.len() - 3, "all but those that nobody else reads:\n{plan}");
    Ok(())
}

#[test]
fn ranges_of_a_value_are_computed_where_they_are_held_if_they_lie_there_as_in_it() -> Result<()> {
    let copies = |ranges: [(usize, usize); 2], offsets: &[usize], total: usize| {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([192]))?;
        let whole = graph.relu(x)?;
        let other = graph.input("other", TensorType::f32([64]))?;
        let other = graph.tanh(other)?;
        let [a, b] = ranges.map(|(start, length)| graph.slice_flat(whole, start, [length]));
        let packed = graph.pack(&[a?, b?, other][..offsets.len()], offsets, total)?;
        graph.output(packed);
        let plan = followed("ranges", &graph, &first);
        Result::Ok(plan.steps.iter().filter(|step| step.dispatch.shader.name == "copy").count())
    };
    let [apart, gap] = [[(0, 100), (128, 64)], [(0, 40), (128, 64)]];
    assert_eq!(copies(apart, &[64, 192], 256)?, 0);
    assert_eq!(copies(apart, &[64, 192, 0], 256)?, 0);
    assert_eq!(copies(apart, &[128, 0], 256)?, 2, "in another order");
    assert_eq!(copies(gap, &[0, 128, 64], 256)?, 2, "with another part between them");
    assert_eq!(copies([(64, 40), (128, 64)], &[0, 64], 256)?, 2, "begins before the packed value");
    assert_eq!(copies([(0, 40), (64, 64)], &[64, 128], 192)?, 2, "ends behind it");
    Ok(())
}

#[test]
fn an_output_takes_the_memory_of_an_input_only_if_that_dies_with_it() -> Result<()> {
    let in_place = |build: fn(&mut Graph, NodeId) -> Result<NodeId>| {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([128]))?;
        let computed = graph.copy(x)?;
        let y = build(&mut graph, computed)?;
        let y = graph.copy(y)?;
        graph.output(y);
        let plan = followed("in place", &graph, &first);
        Result::Ok(plan.steps.iter().filter(|step| step.dispatch.in_place.is_some()).count())
    };
    assert_eq!(in_place(|g, x| g.relu(x))?, 1);
    assert_eq!(in_place(|g, x| g.reshape(x, [2, 64]).and_then(|matrix| g.tanh(matrix)))?, 1, "through a view");
    assert_eq!(in_place(|g, x| g.mul(x, x))?, 0, "bound twice");
    assert_eq!(in_place(|g, x| g.slice_flat(x, 64, [64]).and_then(|half| g.relu(half)))?, 0, "a part of it");
    let read_later = |g: &mut Graph, x| g.relu(x).and_then(|y| g.add(y, x));
    assert_eq!(in_place(read_later)?, 1, "the sum, but not the relu");
    Ok(())
}

#[test]
fn activations_take_little_more_than_what_is_alive_at_once() {
    let mut above = vec![];
    for name in models::NAMES {
        let model = models::by_name(name).expect("a known name");
        for batch in [64, 256] {
            let step = training_step(&model, &Sgd::new(0.1).momentum(0.9), batch);
            let memory = followed(name, &step.graph, &first).memory;
            let ratio = memory.planned as f64 / memory.lower_bound as f64;
            if ratio > 1.1 {
                above.push(format!("{name} at {batch}: {memory:?}, {ratio:.3} times the lower bound"));
            }
            assert!(memory.planned < memory.naive, "{name} at {batch}: {memory:?}");
        }
    }
    assert!(above.is_empty(), "{}", above.join("\n"));
}

#[test]
fn a_step_of_lenet5_is_twelve_dispatches_on_a_desktop() {
    // The larger batch spreads a pool's gradient once, for both that read it.
    for (batch, dispatches) in [(64, 12), (256, 13)] {
        let step = training_step(&models::lenet5(), &Sgd::new(0.1).momentum(0.9), batch);
        let plan = compile(&step.graph, &Limits::desktop()).expect("a plan");
        assert_eq!(plan.launches().count(), dispatches, "batch {batch}:\n{plan}");
        // Computing an operand where it is read never costs the kernel that suits the reader best.
        assert!(plan.steps.iter().all(|step| step.dispatch.shader.name != "matmul_tile"), "batch {batch}:\n{plan}");
    }
}

#[test]
fn parameters_and_gradients_share_one_layout() {
    for model in networks() {
        let layout = Layout::of(&*model).expect("a network that fits together");
        let step = training_step(&*model, &Sgd::new(0.1), 5);
        let plan = compile(&step.graph, &NO_LIMITS).expect("a plan");
        let packed: Vec<_> = plan.buffers.iter().filter(|b| b.role == BufferRole::Packed).collect();
        assert_eq!(packed.len(), 1, "{}: one buffer for all gradients", model.name());
        assert_eq!(packed[0].bytes, layout.ty().bytes());
        assert_eq!(plan.place(step.parameters).expect("a place").bytes, layout.ty().bytes());
        assert!(layout.offsets().iter().all(|offset| (4 * offset).is_multiple_of(256)));
        // Every gradient of a network's own layers is computed where it belongs.
        let copied = plan.steps.iter().find(|step| step.dispatch.shader.name == "copy" && step.op != "copy");
        assert!(copied.is_none(), "{}: {copied:?}", model.name());
    }
}

#[test]
fn plans_are_the_same_every_time() {
    for model in networks() {
        let plan = || compile(&training_step(&*model, &RmsProp::new(0.1), 64).graph, &NO_LIMITS).expect("a plan");
        let here = plan();
        let there = std::thread::scope(|scope| scope.spawn(plan).join().expect("no panic"));
        assert!(here == plan() && here == there, "{}", model.name());
    }
}

#[test]
fn what_passes_a_limit_is_refused_with_needed_and_available() {
    let step = training_step(&models::lenet5(), &Sgd::new(0.1), 64);
    let plan = compile(&step.graph, &NO_LIMITS).expect("a plan");
    let needed = plan.steps.iter().flat_map(|s| &s.bindings).map(|b| b.place.bytes).max().expect("a binding");
    assert!(compile(&step.graph, &Limits { max_storage_buffer_binding_size: needed, ..NO_LIMITS }).is_ok());
    let limits = Limits { max_storage_buffer_binding_size: needed - 4, ..NO_LIMITS };
    let error = compile(&step.graph, &limits).expect_err("too large");
    assert!(matches!(error, Error::Limit { available, .. } if available == needed - 4), "{error}");
    let message = error.to_string();
    for part in ["conv", "maxStorageBufferBindingSize", &needed.to_string(), &(needed - 4).to_string()] {
        assert!(message.contains(part), "{message}");
    }
}

/// The simulation is worth something only if it sees plans that are wrong.
#[test]
fn broken_plans_are_seen() {
    let step = training_step(&models::lenet5(), &Sgd::new(0.1), 8);
    let graph = inline(&merge(&step.graph), &NO_LIMITS);
    let order = schedule(&graph).expect("an order");
    let kernels = select(&graph, &order, &NO_LIMITS, &first).expect("kernels");
    let plan = compile(&step.graph, &NO_LIMITS).expect("a plan");
    let refused = |change: &dyn Fn(&mut Plan)| {
        let mut changed = plan.clone();
        change(&mut changed);
        follow(&graph, &order, &kernels, &changed).is_err()
    };
    assert!(!refused(&|_| {}));
    let slots: Vec<usize> = (0..plan.buffers.len()).filter(|&b| plan.buffers[b].role == BufferRole::Slot).collect();
    for (&from, &to) in slots.iter().flat_map(|a| slots.iter().map(move |b| (a, b))).filter(|(a, b)| a != b) {
        let merge = |plan: &mut Plan| {
            let bound = plan.steps.iter_mut().flat_map(|step| &mut step.bindings).map(|bound| &mut bound.place);
            let places = bound.chain(plan.places.iter_mut().flatten());
            places.filter(|place| place.buffer == from).for_each(|place| place.buffer = to);
        };
        assert!(refused(&merge), "slot {from} laid over slot {to}");
    }
    for number in 1..plan.steps.len() {
        assert!(refused(&|plan| drop(plan.steps.remove(number))), "without step {number}");
        if plan.steps[number - 1].launch != plan.steps[number].launch {
            assert!(refused(&|plan| plan.steps.swap(number - 1, number)), "steps {} and {number} swapped", number - 1);
        }
    }
    for (number, step) in plan.steps.iter().enumerate() {
        for bound in 0..step.bindings.len() {
            let moved = |plan: &mut Plan| plan.steps[number].bindings[bound].place.offset += 256;
            assert!(refused(&moved), "step {number}, binding {bound} moved");
        }
    }
}
