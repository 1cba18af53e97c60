//! Classes that weigh more pull more, as PyTorch has it; balanced weights are scikit-learn's.

use approx::assert_relative_eq;
use lenslet::data::Dataset;
use lenslet::nn::Sequential;
use lenslet::optim::Sgd;
use lenslet::train::{ClassWeights, Fit, Trainer};

use crate::fixture::{CLASSES, SHAPE, bits, dataset, devices, fit, network, sgd, trainer};

/// Mean loss over some pictures, each weighted by its class, and the gradient to the biases of a network of one dense
/// layer, in f64.
fn by_hand(data: &Dataset, [bias, kernel]: [&[f32]; 2], weights: &[f32]) -> (f64, Vec<f64>) {
    let (mut loss, mut whole, mut slope) = (0.0, 0.0, vec![0.0; CLASSES]);
    for i in 0..data.len() {
        let logit = |class: usize| {
            let of_class = kernel[class..].iter().step_by(CLASSES);
            let terms = of_class.zip(data.image(i));
            terms.map(|(w, &x)| f64::from(*w) * f64::from(x) / 255.0).sum::<f64>() + f64::from(bias[class])
        };
        let shares: Vec<f64> = (0..CLASSES).map(|class| logit(class).exp()).collect();
        let (sum, label) = (shares.iter().sum::<f64>(), usize::from(data.labels[i]));
        let weight = f64::from(weights[label]);
        loss -= weight * (shares[label] / sum).ln();
        whole += weight;
        for (class, slope) in slope.iter_mut().enumerate() {
            *slope += weight * (shares[class] / sum - f64::from(u8::from(class == label)));
        }
    }
    (loss / whole, slope.into_iter().map(|slope| slope / whole).collect())
}

#[test]
fn loss_and_gradient_are_means_weighted_by_the_labels() {
    let (data, model) = (dataset(13), Sequential::new(SHAPE).flatten().dense(CLASSES));
    let weights = [0.5, 0.0, 3.0, 1.0, 1e-3];
    for device in devices() {
        let mut trainer = trainer(&device, &model, sgd()).batch_size(13).class_weights(weights.to_vec());
        let before = trainer.parameters();
        let ranges = ["fc1.bias", "fc1.weight"].map(|name| {
            trainer.layout().parameters().find(|(spec, _)| spec.name == name).expect("a parameter of the layer").1
        });
        let (loss, slope) = by_hand(&data, ranges.clone().map(|range| &before[range]), &weights);
        let (_, steps) = fit(&mut trainer, &data, 1);
        assert_relative_eq!(f64::from(steps[0].loss), loss, max_relative = 1e-5);
        assert_eq!(steps[0].counted, 13.0, "a picture counts as one whatever its weight");
        let after = trainer.parameters();
        let [bias, _] = ranges;
        for ((before, after), slope) in before[bias.clone()].iter().zip(&after[bias]).zip(slope) {
            assert!((f64::from(before - after) - 0.1 * slope).abs() < 1e-6, "{} {slope}", before - after);
        }
    }
}

#[test]
fn weights_that_are_all_the_same_change_no_more_than_rounding() {
    let (data, model) = (dataset(40), network());
    for device in devices() {
        let train = |weights: Option<ClassWeights>| {
            let mut trainer = trainer(&device, &model, sgd());
            trainer = weights.into_iter().fold(trainer, |trainer, weights| trainer.class_weights(weights));
            fit(&mut trainer, &data, 2);
            trainer.parameters()
        };
        let plain = train(None);
        // Every class has as many pictures.
        for same in [train(Some(ClassWeights::Balanced)), train(Some(vec![3.0; CLASSES].into()))] {
            assert!(plain.iter().zip(same.iter()).all(|(a, b)| (a - b).abs() < 1e-5), "{}", device.name());
        }
        assert_ne!(bits(&plain), bits(&train(Some(vec![1.0, 1.0, 1.0, 1.0, 9.0].into()))));
    }
}

#[test]
fn balanced_weights_are_of_the_pictures_that_are_trained_on() {
    let (mut data, model) = (dataset(60), network());
    data.labels.iter_mut().filter(|label| **label == 4).for_each(|label| *label = 0);
    for device in devices() {
        let held_out = Fit { epochs: 1, validation: 7, ..Fit::default() };
        let train = |weights: ClassWeights| {
            let mut trainer = trainer(&device, &model, sgd()).class_weights(weights);
            let (report, _) = fit(&mut trainer, &data, held_out);
            (trainer.parameters(), report.epochs[0].validation.clone().expect("pictures held out"))
        };
        let (balanced, validation) = train(ClassWeights::Balanced);
        let mut counts = [24.0, 12.0, 12.0, 12.0, 0.0];
        for (count, row) in counts.iter_mut().zip(&validation.confusion) {
            *count -= row.iter().sum::<usize>() as f32;
        }
        let by_count = counts.map(|count| if count == 0.0 { 0.0 } else { 53.0 / (5.0 * count) });
        assert!(balanced.iter().zip(train(by_count.to_vec().into()).0.iter()).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}

#[test]
fn weights_that_do_not_fit_the_classes_are_refused() {
    let (data, model) = (dataset(20), network());
    for device in devices() {
        let told = |weights: Vec<f32>| {
            let trainer = Trainer::new(device.clone(), &model, Sgd::new(0.1)).unwrap().batch_size(10);
            let error = trainer.class_weights(weights).fit(&data, 1).unwrap_err().to_string();
            assert!(error.contains("class weights: expected 5 finite numbers from 0"), "{error}");
            error
        };
        assert!(told(vec![1.0; 4]).contains("found 4 numbers"));
        assert!(told(vec![1.0, 1.0, f32::NAN, 1.0, 1.0]).contains("found NaN"));
        assert!(told(vec![0.0; 5]).contains("found none"));
    }
}
