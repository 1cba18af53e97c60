//! Numbers no training should see.

use lenslet::check::{Built, Case, Value};
use lenslet::cpu::Interpreter;
use lenslet::gpu::GpuSession;
use lenslet::{DType, Gpu, HostData, Result};

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
    let mut reference = Interpreter::new(&graph)?;
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
        value.with_host_data(graph.dtype(id), |data| session.write(id, data))?;
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
