//! Every kernel that an operation can propose is good WGSL, judged by naga and, where it is installed, by Tint, the
//! compiler of browsers: no device is needed. Constants and bindings are those the kernel sets, nothing lies idle, and
//! WebGPU's default limits are kept. A shader that no case reaches fails the test: add a case with the shader.

#[path = "rounds/cases.rs"]
mod long;
#[path = "shaders/nan.rs"]
mod nan;
#[path = "shaders/reflection.rs"]
mod reflection;
#[path = "shaders/textures.rs"]
mod textures;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use lenslet::check::cases;
use lenslet::compile::{compile, gradients, merge};
use lenslet::data::Spec;
use lenslet::gpu::texture::{Bind, TexturePass};
use lenslet::graph::Graph;
use lenslet::infer::EvaluationStep;
use lenslet::kernel::{Dispatch, JOINED, Kernel, Limits, Operand, Shader, fold, slice};
use lenslet::nn::{Layout, Model};
use lenslet::ops::{Scalar, TABLE};
use lenslet::optim::{Optimizer, RmsProp, Sgd};
use lenslet::train::{StepOptions, TrainingStep};
use lenslet::{DType, NodeId, Precision, Result, TensorType, models};
use rayon::prelude::*;
use reflection::{Reflection, asks_for_subgroups, has_halves, validate};

#[test]
fn every_kernel_of_every_case_is_valid_and_binds_what_it_declares() {
    let mut checked = BTreeMap::<String, Reflection>::new();
    for case in cases() {
        for kernel in case.kernels() {
            check_operands(&case.name, &kernel);
            for dispatch in case.variants(&kernel) {
                let about = format!("{}, shader {}", case.name, dispatch.shader.name);
                let source = dispatch.source().unwrap_or_else(|error| panic!("{about}: {error}"));
                let reflection = checked.entry(source).or_insert_with_key(|source| Reflection::of(&about, source));
                check_against(reflection, &dispatch, &about);
                check_constants(&dispatch, &about);
            }
        }
    }
    for (about, TexturePass { dispatch, binds }) in textures::passes() {
        let source = dispatch.source().unwrap_or_else(|error| panic!("{about}: {error}"));
        let reflection = checked.entry(source).or_insert_with_key(|source| Reflection::of(&about, source));
        assert_eq!(reflection.entry_point, dispatch.shader.name, "{about}: the entry point has the file's name");
        let bound: Vec<(usize, Bind)> = binds.into_iter().enumerate().collect();
        assert_eq!(reflection.binds(), bound, "{about}: declared, then bound");
        check_grid(&dispatch, &about);
        check_constants(&dispatch, &about);
    }
    nan::hold(checked.values().flat_map(|r| &r.nan_losers));
    let reached: BTreeSet<&str> = checked.values().map(|r| r.entry_point.as_str()).collect();
    let there = shaders();
    let forgotten: Vec<&str> = there.keys().map(String::as_str).filter(|name| !reached.contains(name)).collect();
    assert!(forgotten.is_empty(), "no case in tests/shaders.rs reaches {forgotten:?}");
    check_with_tint(&checked.into_keys().collect::<Vec<_>>());
}

#[test]
fn every_launch_of_a_training_step_is_valid_and_binds_what_it_declares() {
    let mut checked = BTreeMap::<String, Reflection>::new();
    for Case { name, graph } in steps() {
        for limits in [Limits::default(), Limits::with_subgroups(8), Limits { software: true, ..Limits::default() }] {
            let limits = Limits { f16: true, ..limits };
            let plan = compile(&graph, &limits).unwrap_or_else(|error| panic!("{name}: {error}"));
            for launch in plan.launches() {
                let about = format!("{name}, launch {}", launch.steps[0].launch);
                let source = launch.source().unwrap_or_else(|error| panic!("{about}: {error}"));
                let reflection = checked.entry(source).or_insert_with_key(|source| Reflection::of(&about, source));
                assert_eq!(reflection.entry_point, launch.entry(), "{about}");
                let bound: Vec<(usize, bool)> =
                    launch.bindings().iter().map(|b| (b.binding as usize, b.writes)).collect();
                assert_eq!(reflection.bindings, bound, "{about}: (binding, whether it is written)");
            }
        }
    }
    let joined = |(text, r): (&String, &Reflection)| r.entry_point == JOINED && has_halves(text);
    assert!(checked.iter().any(joined), "some dispatches run side by side, in f16 too");
    check_with_tint(&checked.into_keys().collect::<Vec<_>>());
}

#[test]
fn whatever_has_several_workgroups_runs_in_slices() {
    // One of each shader: the head of its entry point is all that changes.
    let mut sliced = BTreeMap::new();
    for case in cases() {
        for dispatch in case.kernels().iter().flat_map(|kernel| case.variants(kernel)) {
            let source = dispatch.source().unwrap();
            let slice = slice(&source);
            let name = dispatch.shader.name;
            assert!(slice.is_some() || dispatch.workgroups == 1, "{}, shader {name}", case.name);
            sliced.extend(slice.map(|text| (name.to_string(), text)));
        }
    }
    for Case { name, graph } in steps() {
        let plan = compile(&graph, &Limits::desktop()).unwrap();
        for launch in plan.launches() {
            let slice = slice(&launch.source().unwrap());
            let about = format!("{name}, launch {}", launch.steps[0].launch);
            assert!(slice.is_some() || launch.workgroups() == 1, "{about}");
            sliced.extend(slice.map(|text| (about, text)));
        }
    }
    let sliced: Vec<String> = sliced.into_values().collect();
    sliced.par_iter().for_each(|text| _ = validate("a slice", text));
    check_with_tint(&sliced);
}

#[test]
fn every_file_is_valid_alone() {
    for (name, text) in shaders() {
        let shader = Shader::new(name.leak(), text.leak());
        let source = Dispatch::new(shader).source().expect("nothing is set");
        let reflection = Reflection::of(&format!("shaders/{}.wgsl", shader.name), &source);
        assert_eq!(reflection.entry_point, shader.name, "the entry point has the file's name");
        assert!(reflection.idle.is_empty(), "shaders/{}.wgsl: nothing uses {:?}", shader.name, reflection.idle);
    }
}

#[test]
fn every_file_keeps_to_the_dialect() {
    for (name, text) in shaders() {
        let departures = Shader::new(name.clone().leak(), text.leak()).departures();
        assert!(departures.is_empty(), "shaders/README.md, {name}: {departures:#?}");
    }
}

#[test]
fn floats_in_the_wgsl_of_operations_are_read_back_exactly() {
    let extremes = [f32::MAX, f32::MIN_POSITIVE / 2.0, 0.1, 16_777_217.0];
    for value in extremes {
        let case = Case::new(format!("clipping at {value:e}"), |graph| {
            let x = graph.input("x", TensorType::f32([100]))?;
            let y = graph.unary_with("huber", value, x)?;
            gradients(graph, y, &[x])?;
            graph.clip_value(y, value)
        });
        let mut found = 0;
        for dispatch in case.kernels().iter().flat_map(|kernel| case.variants(kernel)) {
            let source = dispatch.source().unwrap();
            validate(&case.name, &source);
            for (_, expression) in &dispatch.functions {
                for literal in expression.split(|c: char| !(is_word(c) || c == '.' || c == '-')) {
                    let Some(number) = literal.trim_start_matches('-').strip_suffix('f') else { continue };
                    let Ok(exact) = number.parse::<f64>() else { continue };
                    assert_eq!(exact, f64::from(exact as f32), "{}: {literal} is no f32", case.name);
                    found += usize::from(exact == f64::from(value));
                }
            }
        }
        assert!(found > 0, "{}", case.name);
    }
}

#[test]
fn bad_wgsl_is_seen() {
    let refused = |text: &str| {
        let text = text.to_string();
        std::panic::catch_unwind(move || Reflection::of("a test", &text)).is_err()
    };
    let good = "@group(0) @binding(0) var<storage, read_write> y: array<f32>;\n\
                @compute @workgroup_size(64) fn k(@builtin(local_invocation_index) i: u32) { y[i] = 1.0; }";
    assert!(!refused(good));
    for (from, to) in [
        ("y[i] = 1.0", "y[i] = 1u"),
        ("read_write", "read"),
        ("(64)", "(257)"),
        ("@group(0)", "@group(1)"),
        ("@compute", "var<workgroup> m: array<u32, 4097>;\n@compute"),
    ] {
        assert!(refused(&good.replace(from, to)), "{to}");
    }
}

/// A graph whose every operation is looked at.
struct Case {
    name: String,
    graph: Graph,
}

impl Case {
    fn new(name: impl Into<String>, build: impl FnOnce(&mut Graph) -> Result<NodeId>) -> Self {
        let (name, mut graph) = (name.into(), Graph::new());
        build(&mut graph).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name, graph }
    }

    /// Every candidate of every operation, plain and fused with what follows it.
    fn kernels(&self) -> Vec<CaseKernel> {
        let mut kernels = vec![];
        for graph in [&self.graph, &merge(&self.graph)] {
            for id in graph.ids() {
                let Some(op) = graph.node(id).op() else { continue };
                let (io, traits) = (graph.io(id), graph.traits(id));
                let inputs = io.inputs.len();
                let core = op.kernels(&io, &Limits::default());
                let needs = |kernel: &&Kernel| kernel.dispatches.iter().any(Dispatch::uses_subgroups);
                let names: Vec<&str> = core.iter().filter(needs).map(|kernel| kernel.name).collect();
                assert!(names.is_empty(), "{}, {}: {names:?} ask for subgroups", self.name, op.name());
                let candidates = op.kernels(&io, &Limits::with_subgroups(8));
                assert!(core.iter().all(|k| candidates.contains(k)), "{}: core kernels are always there", self.name);
                let names: BTreeSet<&str> = candidates.iter().map(|kernel| kernel.name).collect();
                let (case, op_name) = (&self.name, op.name());
                assert_eq!(names.len(), candidates.len(), "{case}, {op_name}: two kernels of one name: {names:?}");
                kernels.extend(candidates.into_iter().map(|kernel| CaseKernel {
                    op: op_name,
                    inputs,
                    updates: traits.updates,
                    overwrites: traits.overwrites,
                    kernel,
                }));
            }
        }
        kernels
    }

    /// The dispatches of a kernel, and the same in place where the operation allows it.
    fn variants(&self, case: &CaseKernel) -> Vec<Dispatch> {
        let mut variants = case.kernel.dispatches.clone();
        if let [dispatch] = &case.kernel.dispatches[..] {
            for &input in case.overwrites {
                let mut in_place = dispatch.clone();
                in_place.in_place = dispatch.bindings.iter().position(|b| b.operand == Operand::Input(input));
                assert!(in_place.in_place.is_some(), "{}: {} may overwrite what it does not read", self.name, case.op);
                variants.push(in_place);
            }
        }
        // Each with all bindings as halves that it takes so: more than any step asks for.
        for at in 0..variants.len() {
            let mut stored = variants[at].clone();
            stored.halves = (stored.bindings.iter().map(|b| b.number)).filter(|&n| stored.takes_halves(n)).collect();
            variants.extend((!stored.halves.is_empty()).then_some(stored));
        }
        variants
    }
}

/// A candidate, and what its operation says about itself.
struct CaseKernel {
    op: &'static str,
    inputs: usize,
    updates: &'static [usize],
    overwrites: &'static [usize],
    kernel: Kernel,
}

/// Operands exist, are written before they are read, and in the end the result is there.
fn check_operands(case: &str, CaseKernel { op, inputs, updates, kernel, .. }: &CaseKernel) {
    let about = format!("{case}, {op}, kernel {}", kernel.name);
    // A kernel made of other kernels' shaders has a name of its own; variants of one shader add what they are by.
    let is_own = |shader: &str| kernel.name.strip_prefix(shader).is_some_and(|rest| matches!(rest, "" | "_fours"));
    let own = kernel.dispatches.iter().any(|d| is_own(d.shader.name));
    assert!(own || kernel.dispatches.len() > 1, "{about}: named after no shader of its own");
    let mut written = BTreeSet::new();
    for binding in kernel.dispatches.iter().flat_map(|d| &d.bindings) {
        match binding.operand {
            Operand::Input(n) => {
                assert!(n < *inputs, "{about}: input {n} of {inputs}");
                assert_eq!(binding.writes, updates.contains(&n), "{about}: writes inputs it updates, and no others");
            }
            Operand::Scratch(n) if binding.writes => assert!(n < kernel.scratch.len(), "{about}: scratch {n}"),
            Operand::Scratch(n) => assert!(written.contains(&n), "{about}: reads scratch {n} before it is written"),
            Operand::Output => assert!(binding.writes && updates.is_empty(), "{about}: the output is for writing"),
        }
        if let (Operand::Scratch(n), true) = (binding.operand, binding.writes) {
            written.insert(n);
        }
    }
    assert_eq!(written.len(), kernel.scratch.len(), "{about}: scratch that nothing writes");
    let last = kernel.dispatches.last().expect("a kernel has a dispatch");
    let finishes = |operand| last.bindings.iter().any(|b| b.writes && b.operand == operand);
    let finished = match updates {
        [] => finishes(Operand::Output),
        updates => updates.iter().all(|&n| finishes(Operand::Input(n))),
    };
    assert!(finished, "{about}: the last dispatch does not write the result");
}

/// The kernel's idea of the shader is the shader's own.
fn check_against(reflection: &Reflection, dispatch: &Dispatch, about: &str) {
    assert_eq!(reflection.entry_point, dispatch.shader.name, "{about}: the entry point has the file's name");
    let bound: Vec<(usize, bool)> = dispatch.bound().map(|binding| (binding.number, binding.writes)).collect();
    assert_eq!(reflection.bindings, bound, "{about}: (binding, whether it is written): declared, then bound");
    assert!(reflection.others.is_empty(), "{about}: operations bind storage buffers, this {:?}", reflection.others);
    let limits = Limits::default();
    assert!(bound.len() <= limits.max_storage_buffers_per_shader_stage as usize, "{about}: {} buffers", bound.len());
    check_grid(dispatch, about);
}

fn check_grid(dispatch: &Dispatch, about: &str) {
    let side = Limits::default().max_compute_workgroups_per_dimension;
    assert!(fold(dispatch.workgroups, side).is_some(), "{about}: the grid does not fold");
}

/// A constant of the file that is a plain number is only its default: the kernel must set it, once.
fn check_constants(dispatch: &Dispatch, about: &str) {
    let set: Vec<&str> = dispatch.constants.iter().map(|(name, _)| *name).collect();
    let distinct: BTreeSet<&&str> = set.iter().collect();
    assert_eq!(distinct.len(), set.len(), "{about}: {set:?} names one constant twice");
    for line in dispatch.shader.source.lines() {
        let Some((name, value)) = line.strip_prefix("const ").and_then(|rest| rest.split_once(" = ")) else { continue };
        let name = first_word(name).unwrap_or_default();
        let is_number = value.starts_with(|c: char| c.is_ascii_digit())
            && value.split(';').next().is_some_and(|v| !v.contains(' '));
        let is_default = is_number || value.starts_with("array<");
        assert!(!is_default || set.contains(&name), "{about}: {name} keeps the file's default, {line}");
    }
}

/// Browsers compile WGSL with Tint, which refuses some things that naga lets pass.
fn check_with_tint(sources: &[String]) {
    if Command::new("tint").arg("--help").output().is_err() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    sources.par_iter().enumerate().for_each(|(number, source)| {
        let file = folder.path().join(format!("{number}.wgsl"));
        // naga has no such line, browsers ask for it.
        let enable = if asks_for_subgroups(source) { "enable subgroups;" } else { "" };
        std::fs::write(&file, format!("{enable}{source}")).expect("a writable temporary folder");
        let output = Command::new("tint").args(["--format", "wgsl"]).arg(&file).output().expect("tint runs");
        assert!(output.status.success(), "tint: {}\n{source}", String::from_utf8_lossy(&output.stderr));
    });
}

/// Name and text of each kernel of `shaders/`.
fn shaders() -> BTreeMap<String, String> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of shaders") {
            let path = entry.expect("readable").path();
            if path.is_dir() && !path.ends_with("common") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "wgsl") {
                let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
                found.insert(name, std::fs::read_to_string(&path).expect("a readable shader"));
            }
        }
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn first_word(text: &str) -> Option<&str> {
    text.split(|c: char| !is_word(c)).next()
}

/// Every operation of the table with its gradients, whole steps of every network, and what only changes the text.
fn cases() -> Vec<Case> {
    let table: Vec<cases::Case> =
        cases::all().into_iter().chain(long::all()).chain(lenslet::bench::peak_cases(true)).collect();
    let mut cases: Vec<Case> = table.iter().zip(TABLE.iter().cycle()).flat_map(of_table).collect();
    cases.extend(steps());
    for factor in [1.0, -1e-30, f32::MIN_POSITIVE / 2.0, f32::MAX] {
        cases.push(Case::new(format!("scale by {factor:e}"), |graph| {
            let x = graph.input("x", TensorType::f32([100]))?;
            graph.scale(x, factor)
        }));
    }
    for shape in [[2, 5000, 2], [20_000, 100, 1]] {
        cases.push(Case::new(format!("softmax and its gradient on lines of {shape:?}"), |graph| {
            let x = graph.input("x", TensorType::f32(shape))?;
            let y = graph.softmax(x, 1)?;
            gradients(graph, y, &[x])?;
            Ok(y)
        }));
    }
    cases
}

/// A case of the table: with its gradients, and with a scalar function that fusion can put at its kernels' end.
fn of_table((case, scalar): (&cases::Case, &Scalar)) -> [Case; 2] {
    let build = |graph: &mut Graph| {
        let leaf = |(number, input): (usize, &cases::Input)| graph.variable(&format!("{number}"), input.ty.clone());
        let leaves = case.inputs.iter().enumerate().map(leaf).collect::<Result<Vec<_>>>()?;
        Ok(((case.build)(graph, &leaves)?, leaves))
    };
    let plain = Case::new(&case.name, |graph| {
        let (y, leaves) = build(graph)?;
        if case.backward {
            let floats: Vec<NodeId> = leaves.into_iter().filter(|&id| graph.dtype(id) == DType::F32).collect();
            gradients(graph, y, &floats)?;
        }
        Ok(y)
    });
    let fused = Case::new(format!("{} then {}", case.name, scalar.name), |graph| {
        let (y, _) = build(graph)?;
        if graph.traits(y).takes_epilogue { graph.unary(scalar.name, y) } else { Ok(y) }
    });
    [plain, fused]
}

/// Whole steps of every network with every optimizer: what people run.
fn steps() -> Vec<Case> {
    let optimizers: [Box<dyn Optimizer>; 2] = [Box::new(Sgd::new(0.05)), Box::new(RmsProp::new(0.001))];
    let mut cases = vec![];
    for name in models::NAMES {
        let model = models::by_name(name).expect("a name of the table");
        let layout = Layout::of(&model).expect("a network of this crate");
        let shape = <[usize; 3]>::try_from(&model.input()[..]).expect("a network over pictures");
        let data = Spec { len: 1000, shape, classes: 10 };
        for optimizer in &optimizers {
            let step = TrainingStep::new(&model, &layout, &**optimizer, data, 64, 16).expect("a step");
            cases.push(Case { name: format!("training {name} by {}", optimizer.name()), graph: step.graph });
        }
        let options = StepOptions { precision: Precision::F16, ..StepOptions::new(64, 16) };
        let step = TrainingStep::with(&model, &layout, &Sgd::new(0.05), data, options).expect("a step");
        cases.push(Case { name: format!("training {name} in f16"), graph: step.graph });
        let step = EvaluationStep::new(&model, &layout, data, 100).expect("a step");
        cases.push(Case { name: format!("evaluating {name}"), graph: step.graph });
    }
    cases
}
