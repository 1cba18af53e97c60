//! What operations make of the ends of the number line, on every device.

use lenslet::compile::gradients;
use lenslet::device::Session;
use lenslet::ops::{Affine, LocalResponse};
use lenslet::{Device, Gpu, Graph, NodeId, Result, TensorType};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// The CPU, and the GPU if there is one.
fn devices(gpu: Option<&Gpu>) -> Vec<Device> {
    std::iter::once(Device::Cpu).chain(gpu.map(Device::from)).collect()
}

fn same(got: f64, want: f64) -> bool {
    got == want || got.is_nan() && want.is_nan() || (got - want).abs() <= 1e-4 * want.abs().max(1.0)
}

fn assert_same(about: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{about}");
    if let Some(i) = (0..got.len()).find(|&i| !same(got[i], want[i])) {
        panic!("{about}: element {i} is {}, not {}", got[i], want[i]);
    }
}

/// Value and slope of each activation at −∞, ∞, −1e30 and 1e30, as PyTorch 2 computes them in f64.
pub fn activations(gpu: Option<&Gpu>) {
    let big = f64::from(1e30f32);
    let rows = [
        ("relu", [0.0, INF, 0.0, big], [0.0, 1.0, 0.0, 1.0]),
        ("elu", [-1.0, INF, -1.0, big], [0.0, 1.0, 0.0, 1.0]),
        ("gelu", [NAN, INF, 0.0, big], [NAN, NAN, 0.0, 1.0]),
        ("gelu_tanh", [NAN, INF, 0.0, big], [NAN, NAN, 0.0, 1.0]),
        ("silu", [NAN, INF, 0.0, big], [NAN, NAN, 0.0, 1.0]),
        ("sigmoid", [0.0, 1.0, 0.0, 1.0], [0.0; 4]),
        ("tanh", [-1.0, 1.0, -1.0, 1.0], [0.0; 4]),
        ("softplus", [0.0, INF, 0.0, big], [0.0, 1.0, 0.0, 1.0]),
    ];
    for (name, values, slopes) in rows {
        let run = |device: &Device| -> Result<[Vec<f64>; 2]> {
            let mut graph = Graph::new();
            let x = graph.input("x", TensorType::f32([4]))?;
            let y = graph.unary(name, x)?;
            // Not one sum of all: a slope of NaN would hide the others'.
            let dx = gradients(&mut graph, y, &[x])?[0];
            [y, dx].into_iter().for_each(|node| graph.output(node));
            let mut session = Session::new(device, &graph)?;
            session.write(x, [f32::NEG_INFINITY, f32::INFINITY, -1e30, 1e30].as_slice())?;
            session.run(1);
            Ok([session.read_f64(y)?, session.read_f64(dx)?])
        };
        for device in devices(gpu) {
            let [y, dx] = run(&device).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_same(&format!("{name} on {}", device.name()), &y, &values);
            assert_same(&format!("slope of {name} on {}", device.name()), &dx, &slopes);
        }
    }
}

/// The number that spoils a group, if one does, and how.
const SPOILERS: [Option<f32>; 6] =
    [None, Some(f32::NAN), Some(f32::INFINITY), Some(f32::NEG_INFINITY), Some(1e30), Some(-1e30)];

/// A normalisation of x, whose group is an element's number divided by `n`, modulo the spoilers.
type Norm = fn(&mut Graph, NodeId, Affine) -> Result<NodeId>;

/// Each normalisation of groups of which one is usual and the others hold a NaN, an infinity or ±1e30: what comes out is
/// what [`lenslet::ops`] promises, and both devices agree on that and on the gradient.
pub fn norms(gpu: Option<&Gpu>) {
    let groups = SPOILERS.len();
    let layer: Norm = |g, x, a| g.layer_norm(x, 1, a, 1e-5);
    let rms: Norm = |g, x, a| g.rms_norm(x, 1, a.weight, 1e-5);
    let group: Norm = |g, x, a| g.group_norm(x, 2, a, 1e-5);
    let instance: Norm = |g, x, a| g.instance_norm(x, a, 1e-5);
    let batch: Norm = |g, x, a| g.batch_norm(x, a, None, 0.1, 1e-5);
    for (name, norm, shape, channels) in [
        ("layer_norm", layer, [groups, 9, 1], 9),
        ("layer_norm", layer, [groups, 300, 1], 300),
        ("rms_norm", rms, [groups, 9, 1], 9),
        ("rms_norm", rms, [groups, 300, 1], 300),
        ("group_norm", group, [groups / 2, 4, 5], 4),
        ("instance_norm", instance, [groups / 2, 2, 70], 2),
        ("batch_norm", batch, [1, groups, 9], groups),
        ("batch_norm", batch, [1, groups, 5000], groups),
    ] {
        let n = shape.iter().product::<usize>() / groups;
        let about = format!("{name} {shape:?}");
        let spoiled = |i: usize| SPOILERS[i / n].filter(|_| i % n == 2);
        let values: Vec<f32> = (0..groups * n).map(|i| spoiled(i).unwrap_or((i * 7 % 11) as f32 - 4.0)).collect();
        let outcome = |device: &Device| -> Result<[Vec<f64>; 2]> {
            let mut graph = Graph::new();
            let x = graph.input("x", TensorType::f32(shape))?;
            let weight =
                graph.input("weight", TensorType::f32(if channels == n { vec![n, 1] } else { vec![channels] }))?;
            let y = norm(&mut graph, x, Affine { weight: Some(weight), bias: None })?;
            let dx = gradients(&mut graph, y, &[x])?[0];
            [y, dx].into_iter().for_each(|node| graph.output(node));
            let mut session = Session::new(device, &graph)?;
            session.write(x, values.as_slice())?;
            session.write(weight, vec![1.5f32; channels].as_slice())?;
            session.run(1);
            Ok([session.read_f64(y)?, session.read_f64(dx)?])
        };
        let [y, dx] = outcome(&Device::Cpu).unwrap_or_else(|e| panic!("{about}: {e}"));
        for (i, y) in y.iter().enumerate() {
            let promised = match SPOILERS[i / n] {
                None => y.is_finite(),
                Some(v) if v.abs() == 1e30 => *y == 0.0,
                Some(v) if v.is_infinite() && name == "rms_norm" && i % n != 2 => *y == 0.0,
                Some(_) => y.is_nan(),
            };
            assert!(promised, "{about}: element {i} is {y} beside {:?}", SPOILERS[i / n]);
        }
        if let Some(gpu) = gpu {
            let [got, got_dx] = outcome(&Device::from(gpu)).unwrap_or_else(|e| panic!("{about}: {e}"));
            assert_same(&about, &got, &y);
            assert_same(&format!("{about}, gradient"), &got_dx, &dx);
        }
    }
    local_response(gpu);
}

/// As [`norms`]; the groups are an element's neighbours, so what is spoiled is what looks at the spoiler.
fn local_response(gpu: Option<&Gpu>) {
    let values: Vec<f32> = SPOILERS.iter().flat_map(|v| [1.0, -2.0, v.unwrap_or(3.0), 0.5, -1.0]).collect();
    let outcome = |device: &Device| -> Result<[Vec<f64>; 2]> {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([SPOILERS.len(), 5]))?;
        let y = graph.local_response_norm(x, LocalResponse::new(3))?;
        let dx = gradients(&mut graph, y, &[x])?[0];
        [y, dx].into_iter().for_each(|node| graph.output(node));
        let mut session = Session::new(device, &graph)?;
        session.write(x, values.as_slice())?;
        session.run(1);
        Ok([session.read_f64(y)?, session.read_f64(dx)?])
    };
    let [y, dx] = outcome(&Device::Cpu).expect("the CPU runs it");
    for (y, spoiler) in y.chunks(5).zip(SPOILERS) {
        assert!(y[0].is_finite() && y[4].is_finite(), "{spoiler:?} reaches no further than its window: {y:?}");
        assert_eq!(y[2].is_nan(), spoiler.is_some_and(|v| !v.is_finite()), "{spoiler:?}: {y:?}");
    }
    if let Some(gpu) = gpu {
        let [got, got_dx] = outcome(&Device::from(gpu)).expect("the GPU runs it");
        assert_same("local_response_norm", &got, &y);
        assert_same("local_response_norm, gradient", &got_dx, &dx);
    }
}
