//! The CPU and the GPU learn alike, and the same seed gives the same bytes.

use lenslet::data::Augment;
use lenslet::nn::Sequential;
use lenslet::optim::{AnyOptimizer, RmsProp, Sgd};
use lenslet::{Device, ShaderChecks};

use crate::augmented::varied;
use crate::common;
use crate::fixture::{bits, dataset, devices, fit, network, network_from, rounding, sgd, trainer};

#[test]
fn cpu_and_gpu_learn_alike() {
    let data = dataset(80);
    let nesterov = Sgd::new(0.05).momentum(0.8).nesterov(true).weight_decay(0.01);
    let rmsprop = RmsProp::new(0.003).momentum(0.5);
    let (none, varied) = (Augment::default(), varied());
    for (optimizer, augment) in
        [(sgd(), none), (AnyOptimizer::Sgd(nesterov), none), (AnyOptimizer::RmsProp(rmsprop), none), (sgd(), varied)]
    {
        let unit = rounding(&network(), optimizer, &data);
        let run = |device: &Device, model: &Sequential| {
            fit(&mut trainer(device, model, optimizer).augment(augment), &data, 5)
        };
        let losses = |device: &Device, low: f32| {
            let (_, steps) = run(device, &network_from(low));
            steps.iter().map(|step| f64::from(step.loss)).collect::<Vec<_>>()
        };
        let expected = losses(&Device::Cpu, -0.3);
        assert_eq!(expected.len(), 25);

        // How far an error in the weights at the start carries the losses, found by making one; each step adds another.
        let nudged = losses(&Device::Cpu, -0.3 * (1.0 + unit));
        let mut carried: f64 = 0.0;
        let budgets: Vec<f64> = (1..)
            .zip(expected.iter().zip(&nudged))
            .map(|(step, (loss, nudged))| {
                carried = carried.max((loss - nudged).abs());
                f64::from(step) * carried + f64::from(unit) * loss
            })
            .collect();
        assert!(budgets.iter().all(|budget| *budget < 1e-3), "a budget that says something: {budgets:?}");

        for checks in [ShaderChecks::Trusted, ShaderChecks::Checked] {
            let Some(gpu) = common::gpu(checks) else { return };
            let found = losses(&Device::Gpu(gpu), -0.3);
            assert_eq!(found.len(), expected.len());
            for (step, ((found, expected), budget)) in found.iter().zip(&expected).zip(&budgets).enumerate() {
                let apart = (found - expected).abs();
                assert!(
                    apart <= *budget,
                    "{optimizer:?}, {augment}, {checks:?}, step {step}: GPU {found}, CPU {expected}, {apart:e} apart, \
                     budget {budget:e}"
                );
            }
        }
    }
}

#[test]
fn the_loss_falls_and_the_network_learns() {
    let data = dataset(80);
    for device in devices() {
        let model = network();
        let mut trainer = trainer(&device, &model, sgd());
        let before = trainer.evaluate(&data).unwrap();
        let (report, _) = fit(&mut trainer, &data, 8);
        let losses: Vec<f64> = report.epochs.iter().map(|epoch| epoch.loss).collect();
        assert!(losses[7] < 0.5 * losses[0], "{losses:?}");
        let after = trainer.evaluate(&data).unwrap();
        assert!(after.accuracy > 0.95 && after.accuracy > before.accuracy, "{before:?} {after:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_others() {
    let data = dataset(50);
    for device in devices() {
        let model = network();
        let run = |seed| {
            let mut trainer = trainer(&device, &model, sgd()).seed(seed);
            let hash = fit(&mut trainer, &data, 2).0.epochs.pop().unwrap().weights_sha256;
            (bits(&trainer.parameters()), hash)
        };
        assert!(run(1) == run(1), "{}", device.name());
        let (one, two) = (run(1), run(2));
        assert!(one.0 != two.0 && one.1 != two.1);
    }
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let data = dataset(200);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let model = network();
            let mut trainer = trainer(&Device::Cpu, &model, sgd()).batch_size(50);
            fit(&mut trainer, &data, 2);
            bits(&trainer.parameters())
        })
    };
    assert!(run(1) == run(3));
}

#[test]
fn training_goes_on_where_it_ended() {
    let data = dataset(50);
    for device in devices() {
        let model = network();
        let momentum = AnyOptimizer::Sgd(Sgd::new(0.1).momentum(0.9));
        let run = |parts: &[u32]| {
            let mut trainer = trainer(&device, &model, momentum);
            let steps: Vec<_> = parts.iter().flat_map(|&epochs| fit(&mut trainer, &data, epochs).1).collect();
            let told: Vec<_> = steps.iter().map(|s| (s.step, s.epoch, s.loss.to_bits())).collect();
            (bits(&trainer.parameters()), told)
        };
        assert!(run(&[1, 2]) == run(&[3]), "{}", device.name());
        assert_eq!(run(&[3]).1.last().map(|step| (step.0, step.1)), Some((12, 3)));
    }
}
