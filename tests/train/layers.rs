//! Layers that behave differently in training: running averages move and are kept, dropout draws, frozen layers stay.

use approx::assert_relative_eq;
use lenslet::formats::weights;
use lenslet::infer::Evaluator;
use lenslet::nn::{Init, Layout, Sequential};
use lenslet::optim::{Adam, AnyOptimizer, Group, Grouped, Sgd};
use lenslet::train::Trainer;
use lenslet::{Device, Graph, Session, ShaderChecks, TensorType};

use crate::common;
use crate::fixture::{CLASSES, SHAPE, bits, dataset, devices, fit, rounding, sgd, trainer};

/// Batch normalisation after a convolution and after a dense layer, both dropouts.
fn network_from(low: f32) -> Sequential {
    let init = Init::Uniform { low, high: 0.3 };
    Sequential::new(SHAPE)
        .conv2d(4, 3)
        .bias(false)
        .init(init)
        .batch_norm()
        .relu()
        .spatial_dropout(0.2)
        .max_pool2d(2)
        .flatten()
        .dense(8)
        .init(init)
        .batch_norm()
        .prelu()
        .dropout(0.3)
        .dense(CLASSES)
        .init(init)
}

fn network() -> Sequential {
    network_from(-0.3)
}

/// The values of a parameter.
fn named(layout: &Layout, flat: &[f32], name: &str) -> Vec<f32> {
    let (_, range) = layout.parameters().find(|(spec, _)| spec.name == name).expect("a parameter of that name");
    flat[range].to_vec()
}

#[test]
fn cpu_and_gpu_draw_and_track_alike() {
    // 70 pictures in batches of 16: the last one has rows that count for nothing.
    let data = dataset(70);
    let unit = rounding(&network(), sgd(), &data);
    let run = |device: &Device, low: f32| {
        let model = network_from(low);
        let mut trainer = trainer(device, &model, sgd());
        let steps = fit(&mut trainer, &data, 2).1;
        let losses = steps.iter().map(|step| f64::from(step.loss)).collect::<Vec<_>>();
        let statistics = ["bn1.running_mean", "bn1.running_var", "bn2.running_mean", "bn2.running_var"]
            .map(|name| named(trainer.layout(), &trainer.parameters(), name));
        (losses, statistics.concat())
    };
    let (expected, statistics) = run(&Device::Cpu, -0.3);
    let (nudged, moved) = run(&Device::Cpu, -0.3 * (1.0 + unit));
    // Each of ten steps may err as much as the nudge at the start does, which grows on the way.
    let apart = |a: &f64, b: &f64| (a - b).abs();
    let carried = expected.iter().zip(&nudged).map(|(a, b)| apart(a, b)).fold(0.0, f64::max);
    let budget = |value: f64| 10.0 * (carried + f64::from(unit) * value);
    assert!(budget(2.0) < 1e-2, "a budget that says something: {}", budget(2.0));
    let far = statistics.iter().zip(&moved).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
    for checks in [ShaderChecks::Trusted, ShaderChecks::Checked] {
        let Some(gpu) = common::gpu(checks) else { return };
        let (found, tracked) = run(&Device::Gpu(gpu), -0.3);
        for (step, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!(
                apart(found, expected) <= budget(*expected),
                "{checks:?}, step {step}: GPU {found}, CPU {expected}"
            );
        }
        for (found, expected) in tracked.iter().zip(&statistics) {
            let most = 10.0 * (far + f64::from(unit * expected.abs()));
            assert!(f64::from((found - expected).abs()) <= most, "{checks:?}: GPU {found}, CPU {expected}, {most:e}");
        }
    }
}

#[test]
fn the_loss_falls_and_evaluation_draws_nothing() {
    let data = dataset(80);
    for device in devices() {
        let model = network();
        let mut trainer = trainer(&device, &model, AnyOptimizer::Adam(Adam::new(0.01)));
        let (report, _) = fit(&mut trainer, &data, 12);
        let losses: Vec<f64> = report.epochs.iter().map(|epoch| epoch.loss).collect();
        assert!(losses[11] < 0.6 * losses[0], "{losses:?}");
        let evaluation = trainer.evaluate(&data).unwrap();
        assert!(evaluation.accuracy > 0.9, "{evaluation:?}");
        assert_eq!(evaluation, trainer.evaluate(&data).unwrap());

        // By running averages, a picture's class does not depend on those beside it.
        let layout = trainer.layout();
        let alone = Evaluator::new(&device, &model, layout, &data, 1).unwrap().run(&trainer.parameters()).unwrap();
        assert_eq!(alone.confusion, evaluation.confusion);
        assert_relative_eq!(alone.loss, evaluation.loss, max_relative = 1e-5);
    }
}

#[test]
fn the_seed_decides_the_masks_and_each_step_has_its_own() {
    let data = dataset(48);
    for device in devices() {
        // Nothing moves but the masks: the loss of a step tells them.
        let model = Sequential::new(SHAPE).flatten().dropout(0.5).dense(CLASSES);
        let still = AnyOptimizer::Sgd(Sgd::new(1e-30));
        let run = |seed: u64, parts: &[u32]| {
            let mut trainer = trainer(&device, &model, still).batch_size(48).seed(seed);
            let steps: Vec<_> = parts.iter().flat_map(|&epochs| fit(&mut trainer, &data, epochs).1).collect();
            steps.iter().map(|step| step.loss.to_bits()).collect::<Vec<_>>()
        };
        let losses = run(1, &[4]);
        assert!(losses.iter().all(|a| losses.iter().filter(|b| a == *b).count() == 1), "{losses:?}");
        assert_eq!(run(1, &[4]), losses);
        assert_eq!(run(1, &[1, 3]), losses, "the clock goes on");
        assert_ne!(run(2, &[4]), losses);
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_goes_on_where_it_ended() {
    let data = dataset(50);
    for device in devices() {
        let model = network();
        let run = |parts: &[u32]| {
            let mut trainer = trainer(&device, &model, AnyOptimizer::Sgd(Sgd::new(0.1).momentum(0.9)));
            parts.iter().for_each(|&epochs| drop(fit(&mut trainer, &data, epochs)));
            bits(&trainer.parameters())
        };
        assert!(run(&[2]) == run(&[2]), "{}", device.name());
        assert!(run(&[1, 1]) == run(&[2]), "{}", device.name());
    }
}

/// After one step with momentum 1, the averages are the batch's own: checked by hand, for channels that are pixels.
#[test]
fn running_averages_are_those_of_the_pictures_and_are_kept_in_files() {
    let data = dataset(40);
    let model = Sequential::new(SHAPE).flatten().batch_norm().momentum(1.0).dense(CLASSES);
    for device in devices() {
        let mut trainer = trainer(&device, &model, sgd()).batch_size(40);
        fit(&mut trainer, &data, 1);
        let (layout, flat) = (trainer.layout(), trainer.parameters());
        let (means, variances) = (named(layout, &flat, "bn1.running_mean"), named(layout, &flat, "bn1.running_var"));
        for pixel in 0..144 {
            let values: Vec<f64> = (0..40).map(|i| f64::from(data.image(i)[pixel]) / 255.0).collect();
            let mean = values.iter().sum::<f64>() / 40.0;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 39.0;
            assert_relative_eq!(f64::from(means[pixel]), mean, max_relative = 1e-5, epsilon = 1e-6);
            assert_relative_eq!(f64::from(variances[pixel]), variance, max_relative = 1e-5, epsilon = 1e-6);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        weights::save(&path, layout, &flat, &Default::default()).unwrap();
        let read = weights::load(&path, &Layout::of(&model).unwrap()).unwrap();
        assert!(bits(&read) == bits(&flat));
        let again = Evaluator::new(&device, &model, layout, &data, 7).unwrap().run(&read).unwrap();
        assert_eq!(again.confusion, trainer.evaluate(&data).unwrap().confusion);
    }
}

#[test]
fn rows_that_count_for_nothing_do_not_enter_averages() {
    // One picture in a batch of three is shown thrice: its variance is 0, its mean itself; a black row would show.
    let data = dataset(4);
    let model = Sequential::new(SHAPE).flatten().batch_norm().momentum(1.0).dense(CLASSES);
    for device in devices() {
        let mut trainer = trainer(&device, &model, sgd()).batch_size(3);
        fit(&mut trainer, &data, 1);
        let means = named(trainer.layout(), &trainer.parameters(), "bn1.running_mean");
        let brightest = (0..144).max_by_key(|&pixel| (0..4).map(|i| data.image(i)[pixel]).min()).unwrap();
        let least = (0..4).map(|i| data.image(i)[brightest]).min().unwrap();
        assert!(means[brightest] >= f32::from(least) / 255.0 * 0.999, "{} {least}", means[brightest]);
    }
}

#[test]
fn frozen_layers_stay_to_the_byte_and_the_others_learn() {
    let data = dataset(60);
    let frozen_layer = || {
        network().layers().iter().fold(Sequential::new(SHAPE), |model, layer| {
            let first = model.layers().len() < 2;
            model.layer(if first { layer.clone().trainable(false) } else { layer.clone() })
        })
    };
    for device in devices() {
        for by_group in [false, true] {
            let model = if by_group { network() } else { frozen_layer() };
            let momentum = Sgd::new(0.1).momentum(0.9);
            let patterns: &[&str] = if by_group { &["conv1.*", "bn1.*"] } else { &[] };
            let groups: Vec<Group> = patterns.iter().map(|&pattern| Group::new(pattern).frozen()).collect();
            let mut trainer =
                Trainer::new(device.clone(), &model, Grouped::new(momentum, groups)).unwrap().batch_size(16);
            let before = trainer.parameters();
            let (report, _) = fit(&mut trainer, &data, 6);
            assert!(report.epochs[5].loss < report.epochs[0].loss);
            let (layout, after) = (trainer.layout(), trainer.parameters());
            for (spec, range) in layout.parameters() {
                let stays = spec.name.starts_with("conv1.") || spec.name.starts_with("bn1.");
                let same = bits(&before[range.clone()]) == bits(&after[range]);
                assert_eq!(same, stays, "{} on {}", spec.name, device.name());
            }
            assert_eq!(layout.trainable(), layout.count() - 36 - 4 * 4 - 2 * 8);
        }
    }
}

#[test]
fn evaluation_of_a_dropout_is_what_it_reads() {
    let model = Sequential::new([3]).dropout(0.5).spatial_dropout(0.5);
    let layout = Layout::of(&model).unwrap();
    for device in devices() {
        let mut graph = Graph::new();
        let flat = graph.variable("parameters", layout.ty()).unwrap();
        let x = graph.input("x", TensorType::f32([2, 3])).unwrap();
        let y = layout.forward(&model, &mut graph, flat, x).unwrap();
        let y = graph.copy(y).unwrap();
        graph.output(y);
        let mut session = Session::new(&device, &graph).unwrap();
        session.write(x, [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0].as_slice()).unwrap();
        session.run(1);
        assert_eq!(session.read(y).unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }
}
