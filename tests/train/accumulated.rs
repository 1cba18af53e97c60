//! Steps that share an update of the weights are one large step, and can be left and taken up like any others.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use approx::assert_relative_eq;
use lenslet::Device;
use lenslet::data::Dataset;
use lenslet::nn::Sequential;
use lenslet::optim::{Adagrad, Adam, AdamW, Clip, Clipped, Group, Grouped, Optimizer, RmsProp, Sgd};
use lenslet::train::{Checkpoint, Event, Fit, Schedule, Trainer};

use crate::fixture::{CLASSES, SHAPE, bits, dataset, devices, fit, network};

fn optimizers() -> Vec<Box<dyn Optimizer>> {
    let momentum = || Sgd::new(0.1).momentum(0.9);
    vec![
        Box::new(momentum()),
        Box::new(Sgd::new(0.1).momentum(0.5).dampening(0.5)),
        Box::new(RmsProp::new(0.01).momentum(0.5).epsilon(1e-3)),
        Box::new(RmsProp::new(0.01).centered(true).epsilon(1e-2)),
        Box::new(Adam::new(0.01).epsilon(1e-3)),
        Box::new(AdamW::new(0.01).epsilon(1e-3).weight_decay(0.1)),
        Box::new(Adagrad::new(0.01).rate_decay(0.1).epsilon(1e-3)),
        Box::new(Clipped::new(momentum(), Clip::GlobalNorm(0.1))),
        Box::new(Grouped::new(
            momentum(),
            [Group::new("*.bias").rate_factor(3.0), Group::new("conv1.weight").frozen()],
        )),
    ]
}

#[test]
fn steps_that_share_an_update_are_one_step_of_all_their_pictures() {
    // The last of 13 batches holds 2 pictures and has an update of its own.
    let (data, model) = (dataset(50), network());
    for device in devices() {
        for number in 0..optimizers().len() {
            for weights in [None, Some(vec![2.0, 0.0, 1.0, 0.5, 5.0])] {
                let train = |batch, accumulate| {
                    let rule = optimizers().swap_remove(number);
                    let mut trainer = Trainer::boxed(device.clone(), &model, rule).unwrap();
                    trainer = trainer.batch_size(batch).accumulate(accumulate);
                    trainer = weights.iter().fold(trainer, |trainer, weights| trainer.class_weights(weights.clone()));
                    let (report, steps) = fit(&mut trainer, &data, 3);
                    (trainer.parameters(), report.epochs[2].accuracy, steps.len())
                };
                let (small, accuracy, steps) = train(4, 3);
                let (large, same, updates) = train(12, 1);
                let about = format!("{:?} on {}", optimizers()[number], device.name());
                assert_eq!((steps, updates), (39, 15));
                assert_relative_eq!(accuracy, same);
                for (small, large) in small.iter().zip(large.iter()) {
                    assert!((small - large).abs() < 1e-4, "{about}: {small} {large}");
                }
            }
        }
    }
}

#[test]
fn weights_change_with_the_last_step_of_a_group_at_the_rate_of_the_first() {
    let (data, model) = (dataset(64), network());
    for device in devices() {
        let run = |steps| {
            let trainer = Trainer::new(device.clone(), &model, Adam::new(0.01)).unwrap().batch_size(8);
            let mut trainer = trainer.accumulate(3).schedule(Schedule::Exponential { factor: 0.5 });
            let (_, steps) = fit(&mut trainer, &data, Fit { epochs: 2, steps: Some(steps), ..Fit::default() });
            (bits(&trainer.parameters()), steps.iter().map(|step| step.learning_rate).collect::<Vec<_>>())
        };
        let (last, rates) = run(11);
        let of_group = |first: i32| 0.01 * 0.5f32.powi(first);
        let expected = [0, 0, 0, 3, 3, 3, 6, 6, 8, 8, 8].map(of_group);
        assert!(rates.iter().zip(expected).all(|(rate, expected)| (rate - expected).abs() < 1e-9), "{rates:?}");
        let initial = bits(&Trainer::new(device.clone(), &model, Sgd::new(0.1)).unwrap().parameters());
        let [one, two, three, five, six, eight, ten] = [1, 2, 3, 5, 6, 8, 10].map(|steps| run(steps).0);
        assert!(one == initial && two == initial && three != initial && five == three, "{}", device.name());
        assert!(six != five && eight != six && ten == eight && last != ten, "{}", device.name());
    }
}

/// Dropout and running averages change in every step.
fn eventful() -> Sequential {
    Sequential::new(SHAPE).conv2d(4, 3).batch_norm().relu().max_pool2d(2).dropout(0.3).flatten().dense(CLASSES)
}

fn adam<'m>(device: &Device, model: &'m Sequential) -> Trainer<'m> {
    let trainer = Trainer::new(device.clone(), model, Adam::new(0.01)).unwrap().batch_size(8).accumulate(3);
    trainer.schedule(Schedule::Cosine).class_weights(vec![1.0, 2.0, 3.0, 4.0, 5.0])
}

fn checkpoints(trainer: &mut Trainer<'_>, data: &Dataset, fit: Fit) -> Vec<Arc<Checkpoint>> {
    let mut all = vec![];
    let keep = |event| {
        if let Event::Checkpoint(checkpoint) = event {
            all.push(checkpoint);
        }
        ControlFlow::Continue(())
    };
    trainer.fit_with(data, fit, keep).unwrap();
    all
}

#[test]
fn a_run_is_taken_up_inside_a_group_to_the_same_bytes() {
    let (data, model) = (dataset(60), eventful());
    // 7 steps an epoch of 52 pictures: groups of 3, 3 and 1.
    let fit = Fit { epochs: 3, validation: 8, steps: Some(18), checkpoint_steps: Some(1), ..Fit::default() };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    for device in devices() {
        let mut whole = adam(&device, &model);
        let all = checkpoints(&mut whole, &data, fit);
        assert_eq!(all.len(), 18);
        for checkpoint in all {
            let mut rest = adam(&device, &model);
            checkpoint.save(&path, rest.layout()).unwrap();
            let read = rest.read_checkpoint(&path).unwrap();
            assert_eq!(read, *checkpoint);
            rest.resume(read).unwrap();
            checkpoints(&mut rest, &data, fit);
            let from = format!("{}, from step {}", device.name(), checkpoint.steps());
            assert!(bits(&rest.parameters()) == bits(&whole.parameters()), "{from}");
        }
        let plain = Trainer::new(device, &model, Adam::new(0.01)).unwrap();
        let refused = plain.read_checkpoint(&path).unwrap_err().to_string();
        assert!(refused.contains("holds optimizer.accumulated."), "{refused}");
    }
}

#[test]
fn training_between_frames_shares_updates_too() {
    let (data, model) = (dataset(60), eventful());
    for device in devices().into_iter().filter(|device| matches!(device, Device::Gpu(_))) {
        let mut whole = adam(&device, &model);
        let (_, steps) = fit(&mut whole, &data, 2);
        let mut frames = adam(&device, &model).in_frames(&data, 2).unwrap();
        let mut told = vec![];
        while !frames.is_finished() {
            told.extend(frames.train_for(Duration::from_millis(2)).unwrap().steps);
        }
        told.extend(frames.reports().unwrap());
        let rates = |steps: &[lenslet::train::StepReport]| steps.iter().map(|s| s.learning_rate).collect::<Vec<_>>();
        assert_eq!(rates(&told), rates(&steps));
        assert!(bits(&frames.snapshot().unwrap().parameters) == bits(&whole.parameters()));
    }
}

#[test]
fn no_step_an_update_is_refused() {
    let (data, model) = (dataset(20), network());
    for device in devices() {
        let mut trainer = Trainer::new(device, &model, Sgd::new(0.1)).unwrap().batch_size(10).accumulate(0);
        let told = trainer.fit(&data, 1).unwrap_err().to_string();
        assert!(told.contains("accumulate: expected 1 to 4294967295 micro-batches per update, found 0"), "{told}");
    }
}
