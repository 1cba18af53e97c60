//! Groups of parameters have the rates and the decay they were given; a plateau lowers the rate.

use approx::assert_relative_eq;
use lenslet::nn::{Layout, Sequential};
use lenslet::optim::{AdamW, AnyOptimizer, Clip, Clipped, Group, Grouped, Optimizer, Sgd};
use lenslet::train::{Fit, Plateau, Schedule, Trainer, TrainingStep};

use crate::fixture::{CLASSES, SHAPE, bits, dataset, devices, fit, network, trainer};

/// The change of each parameter in one step over the whole set.
fn changes(
    device: &lenslet::Device,
    model: &Sequential,
    optimizer: impl Optimizer + 'static,
) -> Vec<(String, Vec<f32>, Vec<f32>)> {
    let mut trainer = Trainer::new(device.clone(), model, optimizer).unwrap().batch_size(30);
    let before = trainer.parameters();
    fit(&mut trainer, &dataset(30), 1);
    let after = trainer.parameters();
    let change = |range: std::ops::Range<usize>| range.map(|i| after[i] - before[i]).collect();
    let values = |range: std::ops::Range<usize>| before[range].to_vec();
    let layout = trainer.layout();
    layout.parameters().map(|(spec, range)| (spec.name.clone(), values(range.clone()), change(range))).collect()
}

/// Without decay a step of plain descent is rate times gradient, so that of each group follows by hand.
#[test]
fn rates_and_decay_are_those_of_the_group() {
    let model = network();
    let groups = || {
        [
            Group::new("conv1.weight").rate_factor(0.5).weight_decay(0.2),
            Group::new("*.bias").rate_factor(4.0),
            Group::new("conv1.*").rate_factor(1000.0),
        ]
    };
    for device in devices() {
        let plain = changes(&device, &model, Sgd::new(0.01));
        // The third group has nothing left that the first two do not take.
        let error = Trainer::new(device.clone(), &model, Grouped::new(Sgd::new(0.1), groups())).err().unwrap();
        let told = error.to_string();
        assert!(told.contains("conv1.*") && told.contains("conv1.weight, conv1.bias, fc1.weight, fc1.bias"), "{told}");

        let two = groups()[..2].to_vec();
        let grouped = changes(&device, &model, Grouped::new(Sgd::new(0.01).weight_decay(0.1), two));
        for ((name, values, change), (same, _, plain)) in grouped.iter().zip(&plain) {
            assert_eq!(name, same);
            let (factor, decay) = match name.as_str() {
                "conv1.weight" => (0.5, 0.2),
                "fc1.weight" => (1.0, 0.1),
                _ => (4.0, 0.1),
            };
            for ((value, change), plain) in values.iter().zip(change).zip(plain) {
                // p - rate·factor·(g + decay·p)
                let expected = factor * (plain - 0.01 * decay * value);
                assert!((change - expected).abs() < 1e-6, "{name} on {}: {change} {expected}", device.name());
            }
        }
    }
}

#[test]
fn a_group_without_settings_changes_nothing_and_all_are_clipped_together() {
    let model = network();
    for device in devices() {
        let run = |optimizer: Box<dyn Optimizer>| {
            let mut trainer = Trainer::boxed(device.clone(), &model, optimizer).unwrap().batch_size(16);
            fit(&mut trainer, &dataset(40), 2);
            let (layout, flat) = (trainer.layout(), trainer.parameters());
            layout.parameters().map(|(_, range)| bits(&flat[range])).collect::<Vec<_>>()
        };
        let rule = || AdamW::new(0.01).weight_decay(0.1);
        let biases = || [Group::new("*.bias")];
        assert!(run(Box::new(rule())) == run(Box::new(Grouped::new(rule(), biases()))), "{}", device.name());
        for clip in [Clip::Value(0.001), Clip::Norm(0.01)] {
            let alone = run(Box::new(Clipped::new(rule(), clip)));
            assert!(alone == run(Box::new(Clipped::new(Grouped::new(rule(), biases()), clip))), "{clip:?}");
            assert!(alone == run(Box::new(Grouped::new(Clipped::new(rule(), clip), biases()))), "{clip:?}");
        }
        // One length for all groups; the order of its sum is another.
        let descent = || Clipped::new(Sgd::new(0.1), Clip::GlobalNorm(0.01));
        let alone = run(Box::new(descent()));
        let grouped = run(Box::new(Grouped::new(descent(), biases())));
        for (alone, grouped) in alone.concat().into_iter().zip(grouped.concat()) {
            let apart = (f32::from_bits(alone) - f32::from_bits(grouped)).abs();
            assert!(apart < 1e-6, "{} {}", f32::from_bits(alone), f32::from_bits(grouped));
        }
    }
}

#[test]
fn nothing_to_train_and_groups_without_a_place_are_refused() {
    let (model, data) = (network(), dataset(30));
    let grouped = Grouped::new(Sgd::new(0.1), [Group::new("*.bias")]);
    let step = TrainingStep::new(&model, &Layout::of(&model).unwrap(), &grouped, data.spec(), 10, 3);
    assert!(step.unwrap_err().to_string().contains("2 groups of parameters"));
    for device in devices() {
        let all = Grouped::new(Sgd::new(0.1), [Group::new("*").frozen()]);
        let mut trainer = Trainer::new(device, &model, all).unwrap().batch_size(10);
        let told = trainer.fit(&data, 1).unwrap_err().to_string();
        assert!(told.contains("at least one that is not frozen"), "{told}");
    }
}

#[test]
fn a_plateau_lowers_the_rate_of_the_next_epoch() {
    let data = dataset(60);
    let model = Sequential::new(SHAPE).flatten().dense(CLASSES);
    // No epoch is better by all of the best.
    let plateau = Plateau { factor: 0.5, patience: 0, threshold: 1.0, ..Plateau::default() };
    for device in devices() {
        let rule = AnyOptimizer::Sgd(Sgd::new(0.1));
        let mut trainer = trainer(&device, &model, rule).schedule(Schedule::Plateau(plateau));
        let held_out = |epochs| Fit { epochs, validation: 12, ..Fit::default() };
        let (report, steps) = fit(&mut trainer, &data, held_out(3));
        let rates: Vec<f32> = report.epochs.iter().map(|epoch| epoch.learning_rate).collect();
        assert_eq!(rates, [0.1, 0.1, 0.05]);
        assert_eq!(steps.last().unwrap().learning_rate, 0.05);
        let (report, _) = fit(&mut trainer, &data, held_out(1));
        assert_relative_eq!(report.epochs[0].learning_rate, 0.025);
        let told = trainer.fit(&data, 1).unwrap_err().to_string();
        assert!(told.contains("validation") && told.contains("plateau"), "{told}");
    }
}
