//! The workloads of `lenslet bench` in burn: peer-burn gpu|cpu train|infer MODEL BATCH SECONDS.
//!
//! Pictures, labels and first parameters come from the hash of src/bench/pictures.rs; batches are taken in order and go
//! from host memory to the network at every step. Prints one line of JSON with the fields of `lenslet bench --json`.

use std::time::Instant;

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, RmsPropConfig, SgdConfig};
use burn::tensor::activation::relu;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, DeviceKind, Int, Tensor, TensorData};
use serde_json::{Value, json};

const IMAGES: usize = 8192;
const STRETCHES: usize = 5;
const PIXELS: usize = 28 * 28;

fn hash(i: u32, seed: u32) -> u32 {
    let mut x = i ^ seed.wrapping_mul(0x9E37_79B9);
    x ^= x >> 16;
    x = x.wrapping_mul(0x85EB_CA6B);
    x ^= x >> 13;
    x = x.wrapping_mul(0xC2B2_AE35);
    x ^ (x >> 16)
}

/// Floats in 0..1 and labels.
fn pictures() -> (Vec<f32>, Vec<i32>) {
    let class = |n: u32| hash(n, 2) % 10;
    let pixel = |at: usize| {
        let (n, row) = ((at / PIXELS) as u32, (at % PIXELS / 28) as u32);
        let bright = if row / 2 == class(n) + 2 { 128 } else { 0 };
        ((hash(at as u32, 1) & 127) + bright) as f32 / 255.0
    };
    let label = |n: u32| if hash(n, 3).is_multiple_of(5) { hash(n, 4) % 10 } else { class(n) } as i32;
    ((0..IMAGES * PIXELS).map(pixel).collect(), (0..IMAGES as u32).map(label).collect())
}

/// The k-th tensor of weights, of filters `[K,C,R,S]` or `[out,in]`: uniform in ±1/√(fan in).
fn weights(k: u32, length: usize, fan_in: usize) -> Vec<f32> {
    let unit = |j: u32| (hash(j, 100 + k) >> 8) as f32 / 16_777_216.0;
    (0..length as u32).map(|j| (2.0 * unit(j) - 1.0) / (fan_in as f32).sqrt()).collect()
}

fn conv(k: u32, [c, filters]: [usize; 2], size: usize, pad: usize, device: &Device) -> Conv2d {
    let padding = PaddingConfig2d::Explicit(pad, pad, pad, pad);
    let mut layer = Conv2dConfig::new([c, filters], [size, size]).with_padding(padding).init(device);
    let fan_in = c * size * size;
    let values = TensorData::new(weights(k, filters * fan_in, fan_in), [filters, c, size, size]);
    layer.weight = Param::from_data(values, device);
    layer.bias = Some(Param::from_data(TensorData::new(vec![0f32; filters], [filters]), device));
    layer
}

fn dense(k: u32, [inputs, outputs]: [usize; 2], device: &Device) -> Linear {
    let mut layer = LinearConfig::new(inputs, outputs).init(device);
    let stored = weights(k, inputs * outputs, inputs);
    // burn holds [in, out].
    let values = (0..inputs * outputs).map(|at| stored[at % outputs * inputs + at / outputs]).collect::<Vec<_>>();
    layer.weight = Param::from_data(TensorData::new(values, [inputs, outputs]), device);
    layer.bias = Some(Param::from_data(TensorData::new(vec![0f32; outputs], [outputs]), device));
    layer
}

/// Convolutions, each with a relu, and with max pooling where the flag says so; then dense layers with relus between.
#[derive(Module, Debug)]
struct Network {
    convolutions: Vec<Conv2d>,
    pooled: Vec<bool>,
    dense: Vec<Linear>,
}

impl Network {
    fn new(model: &str, device: &Device) -> Self {
        let conv = |k, planes, size, pad| conv(k, planes, size, pad, device);
        let dense = |k, extents| dense(k, extents, device);
        match model {
            "lenet5" => Self {
                convolutions: vec![conv(0, [1, 6], 5, 2), conv(1, [6, 16], 5, 0)],
                pooled: vec![true, true],
                dense: vec![dense(2, [400, 120]), dense(3, [120, 84]), dense(4, [84, 10])],
            },
            _ => Self {
                convolutions: vec![conv(0, [1, 32], 3, 0), conv(1, [32, 64], 3, 0), conv(2, [64, 64], 3, 0)],
                pooled: vec![true, true, false],
                dense: vec![dense(3, [576, 64]), dense(4, [64, 10])],
            },
        }
    }

    fn forward(&self, mut x: Tensor<4>) -> Tensor<2> {
        for (layer, pooled) in self.convolutions.iter().zip(&self.pooled) {
            x = relu(layer.forward(x));
            if *pooled {
                x = max_pool2d(x, MaxPoolOptions::new([2, 2]));
            }
        }
        let mut x: Tensor<2> = x.flatten(1, 3);
        for (number, layer) in self.dense.iter().enumerate() {
            x = layer.forward(x);
            if number + 1 < self.dense.len() {
                x = relu(x);
            }
        }
        x
    }
}

/// A hardware GPU if there is one, else a software one; or the CPU.
fn open(which: &str) -> (Device, String) {
    if which == "cpu" {
        return (Device::flex(), "cpu (burn-flex)".into());
    }
    let kinds = [DeviceKind::DiscreteGpu(0), DeviceKind::IntegratedGpu(0), DeviceKind::VirtualGpu(0), DeviceKind::Cpu];
    let open = |kind| Device::wgpu_options().device_kind(kind).init_with_setup().ok();
    let (device, setup) = kinds.into_iter().find_map(open).expect("an adapter");
    let info = setup.adapter.get_info();
    (device, format!("{} ({:?}, {})", info.name, info.backend, info.driver_info))
}

fn spread(values: impl Iterator<Item = f64>) -> Value {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    json!({ "min": values[0], "median": values[values.len() / 2], "max": values[values.len() - 1] })
}

/// `step(i, wait)` does batch i of an epoch, and if asked waits for its own result and returns it.
fn measure(start: Instant, batch: usize, seconds: f64, mut step: impl FnMut(usize, bool) -> Option<f32>) -> Value {
    let (mut done, mut results) = (0, vec![]);
    let mut run = |count: usize| {
        let begin = Instant::now();
        for number in 1..=count {
            // The losses that engines compare are those of the steps 1 and 32.
            results.push(step(done % (IMAGES / batch), number == count || done == 31));
            done += 1;
        }
        begin.elapsed().as_secs_f64()
    };
    let mut took = run(1);
    let first_step = start.elapsed().as_secs_f64();
    let mut stretch = 1;
    while took < seconds / 10.0 {
        stretch *= 2;
        took = run(stretch);
    }
    let stretch = ((stretch as f64 * seconds / STRETCHES as f64 / took) as usize).max(1);
    let times: Vec<f64> = (0..STRETCHES).map(|_| run(stretch) / stretch as f64).collect();
    let mut line = json!({
        "batch_size": batch,
        "images_per_s": spread(times.iter().map(|t| batch as f64 / t)),
        "ms_per_step": spread(times.iter().map(|t| 1e3 * t)),
        "first_step_s": first_step,
    });
    for (name, at) in [("loss_1", 0), ("loss_32", 31)] {
        if let Some(loss) = results.get(at).copied().flatten() {
            line[name] = json!(loss);
        }
    }
    line
}

fn main() {
    let start = Instant::now();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [which, what, model, batch, seconds] = &arguments[..] else {
        eprintln!("usage: peer-burn gpu|cpu train|infer lenet5|convnet BATCH SECONDS");
        std::process::exit(2);
    };
    let (batch, seconds): (usize, f64) = (batch.parse().expect("a number"), seconds.parse().expect("a number"));
    let (floats, classes) = pictures();
    let (device, name) = open(which);
    let images = |i: usize, device: &Device| {
        let values = floats[i * batch * PIXELS..(i + 1) * batch * PIXELS].to_vec();
        Tensor::<4>::from_data(TensorData::new(values, [batch, 1, 28, 28]), device)
    };
    let mut line = if what == "train" {
        let device = device.autodiff();
        let mut network = Some(Network::new(model, &device));
        let (mut optimizer, rate): (ModuleOptimizer, f64) = if model == "lenet5" {
            // Dampening 0 makes burn's momentum the usual one.
            let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
            (SgdConfig::new().with_momentum(Some(momentum)).init(), 0.05)
        } else {
            (RmsPropConfig::new().with_alpha(0.9).with_momentum(0.0).with_epsilon(1e-7).init(), 1e-3)
        };
        let loss_of = CrossEntropyLossConfig::new().init(&device);
        measure(start, batch, seconds, |i, wait| {
            let own = network.take().expect("put back at the end of every step");
            let labels = classes[i * batch..(i + 1) * batch].to_vec();
            let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [batch]), &device);
            let loss = loss_of.forward(own.forward(images(i, &device)), labels);
            let gradients = GradientsParams::from_grads(loss.backward(), &own);
            network = Some(optimizer.step(rate, own, gradients));
            let loss = wait.then(|| loss.into_scalar::<f32>());
            if wait {
                device.sync().expect("a device");
            }
            loss
        })
    } else {
        let network = Network::new(model, &device);
        measure(start, batch, seconds, |i, _| {
            let logits: Vec<f32> = network.forward(images(i, &device)).into_data().try_to_vec().expect("floats");
            Some(logits[0])
        })
    };
    if what != "train" {
        line.as_object_mut().expect("an object").retain(|name, _| !name.starts_with("loss"));
    }
    for (name, value) in [("event", what.clone()), ("peer", "burn 0.22.1".into()), ("model", model.clone()), ("device", name)] {
        line[name] = json!(value);
    }
    println!("{line}");
}
