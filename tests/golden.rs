//! Every operation and option against another engine: values that PyTorch computed in f64, forward, backward, and for
//! optimizers over ten steps. `assets/golden/generate.py` made them and says how; inputs are computed from a hash, by
//! the same rules there and here.
//!
//! To see one case: `GOLDEN_CASE=17 cargo test --test golden -- --nocapture`.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use lenslet::compile::gradients;
use lenslet::cpu::Interpreter;
use lenslet::optim::{Flat, Optimizer, RmsProp, Sgd};
use lenslet::{DType, Device, Graph, NodeId, Padding, Session, ShaderChecks, Tensor, TensorType, Window};
use safetensors::SafeTensors;
use serde_json::Value;

struct Case {
    number: usize,
    op: String,
    options: Value,
    inputs: Vec<(Vec<usize>, String)>,
    wrt: Vec<usize>,
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/golden")
}

fn numbers(value: &Value) -> Vec<usize> {
    value.as_array().expect("a list").iter().map(|v| v.as_u64().expect("a number") as usize).collect()
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(folder().join("cases.jsonl")).expect("assets/golden/cases.jsonl");
    let wanted: Option<usize> = std::env::var("GOLDEN_CASE").ok().map(|n| n.parse().expect("a case's number"));
    let parse = |line: &str| {
        let v: Value = serde_json::from_str(line).expect("a line of JSON");
        let input = |i: &Value| (numbers(&i["shape"]), i["fill"].as_str().expect("a fill").to_string());
        Case {
            number: v["case"].as_u64().expect("a number") as usize,
            op: v["op"].as_str().expect("an operation").to_string(),
            options: v["options"].clone(),
            inputs: v["inputs"].as_array().expect("inputs").iter().map(input).collect(),
            wrt: numbers(&v["wrt"]),
        }
    };
    text.lines().map(parse).filter(|case| wanted.is_none_or(|n| n == case.number)).collect()
}

fn values() -> BTreeMap<String, Vec<f32>> {
    let bytes = std::fs::read(folder().join("values.safetensors")).expect("assets/golden/values.safetensors");
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    file.tensors().into_iter().map(|(name, t)| (name, bytemuck::pod_collect_to_vec(t.data()))).collect()
}

/// Floats in [0, 1), exact in f32.
fn unit(count: usize, seed: usize) -> Vec<f64> {
    let one = |i: u32| {
        let mut x = i ^ (seed as u32).wrapping_mul(0x9E37_79B9);
        x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
        x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE35);
        f64::from((x ^ (x >> 16)) >> 8) / f64::from(1 << 24)
    };
    (0..count as u32).map(one).collect()
}

/// The values of an input; the same rules stand in generate.py.
fn fill(shape: &[usize], kind: &str, seed: usize) -> Vec<f64> {
    let u = unit(shape.iter().product(), seed);
    let rounded = |f: fn(f64) -> f64| u.iter().map(|&u| f64::from(f(u) as f32)).collect();
    match kind {
        "any" => rounded(|u| 4.0 * u - 2.0),
        "away" => rounded(|u| if u < 0.5 { -0.5 - 3.0 * u } else { 0.5 + 3.0 * (u - 0.5) }),
        "large" => rounded(|u| 20000.0 * u - 10000.0),
        "ties" => rounded(|u| (4.0 * u).floor() - 1.0),
        "spread" => {
            let mut order: Vec<usize> = (0..u.len()).collect();
            order.sort_by(|&a, &b| u[a].total_cmp(&u[b]));
            let middle = u.len() as f64 * 0.125;
            order.into_iter().map(|i| f64::from((i as f64 * 0.25 - middle) as f32)).collect()
        }
        _ => {
            let below: f64 = kind.strip_prefix("below:").and_then(|n| n.parse().ok()).expect("a known fill");
            u.iter().map(|u| (u * below).floor()).collect()
        }
    }
}

fn window(options: &Value) -> Window {
    let pair = |key: &str| <[usize; 2]>::try_from(numbers(&options[key])).expect("a pair");
    let padding = match options["padding"].as_str().expect("a padding") {
        "valid" => Padding::Valid,
        "same" => Padding::Same,
        "same_lower" => Padding::SameLower,
        _ => {
            let [top, bottom, left, right] = numbers(&options["sides"])[..] else { panic!("four sides") };
            Padding::Explicit { top, bottom, left, right }
        }
    };
    Window::new(pair("size")).stride(pair("stride")).dilation(pair("dilation")).padding(padding)
}

/// Builds the case's operation on its inputs.
fn build(case: &Case, g: &mut Graph, i: &[NodeId]) -> lenslet::Result<NodeId> {
    let o = &case.options;
    let flag = |key: &str| o[key].as_bool().expect("a flag");
    match case.op.as_str() {
        "conv2d" => g.conv2d(i[0], i[1], Some(i[2]), window(o)),
        "max_pool2d" => g.max_pool2d(i[0], window(o)),
        "avg_pool2d" => g.avg_pool2d(i[0], window(o), flag("count_include_pad")),
        "matmul" => g.matmul(i[0], i[1], flag("transpose_a"), flag("transpose_b")),
        "dense" => g.dense(i[0], i[1], Some(i[2])),
        "add" | "sub" | "mul" | "div" => g.binary(&case.op, i[0], i[1]),
        "sum" => g.sum(i[0], &numbers(&o["axes"]), flag("keep")),
        "mean" => g.mean(i[0], &numbers(&o["axes"]), flag("keep")),
        "max" => g.max(i[0], &numbers(&o["axes"]), flag("keep")),
        "softmax" => g.softmax(i[0], numbers(&Value::Array(vec![o["axis"].clone()]))[0]),
        "softmax_cross_entropy" => g.softmax_cross_entropy(i[0], i[1]),
        "transpose" => g.transpose(i[0], &numbers(&o["axes"])),
        "broadcast_to" => g.broadcast_to(i[0], numbers(&o["shape"])),
        "reshape" => g.reshape(i[0], numbers(&o["shape"])),
        "flatten" => g.flatten(i[0]),
        scalar => g.unary(scalar, i[0]),
    }
}

/// The optimizer of a case, or `None` if it is an operation.
fn optimizer(case: &Case) -> Option<Box<dyn Optimizer>> {
    let o = &case.options;
    let number = |key: &str| o[key].as_f64().unwrap_or(0.0) as f32;
    match case.op.as_str() {
        "sgd" => Some(Box::new(
            Sgd::new(number("lr"))
                .momentum(number("momentum"))
                .nesterov(o["nesterov"].as_bool().unwrap_or(false))
                .weight_decay(number("weight_decay")),
        )),
        "rmsprop" => Some(Box::new(
            RmsProp::new(number("lr"))
                .alpha(number("alpha"))
                .epsilon(number("eps"))
                .momentum(number("momentum"))
                .weight_decay(number("weight_decay")),
        )),
        _ => None,
    }
}

/// Largest error, and the first element whose error passes `allowed`, as a message.
fn compare(got: impl Iterator<Item = f64>, want: &[f32], allowed: f64) -> Result<(), String> {
    let got: Vec<f64> = got.collect();
    if got.len() != want.len() {
        return Err(format!("{} values, PyTorch has {}", got.len(), want.len()));
    }
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (got - f64::from(*want)).abs();
        if error.is_nan() || error > allowed {
            return Err(format!("element {at} is {got}, PyTorch says {want}, allowed error {allowed:.2e}"));
        }
    }
    Ok(())
}

/// A step's values may err by 4·ε·√L of the largest value in it, L the longest sums of its operations end to end.
fn allowed(graph: &Graph, session: &Interpreter) -> f64 {
    let mut largest: f64 = 1e-30;
    let mut length = 1;
    for id in graph.ids() {
        if graph.dtype(id) == DType::F32 {
            let values = session.read_f64(id).expect("every node is an output");
            largest = values.iter().fold(largest, |m, v| m.max(v.abs()));
        }
        length += graph.traits(id).reduction - 1;
    }
    4.0 * f64::from(f32::EPSILON) * (length as f64).sqrt() * largest
}

fn operation(case: &Case, values: &BTreeMap<String, Vec<f32>>, gpu: Option<&lenslet::Gpu>) -> Result<(), String> {
    let mut graph = Graph::new();
    let mut data = vec![];
    let mut ids = vec![];
    for (number, (shape, kind)) in case.inputs.iter().enumerate() {
        let integer = kind.starts_with("below:");
        let ty = if integer { TensorType::u32(shape.clone()) } else { TensorType::f32(shape.clone()) };
        ids.push(graph.input("x", ty).map_err(|e| e.to_string())?);
        data.push(fill(shape, kind, 16 * case.number + number));
    }
    let y = build(case, &mut graph, &ids).map_err(|e| e.to_string())?;
    let seed = fill(graph.shape(y), "any", 16 * case.number + 15);
    let upstream = Tensor::new(graph.shape(y).clone(), seed.iter().map(|&v| v as f32).collect()).expect("its length");
    let upstream = graph.constant("upstream", upstream).expect("a constant");
    let weighted = graph.mul(y, upstream).expect("one shape");
    let wrt: Vec<NodeId> = case.wrt.iter().map(|&i| ids[i]).collect();
    let grads = gradients(&mut graph, weighted, &wrt).map_err(|e| e.to_string())?;
    let results: Vec<(NodeId, String)> = std::iter::once((y, format!("{}.y", case.number)))
        .chain(grads.iter().zip(&case.wrt).map(|(&g, i)| (g, format!("{}.d{i}", case.number))))
        .collect();

    let mut every = graph.clone();
    every.ids().for_each(|id| every.output(id));
    let mut reference = Interpreter::new(&every).map_err(|e| e.to_string())?;
    for (&id, data) in ids.iter().zip(&data) {
        reference.write_f64(id, data).map_err(|e| e.to_string())?;
    }
    reference.step();
    // The file holds f32: half a unit in the last place of its largest value, whatever the reference computes.
    let stored =
        |want: &[f32]| want.iter().fold(1e-30, |m: f64, v| m.max(f64::from(v.abs()))) * f64::from(f32::EPSILON);
    for (node, name) in &results {
        let want = &values[name];
        let got = reference.read_f64(*node).map_err(|e| e.to_string())?;
        compare(got.iter().copied(), want, stored(want)).map_err(|e| format!("{name} on the CPU: {e}"))?;
    }
    let Some(gpu) = gpu else { return Ok(()) };
    results.iter().for_each(|(node, _)| graph.output(*node));
    let allowed = allowed(&every, &reference);
    let mut session = Session::new(&Device::from(gpu), &graph).map_err(|e| e.to_string())?;
    for (&id, data) in ids.iter().zip(&data) {
        let written = match graph.dtype(id) {
            DType::F32 => session.write(id, data.iter().map(|&v| v as f32).collect::<Vec<_>>().as_slice()),
            _ => session.write(id, data.iter().map(|&v| v as u32).collect::<Vec<_>>().as_slice()),
        };
        written.map_err(|e| e.to_string())?;
    }
    session.run(1);
    for (node, name) in &results {
        let got = session.read(*node).map_err(|e| e.to_string())?;
        let got = got.iter().map(|&v| f64::from(v));
        compare(got, &values[name], allowed).map_err(|e| format!("{name} on the GPU: {e}"))?;
    }
    Ok(())
}

/// Ten steps of an optimizer; each may err by 1e-6 of the largest parameter.
fn trajectory(case: &Case, rule: &dyn Optimizer, want: &[f32], device: &Device) -> Result<(), String> {
    let length = case.inputs[0].0[0];
    let mut graph = Graph::new();
    let flat = |graph: &mut Graph, name: &str| graph.variable(name, TensorType::f32([length]));
    let mut add = || -> lenslet::Result<_> {
        let parameters = flat(&mut graph, "parameters")?;
        let gradients = graph.input("gradients", TensorType::f32([length]))?;
        let rates = graph.input("rates", TensorType::f32([1]))?;
        let step = graph.variable("step", TensorType::u32([1]))?;
        let states = rule.states().iter().map(|name| flat(&mut graph, name)).collect::<lenslet::Result<Vec<_>>>()?;
        let clock = graph.variable("clock", TensorType::u32([1]))?;
        let ranges = std::array::from_fn::<_, 1, _>(|_| 0..length);
        let flat = Flat { parameters, gradients, ranges: &ranges, shares: &[], states: &states, rates, step, clock };
        rule.update(&mut graph, flat)?;
        Ok((parameters, gradients, rates, step, clock))
    };
    let (parameters, gradients, rates, step, clock) = add().map_err(|e| e.to_string())?;
    let uses_clock = graph.ids().any(|id| graph.node(id).inputs().contains(&clock));
    let mut session = Session::new(device, &graph).map_err(|e| e.to_string())?;
    let floats =
        |number: usize| fill(&[length], "any", 16 * case.number + number).iter().map(|&v| v as f32).collect::<Vec<_>>();
    let run = |session: &mut Session| -> lenslet::Result<Vec<Vec<f32>>> {
        session.write(parameters, floats(0).as_slice())?;
        session.write(rates, [rule.learning_rate()].as_slice())?;
        (0..10u32)
            .map(|number| {
                session.write(step, [number].as_slice())?;
                if uses_clock {
                    session.write(clock, [number].as_slice())?;
                }
                session.write(gradients, floats(1 + number as usize).as_slice())?;
                session.run(1);
                session.read(parameters)
            })
            .collect()
    };
    let steps = run(&mut session).map_err(|e| e.to_string())?;
    for (number, (got, want)) in steps.iter().zip(want.chunks(length)).enumerate() {
        let largest = want.iter().fold(0.0, |m: f64, v| m.max(f64::from(v.abs())));
        compare(got.iter().map(|&v| f64::from(v)), want, 1e-6 * largest)
            .map_err(|e| format!("step {} on {}: {e}", number + 1, device.name()))?;
    }
    Ok(())
}

fn check(gpu: Option<&lenslet::Gpu>) {
    let values = values();
    let mut failures = vec![];
    for case in cases() {
        let result = match optimizer(&case) {
            Some(rule) => {
                let device = gpu.map_or(Device::Cpu, Device::from);
                trajectory(&case, rule.as_ref(), &values[&format!("{}.y", case.number)], &device)
            }
            None => operation(&case, &values, gpu),
        };
        if let Err(reason) = result {
            failures.push(format!("GOLDEN_CASE={} {} {}: {reason}", case.number, case.op, case.options));
        }
    }
    assert!(failures.is_empty(), "{} cases differ from PyTorch:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn the_reference_agrees_with_pytorch() {
    check(None);
}

#[test]
fn the_gpu_agrees_with_pytorch() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    check(Some(&gpu));
}
