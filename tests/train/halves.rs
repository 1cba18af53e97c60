//! Training in f16: as in f32, up to the rounding of what is stored.

use lenslet::train::{StepOptions, TrainingStep};
use lenslet::{Device, Precision, ShaderChecks, compile, data, models, nn::Layout, optim::AnyOptimizer, optim::Sgd};

use crate::common;
use crate::fixture::{bits, dataset, devices, fit, network, sgd, trainer};
use crate::pictures;

#[test]
fn halves_learn_as_floats_do_and_evaluation_stays_exact() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    if !gpu.limits().f16 {
        return println!("skipped: no shader-f16");
    }
    let model = models::lenet5();
    let (images, labels) = pictures::pictures(160, [1, 28, 28], 10);
    let data = data::Dataset::new(images, labels, [1, 28, 28], 10).unwrap();
    let device = Device::Gpu(gpu);
    let run = |precision| {
        let mut trainer = trainer(&device, &model, AnyOptimizer::Sgd(Sgd::new(0.02))).precision(precision);
        let losses: Vec<f32> = fit(&mut trainer, &data, 3).1.iter().map(|step| step.loss).collect();
        (losses, trainer.evaluate(&data).unwrap(), trainer.parameters())
    };
    let (wide, narrow, again) = (run(Precision::F32), run(Precision::F16), run(Precision::F16));
    assert!(bits(&narrow.2) == bits(&again.2), "the same seed gives the same bytes");
    assert!(bits(&narrow.2) != bits(&wide.2), "something was rounded");
    // Each step adds the rounding of 11 bits, some of them one after the other, to what it goes on from.
    for (step, (narrow, wide)) in (1..).zip(narrow.0.iter().zip(&wide.0)) {
        let budget = step as f32 * 2.0 / 1024.0 * wide;
        assert!((narrow - wide).abs() < budget, "step {step}: {narrow} in f16, {wide} in f32, budget {budget}");
    }
    assert!((narrow.1.accuracy - wide.1.accuracy).abs() < 0.02, "{:?} {:?}", narrow.1, wide.1);
}

#[test]
fn gradients_that_halves_alone_would_lose_arrive() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted).filter(|gpu| gpu.limits().f16) else { return };
    let (model, data, device) = (network(), dataset(64), Device::Gpu(gpu));
    // A step of one batch from the same weights: the updates are the gradients.
    let run = |precision| {
        let mut trainer = trainer(&device, &model, sgd()).batch_size(64).precision(precision);
        let before = trainer.parameters();
        fit(&mut trainer, &data, 1);
        before.iter().zip(trainer.parameters().iter()).map(|(b, a)| f64::from(b - a)).collect::<Vec<f64>>()
    };
    let (wide, narrow) = (run(Precision::F32), run(Precision::F16));
    let norm = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
    let apart: Vec<f64> = wide.iter().zip(&narrow).map(|(a, b)| a - b).collect();
    assert!(norm(&apart) < 0.005 * norm(&wide), "{} of {}", norm(&apart), norm(&wide));
}

#[test]
fn activations_take_half_the_memory() {
    let data = data::Spec { len: 1000, shape: [1, 28, 28], classes: 10 };
    let limits = lenslet::kernel::Limits { f16: true, ..Default::default() };
    let share = |model: &str| {
        let model = models::by_name(model).unwrap();
        let layout = Layout::of(&model).unwrap();
        let [halves, floats] = [Precision::F16, Precision::F32].map(|precision| {
            let options = StepOptions { precision, ..StepOptions::new(64, 16) };
            let step = TrainingStep::with(&model, &layout, &Sgd::new(0.1), data, options).unwrap();
            compile::compile(&step.graph, &limits).unwrap().memory.lower_bound as f64
        });
        halves / floats
    };
    let without_pools = share("convnet-no-pool");
    assert!((0.5..0.56).contains(&without_pools), "{without_pools}");
    // Where maxima are is integers, which stay as they are.
    let with_pools = share("lenet5");
    assert!((0.5..0.75).contains(&with_pools), "{with_pools}");
}

#[test]
fn devices_without_halves_refuse_them() {
    let (model, data) = (network(), dataset(30));
    let limits = Default::default();
    for device in devices().iter().filter(|device| !matches!(device, Device::Gpu(gpu) if gpu.limits().f16)) {
        let mut trainer = trainer(device, &model, sgd()).precision(Precision::F16);
        let told = trainer.fit(&data, 1).unwrap_err().to_string();
        assert_eq!(trainer.check(&data, 1).unwrap_err().to_string(), told);
        assert!(["precision", "f32 on ", "lenslet devices", "found f16"].iter().all(|p| told.contains(p)), "{told}");
    }
    let options = StepOptions { precision: Precision::F16, ..StepOptions::new(10, 3) };
    let layout = Layout::of(&model).unwrap();
    let step = TrainingStep::with(&model, &layout, &Sgd::new(0.1), data.spec(), options).unwrap();
    assert!(compile::compile(&step.graph, &limits).unwrap_err().to_string().contains("no 16-bit floats"));
}
