//! Pictures that a network normalises: as if that had been done to them before, on every device.

use lenslet::Device;
use lenslet::data::Normalize;
use lenslet::infer::Classifier;
use lenslet::nn::{Layout, Network, Sequential};

use crate::fixture::{bits, dataset, devices, fit, network, network_from, rounding, sgd, trainer};

#[test]
fn the_layer_is_what_one_would_do_to_the_pictures() {
    let data = dataset(20);
    let pixels: Vec<f32> = data.bytes().unwrap().iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let by_hand: Vec<f32> = pixels.iter().map(|v| (v - 0.3) / 0.2).collect();
    let plain = Network::from(network());
    let whole = plain.clone().normalized([0.3], [0.2]).unwrap();
    let layout = Layout::of(&plain).unwrap();
    assert_eq!(Layout::of(&whole).unwrap(), layout);
    let parameters = layout.initial(3);
    for device in devices() {
        let seen = |model: &Network, pixels: &[f32]| {
            let mut classifier = Classifier::new(&device, model, &layout, &parameters, 20, &[]).unwrap();
            classifier.predict(pixels).unwrap().concat()
        };
        let (layer, hand) = (seen(&whole, &pixels), seen(&plain, &by_hand));
        let worst = layer.iter().zip(&hand).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{}: {worst}", device.name());
        assert_ne!(bits(&layer), bits(&seen(&plain, &pixels)));
    }
}

#[test]
fn devices_learn_alike_from_normalised_pictures() {
    let data = dataset(70);
    let [mean, deviation] = Normalize::Auto.of(&data, 0, 1).unwrap();
    let model = |low: f32| -> Sequential {
        let normalized = Network::from(network_from(low)).normalized(mean.clone(), deviation.clone()).unwrap();
        normalized.try_into().unwrap()
    };
    let unit = rounding(&model(-0.3), sgd(), &data);
    let losses = |device: &Device, low: f32| {
        let model = model(low);
        let steps = fit(&mut trainer(device, &model, sgd()), &data, 2).1;
        steps.iter().map(|step| f64::from(step.loss)).collect::<Vec<_>>()
    };
    let expected = losses(&Device::Cpu, -0.3);
    // How far an error in the weights at the start carries the losses, found by making one; each step adds another.
    let nudged = losses(&Device::Cpu, -0.3 * (1.0 + unit));
    let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let most = expected.iter().copied().fold(0.0, f64::max);
    let allowed = expected.len() as f64 * (apart(&expected, &nudged) + f64::from(unit) * most);
    assert!(allowed < 1e-2, "a budget that says something: {allowed}");
    for device in devices() {
        let found = apart(&expected, &losses(&device, -0.3));
        assert!(found <= allowed, "{}: {found} is more than {allowed}", device.name());
    }
}
