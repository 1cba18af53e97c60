//! A network that answers in the app's order of commands.

use std::time::Duration;

use lenslet::infer::Predictor;
use lenslet::nn::{Layout, Sequential};
use lenslet::{Device, Session, Tensor};

use crate::apps::{bits, lent, network, noise, pictures, trainer};

#[test]
fn it_answers_with_the_parameters_of_a_training_under_way() {
    let Some(gpu) = lent() else { return };
    let model = network();
    let mut training = trainer(&gpu, &model).in_frames(&pictures(), 20).unwrap();
    let layout = training.layout().clone();
    let [followed, told] = [0; 2].map(|_| Predictor::new(&gpu, &model, &layout, 2, &[]).unwrap());
    told.set_parameters(&training.last_snapshot().parameters).unwrap();
    let shown = noise(2 * 144);
    let mut answers = vec![told.predict(&shown).unwrap()];
    for _ in 0..4 {
        let before = training.steps();
        while training.steps() < before + 5 {
            training.train_for(Duration::ZERO).unwrap();
        }
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        training.hand_over(&mut encoder, &followed).unwrap();
        followed.encode(&mut encoder);
        gpu.queue().submit([encoder.finish()]);
        told.set_parameters(&training.snapshot().unwrap().parameters).unwrap();
        let [a, b] = [&followed, &told].map(|predictor| predictor.predict(&shown).unwrap());
        assert_eq!(bits(&a), bits(&b), "running averages and frozen layers too");
        assert!(answers.iter().all(|earlier| *earlier != a));
        answers.push(a);
    }
    let other = Sequential::new([1, 12, 12]).flatten().dense(2);
    let other = Predictor::new(&gpu, &other, &Layout::of(&other).unwrap(), 1, &[]).unwrap();
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let error = training.hand_over(&mut encoder, &other).unwrap_err().to_string();
    assert!(error.starts_with("predictor: expected one of the layout of this training, of "), "{error}");
}

#[test]
fn watched_layers_are_what_the_cpu_computes() {
    let Some(gpu) = lent() else { return };
    let model = network();
    let layout = Layout::of(&model).unwrap();
    let layers = ["conv1", "pool1", "conv2"];
    let predictor = Predictor::new(&gpu, &model, &layout, 2, &layers).unwrap();
    let flat = layout.initial(5);
    predictor.set_parameters(&flat).unwrap();
    let shown = noise(2 * 144);
    let probabilities = predictor.predict(&shown).unwrap();

    let session = predictor.session();
    let mut reference = Session::new(&Device::Cpu, session.graph()).unwrap();
    reference.write(predictor.images(), shown.as_slice()).unwrap();
    reference.write(predictor.parameters(), flat.as_slice()).unwrap();
    reference.run(1);
    let nodes = layers.map(|layer| predictor.activation(layer).unwrap());
    let shapes: Vec<Vec<usize>> = nodes.iter().map(|node| session.graph().shape(*node).to_vec()).collect();
    assert_eq!(shapes, [[2, 5, 12, 12], [2, 5, 6, 6], [2, 6, 4, 4]]);
    for node in nodes.into_iter().chain([predictor.probabilities()]) {
        let (found, expected) = (session.read(node).unwrap(), reference.read(node).unwrap());
        assert!(expected.iter().any(|v| *v != 0.0));
        for (a, b) in found.iter().zip(&expected) {
            assert!((a - b).abs() <= 1e-4 * b.abs().max(1.0), "{a} on the GPU, {b} on the CPU");
        }
    }
    for row in probabilities.chunks(4) {
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
    }
}

#[test]
fn filters_are_ranges_of_the_flat_parameters() {
    let Some(gpu) = lent() else { return };
    let model = network();
    let layout = Layout::of(&model).unwrap();
    let predictor = Predictor::new(&gpu, &model, &layout, 1, &[]).unwrap();
    let (range, shape) = predictor.filters("conv2").unwrap();
    assert_eq!((shape[..].to_vec(), range.len()), (vec![6, 5, 3, 3], 6 * 5 * 9));
    let named = layout.parameters().find(|(spec, _)| spec.name == "conv2.weight").unwrap();
    assert_eq!(range, named.1);
    let error = |result: lenslet::Result<()>| result.unwrap_err().to_string();
    let layer = error(predictor.filters("pool1").map(|_| ()));
    assert_eq!(layer, "layer: expected one with weights: conv1, bn1, conv2, fc1, found pool1");
    assert_eq!(error(predictor.activation("conv1").map(|_| ())), "layer: expected a watched layer: , found conv1");
    let unknown = error(Predictor::new(&gpu, &model, &layout, 1, &["conv9"]).map(|_| ()));
    assert_eq!(unknown, "layer: expected a layer of the network: conv1, bn1, pool1, conv2, flatten1, fc1, found conv9");
    assert_eq!(error(Predictor::new(&gpu, &model, &layout, 0, &[]).map(|_| ())), "batch: expected at least 1, found 0");
    let maps = Sequential::new([1, 12, 12]).conv2d(2, 3);
    let error = error(Predictor::new(&gpu, &maps, &Layout::of(&maps).unwrap(), 1, &[]).map(|_| ()));
    assert!(error.contains("a row of numbers for each image, [batch, classes], found [1, 2, 10, 10]"), "{error}");
    let picture = Tensor::from_fn([1, 1, 12, 12], |i| i as f32);
    assert!(predictor.predict(&picture.data()[1..]).unwrap_err().to_string().contains("found 143 values"));
}
