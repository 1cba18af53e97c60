//! Numbers no training should see, and numbers worked out by hand.

use lenslet::check::{Built, Case, Value};
use lenslet::cpu::Reference;
use lenslet::gpu::GpuSession;
use lenslet::ops::{CrossEntropy, IGNORE};
use lenslet::{DType, Gpu, Graph, HostData, Result, TensorType};

/// NaN, infinities, zeros, denormals, the very large and the usual.
const WILD: [f32; 16] = [
    1.0,
    f32::NAN,
    -0.5,
    f32::INFINITY,
    2.0,
    f32::NEG_INFINITY,
    0.0,
    -0.0,
    1e-40,
    -1e-42,
    1e30,
    -1e30,
    0.25,
    -3.0,
    1.5,
    f32::MIN_POSITIVE,
];

/// Wild numbers in every float input: forward and backward neither panic nor hang, on the CPU and on the GPU. Where
/// NaN is promised to stay NaN, both sides agree.
pub fn wild(case: &Case, gpu: Option<&Gpu>) {
    through(case, gpu).unwrap_or_else(|e| panic!("OPS_CASE={:?}: {e}", case.name));
}

fn through(case: &Case, gpu: Option<&Gpu>) -> Result<()> {
    let mut built = Built::of(case)?;
    if built.values.iter().map(elements).sum::<usize>() > 1 << 16 {
        return Ok(());
    }
    for (number, (value, id)) in built.values.iter_mut().zip(&built.inputs).enumerate() {
        if let (Value::Numbers(v), DType::F32) = (value, built.graph.dtype(*id)) {
            // The inputs do not meet the same numbers at the same places.
            v.iter_mut().enumerate().for_each(|(i, v)| *v = f64::from(WILD[(i * (2 * number + 1) + i / 16) % 16]));
        }
    }
    let gradients = if case.backward { built.differentiate(case)?.1 } else { vec![] };
    let Built { mut graph, inputs: ids, values, y } = built;
    gradients.iter().for_each(|gradient| graph.output(*gradient));
    // Operations that replace variables have no value of their own.
    let result = if case.updates { ids[0] } else { y };
    if !case.updates {
        graph.output(y);
    }
    let mut reference = Reference::new(&graph)?;
    for (&id, value) in ids.iter().zip(&values) {
        match value {
            Value::Numbers(v) => reference.write_f64(id, v)?,
            Value::Bytes(v) => reference.write(id, HostData::U8(v))?,
        }
    }
    reference.step();
    let want = reference.read_f64(result)?;
    let Some(gpu) = gpu else { return Ok(()) };
    let session = GpuSession::new(gpu, &graph)?;
    for (&id, value) in ids.iter().zip(&values) {
        // An input that the operation does without has no place on the device.
        if session.plan().place(id).is_ok() {
            value.with_host_data(graph.dtype(id), |data| session.write(id, data))?;
        }
    }
    session.submit(1);
    let got = session.read(result)?;
    assert_eq!(got.len(), want.len(), "{}", case.name);
    if case.name.starts_with("relu ") || case.name.starts_with("max_pool2d") {
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            assert_eq!(got.is_nan(), want.is_nan(), "OPS_CASE={:?}: element {i} is {got} for {want}", case.name);
        }
    }
    Ok(())
}

fn elements(value: &Value) -> usize {
    match value {
        Value::Numbers(v) => v.len(),
        Value::Bytes(v) => v.len(),
    }
}

/// Losses against numbers worked out by their textbook formulas.
pub fn losses_by_hand() {
    let logits = [1.0, -2.0, 0.5, 0.0, 3.0, -1.0, 2.0, 2.0, -4.0];
    let targets = [1.0, 0.0, 0.0, 0.2, 0.3, 0.5, 0.0, 0.0, 1.0];
    let labels = [2.0, 1.0, f64::from(IGNORE)];
    let options = CrossEntropy { label_smoothing: 0.1, class_weights: Some(vec![1.0, 0.5, 2.0]) };
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([3, 3])).unwrap();
    let t = graph.input("t", TensorType::f32([3, 3])).unwrap();
    let l = graph.input("l", TensorType::u32([3])).unwrap();
    let losses = [
        (graph.softmax_cross_entropy_with(x, l, &options), 0.9417913099807679),
        (graph.softmax_cross_entropy_soft(x, t, &options), 5.90721611509726),
        (graph.mean_squared_error(x, t), 5.203333333333333),
        (graph.mean_absolute_error(x, t), 1.7666666666666666),
        (graph.huber_loss(x, t, 1.0), 1.3716666666666668),
        (graph.binary_cross_entropy(x, t), 1.4823632058218852),
    ]
    .map(|(loss, want)| (loss.unwrap(), want));
    losses.iter().for_each(|(loss, _)| graph.output(*loss));
    let mut session = Reference::new(&graph).unwrap();
    for (id, values) in [(x, &logits[..]), (t, &targets), (l, &labels)] {
        session.write_f64(id, values).unwrap();
    }
    session.step();
    for (loss, want) in losses {
        // Options are f32.
        let got = session.read_f64(loss).unwrap()[0];
        assert!((got - want).abs() < 1e-6, "{got}, by hand {want}");
    }
}
