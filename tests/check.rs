//! The instruments themselves: a wrong kernel planted here is found, named, left out, and reproduced alone, a slow
//! one is not taken.

mod common;

use lenslet::bench::race;
use lenslet::check::{Examination, Trial, Value, diff, doctor, replay};
use lenslet::gpu::{Distrusted, GpuSession, Tuned, forget_tuned};
use lenslet::graph::{Op, Traits};
use lenslet::kernel::{Dispatch, Io, Kernel, Limits, Operand, Shader};
use lenslet::nn::{Build, Layer, Model, Reach, Sequential};
use lenslet::tensor::View;
use lenslet::{Graph, NodeId, Padding, Result, ShaderChecks, Shape, TensorType};

/// `y = 2x`, with these kernels.
#[derive(Debug)]
struct Double(&'static [Shader]);

const RIGHT: Shader = Shader::new("double_right", include_str!("check/double_right.wgsl"));
/// Takes its time.
const SLOW: Shader = Shader::new("double_slow", include_str!("check/double_slow.wgsl"));
/// From element 5 on.
const WRONG: Shader = Shader::new("double_wrong", include_str!("check/double_wrong.wgsl"));

impl Op for Double {
    fn name(&self) -> &'static str {
        "double"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        Ok(inputs[0].clone())
    }

    fn eval(&self, inputs: &[View<'_>], out: &mut [f64]) {
        out.iter_mut().zip(inputs[0].f64()).for_each(|(y, x)| *y = 2.0 * x);
    }

    fn grad(&self, graph: &mut Graph, _: NodeId, dy: NodeId) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![Some(graph.scale(dy, 2.0)?)])
    }

    fn kernels(&self, io: &Io<'_>, _: &Limits) -> Vec<Kernel> {
        let kernel = |&shader: &Shader| {
            let dispatch = Dispatch::new(shader).reads_inputs(1).writes(Operand::Output);
            Kernel::single(dispatch.invocations(io.output.shape.elements(), 64))
        };
        self.0.iter().map(kernel).collect()
    }

    fn traits(&self, _: &Io<'_>) -> Traits {
        Traits { multilinear: true, ..Traits::default() }
    }
}

/// A dense layer, the doubling, another dense layer.
struct Network {
    wrong: bool,
}

impl Model for Network {
    fn name(&self) -> &str {
        "network"
    }

    fn input(&self) -> Shape {
        [1, 3, 4].into()
    }

    fn forward(&self, b: &mut Build<'_>, x: NodeId) -> Result<NodeId> {
        let x = Layer::flatten().apply(b, "flat", x)?;
        let x = Layer::dense(8).apply(b, "fc1", x)?;
        let double = Double(if self.wrong { &[WRONG] } else { &[RIGHT] });
        let x = b.layer("suspect", "double", x, Reach::Point, |b| b.graph.append(double, &[x]))?;
        Layer::dense(3).apply(b, "fc2", x)
    }
}

fn on_gpu(test: impl FnOnce(&lenslet::Gpu)) {
    if let Some(gpu) = common::gpu(ShaderChecks::Trusted) {
        test(&gpu);
    }
}

/// Runs a test of this binary again with a cache folder of its own.
fn with_own_cache(test: &str) -> bool {
    if std::env::var_os("LENSLET_TEST_CHILD").is_some() {
        return true;
    }
    let cache = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture"]).env("LENSLET_CACHE", cache.path()).env("LENSLET_TEST_CHILD", "1");
    assert!(child.status().unwrap().success(), "{test} failed with a cache of its own");
    false
}

#[test]
fn a_wrong_kernel_fails_its_trial_and_the_right_one_passes() {
    on_gpu(|gpu| {
        let x: Vec<f64> = (0..100).map(|i| f64::from(i) - 50.0).collect();
        let inputs = vec![(TensorType::f32([100]), Value::Numbers(x))];
        let op = std::sync::Arc::new(Double(&[WRONG, RIGHT]));
        let verdicts = Trial { case: "double", op, inputs }.run(gpu).unwrap();
        let seen: Vec<_> = verdicts.iter().map(|v| (v.kernel, v.passed)).collect();
        assert_eq!(seen, [("double_wrong", false), ("double_right", true)]);
        assert_eq!((verdicts[0].worst.index, verdicts[0].worst.got, verdicts[0].worst.want), (5, -89.0, -90.0));
    });
}

#[test]
fn a_distrusted_kernel_is_never_chosen() {
    if !with_own_cache("a_distrusted_kernel_is_never_chosen") {
        return;
    }
    on_gpu(|gpu| {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([10])).unwrap();
        let y = graph.append(Double(&[WRONG, RIGHT]), &[x]).unwrap();
        graph.output(y);
        let chosen = || GpuSession::new(gpu, &graph).map(|s| s.plan().steps[0].dispatch.shader.name);
        assert_eq!(chosen().unwrap(), "double_wrong");
        // The same kernel of another operation.
        gpu.distrust(Distrusted::of([("treble", "double_wrong")])).unwrap();
        assert_eq!(chosen().unwrap(), "double_wrong");
        gpu.distrust(Distrusted::of([("double", "double_wrong")])).unwrap();
        assert_eq!(chosen().unwrap(), "double_right");
        // As records were written before: a kernel's name stands for all its operations.
        gpu.distrust(Distrusted { kernels: ["double_wrong".to_string()].into() }).unwrap();
        assert_eq!(chosen().unwrap(), "double_right");
        gpu.distrust(Distrusted::of([("double", "double_wrong"), ("double", "double_right")])).unwrap();
        let error = chosen().unwrap_err().to_string();
        assert!(error.contains("double") && error.contains("lenslet doctor"), "{error}");
        gpu.distrust(Distrusted::default()).unwrap();
        assert_eq!(chosen().unwrap(), "double_wrong");
    });
}

#[test]
fn the_fastest_right_kernel_is_taken_where_it_was_measured() {
    if !with_own_cache("the_fastest_right_kernel_is_taken_where_it_was_measured") {
        return;
    }
    on_gpu(|gpu| {
        let chosen = |gpu: &lenslet::Gpu, n: usize, kernels: &'static [Shader]| {
            let mut graph = Graph::new();
            let x = graph.input("x", TensorType::f32([n])).unwrap();
            let y = graph.append(Double(kernels), &[x]).unwrap();
            graph.output(y);
            GpuSession::new(gpu, &graph).unwrap().plan().steps[0].dispatch.shader.name
        };
        const ALL: &[Shader] = &[WRONG, SLOW, RIGHT];
        let again = || lenslet::Gpu::with_checks(ShaderChecks::Trusted).unwrap();

        let x = Value::Numbers((0..1000).map(f64::from).collect());
        let op = std::sync::Arc::new(Double(ALL));
        let trial = Trial { case: "double", op, inputs: vec![(TensorType::f32([1000]), x)] };
        let runners = race(gpu, &trial).unwrap();
        let [wrong, slow, right] = &runners[..] else { panic!("{runners:?}") };
        assert_eq!(wrong.ms, None, "what is wrong is not timed");
        assert!(slow.ms.unwrap() > 1.5 * right.ms.unwrap(), "{runners:?}");

        assert_eq!(chosen(gpu, 1000, ALL), "double_wrong");
        let mut tuned = Tuned::default();
        tuned.keep(trial.tuned(gpu, runners.iter().filter_map(|r| Some((r.kernel, r.ms?)))).unwrap());
        let record = gpu.keep_tuned(tuned.clone()).unwrap();
        assert_eq!(*again().tuned().unwrap(), tuned, "a record says what was measured");
        for gpu in [gpu, &again()] {
            assert_eq!(chosen(gpu, 1000, ALL), "double_right");
            assert_eq!(chosen(gpu, 999, ALL), "double_wrong", "another shape");
            assert_eq!(chosen(gpu, 1000, &[WRONG, RIGHT]), "double_wrong", "other candidates");
        }
        gpu.distrust(Distrusted::of([("double", "double_right")])).unwrap();
        assert_eq!(chosen(gpu, 1000, ALL), "double_slow", "the fastest of those that are trusted");
        gpu.distrust(Distrusted::default()).unwrap();

        let text = std::fs::read_to_string(&record).unwrap();
        let hash = &tuned.operations[0].candidates;
        for (from, to) in [(gpu.driver().as_str(), "an old driver"), ("wgpu = \"", "wgpu = \"0."), (hash, "0")] {
            assert!(text.contains(from), "{text}");
            std::fs::write(&record, text.replace(from, to)).unwrap();
            assert_eq!(chosen(&again(), 1000, ALL), "double_wrong", "{to}");
            again().keep_tuned(tuned.clone()).unwrap();
            assert_eq!(std::fs::read_to_string(&record).unwrap(), text, "what is stale is cleaned: {to}");
        }
        std::fs::write(&record, "device = 1").unwrap();
        let error = again().tuned().unwrap_err().to_string();
        assert!(error.contains("tuned.toml") && error.contains("lenslet tune --clear"), "{error}");
        assert_eq!(forget_tuned().unwrap(), Some(record));
        assert_eq!(chosen(&again(), 1000, ALL), "double_wrong");
    });
}

#[test]
fn diff_names_the_layer_with_the_wrong_kernel_and_no_other() {
    on_gpu(|gpu| {
        let mut seen = vec![];
        let difference = diff(gpu, &Network { wrong: true }, 2, 1, None, |r| seen.push((r.layer.clone(), r.passed)));
        let difference = difference.unwrap().expect("a difference");
        assert_eq!(difference.report.layer, "suspect");
        assert_eq!(difference.report.worst.index, 5);
        assert_eq!(seen, [("fc1".to_string(), true), ("suspect".to_string(), false)]);

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("difference.safetensors");
        difference.save(&file, "suspects").unwrap();
        let again = replay(gpu, &file, |name| Ok(Network { wrong: name == "suspects" })).unwrap();
        assert_eq!(again, difference.report);
        let mended = replay(gpu, &file, |_| Ok(Network { wrong: false })).unwrap();
        assert!(mended.passed);

        std::fs::write(&file, b"nothing").unwrap();
        let error = replay(gpu, &file, |_| Ok(Network { wrong: false })).unwrap_err().to_string();
        assert!(error.contains("difference.safetensors") && error.contains("lenslet diff"), "{error}");
    });
}

#[test]
fn diff_of_a_sound_network_visits_every_operation_forward_and_backward() {
    on_gpu(|gpu| {
        let mut seen = vec![];
        let model = lenslet::models::lenet5();
        let found = diff(gpu, &model, 2, 1, None, |r| seen.push((r.layer.clone(), r.direction, r.passed))).unwrap();
        assert!(found.is_none() && seen.iter().all(|(.., passed)| *passed));
        let layers = ["conv1", "conv2", "fc1", "fc2", "fc3"];
        let forward = layers.map(|layer| (layer, "forward"));
        // The convolutions pool as well: forward, pooling is no operation of its own.
        let backward = layers.into_iter().chain(["pool1", "pool2"]).map(|layer| (layer, "backward"));
        for (layer, direction) in forward.into_iter().chain(backward) {
            assert!(seen.iter().any(|(l, d, _)| l == layer && *d == direction), "{layer} {direction}");
        }
    });
}

#[test]
fn diff_trains_layers_of_every_kind() {
    on_gpu(|gpu| {
        let model = Sequential::new([2, 12, 12])
            .normalize([0.4, 0.5], [0.25])
            .conv2d(4, 3)
            .padding(Padding::Explicit { top: 1, bottom: 0, left: 2, right: 1 })
            .trainable(false)
            .batch_norm()
            .prelu()
            .spatial_dropout(0.3)
            .max_pool2d(3)
            .stride(2)
            .dilation([2, 1])
            .ceil_mode(true)
            .conv_transpose2d(6, 3)
            .stride(2)
            .groups(2)
            .output_padding(1)
            .group_norm(3)
            .silu()
            .max_pool_channels(2, 2)
            .instance_norm()
            .upsample_bilinear([1, 2])
            .pad_with(1, 0.5)
            .local_response_norm(3)
            .conv2d(6, 3)
            .depthwise()
            .batch_norm()
            .trainable(false)
            .lp_pool2d(2, 2.0)
            .rms_norm()
            .upsample(2)
            .avg_pool_channels(2, 1)
            .layer_norm()
            .adaptive_avg_pool2d([3, 2])
            .adaptive_max_pool2d(2)
            .flatten()
            .dense(9)
            .batch_norm()
            .leaky_relu(0.1)
            .dropout(0.4)
            .dense(3);
        let mut seen = vec![];
        let found = diff(gpu, &model, 4, 1, None, |r| seen.push((r.operation, r.passed))).unwrap();
        assert!(found.is_none(), "{:?}", found.map(|difference| difference.report));
        for operation in ["moments", "track_moments", "dropout", "spatial_dropout", "conv_transpose2d", "prelu"] {
            assert!(seen.iter().any(|(name, _)| *name == operation), "{operation} in {seen:?}");
        }
    });
}

#[test]
fn the_doctor_trusts_a_device_whose_kernels_are_right() {
    on_gpu(|gpu| {
        let mut kernels = std::collections::BTreeSet::new();
        // The whole table runs in tests/ops.
        let report = doctor(gpu, Examination::Cases("conv2d primes"), |v| kernels.extend([v.kernel])).unwrap();
        assert!(report.failed.is_empty(), "{:?}", report.failed);
        for kernel in
            ["conv2d_direct", "conv2d_grad_input_direct", "conv2d_grad_weight_taps", "conv2d_grad_weight_rows"]
        {
            assert!(kernels.contains(kernel), "{kernel} was not tried");
        }
    });
}
