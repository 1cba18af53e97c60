//! How a run ends: at its last step, by its observer, or because a number is not finite.

use std::ops::ControlFlow;

use lenslet::Error;
use lenslet::data::Dataset;
use lenslet::nn::{Init, Sequential};
use lenslet::optim::{AnyOptimizer, Sgd};
use lenslet::train::{Event, Fit};

use crate::fixture::{CLASSES, SHAPE, bits, dataset, devices, fit, network, sgd, trainer};

#[test]
fn a_run_ends_after_so_many_steps() {
    let data = dataset(50);
    let model = network();
    for device in devices() {
        let mut trainer = trainer(&device, &model, sgd());
        let (report, steps) = fit(&mut trainer, &data, Fit { epochs: 9, steps: Some(6), ..Fit::default() });
        let told: Vec<_> = steps.iter().map(|step| (step.step, step.epoch)).collect();
        assert_eq!(told, [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2)]);
        assert_eq!((report.epochs.len(), report.stopped), (2, false));
    }
}

#[test]
fn an_observer_ends_a_run_and_all_finished_steps_are_kept() {
    let data = dataset(50);
    let model = network();
    for device in devices() {
        let stop_at = |last: u64| {
            let mut trainer = trainer(&device, &model, sgd());
            let mut finished = 0;
            let observe = |event| match event {
                Event::Step(step) => {
                    finished = step.step;
                    if step.step >= last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                }
                Event::Ready { .. } if last == 0 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            };
            let report = trainer.fit_with(&data, 5, observe).unwrap();
            assert!(report.stopped);
            (trainer, finished, report)
        };
        for last in [1, 3, 4, 7] {
            let (stopped, finished, report) = stop_at(last);
            assert!(finished >= last && finished < 20, "stopped at {last}, {finished} finished");
            assert_eq!(report.epochs.len() as u64, finished.div_ceil(4));
            let mut whole = trainer(&device, &model, sgd());
            fit(&mut whole, &data, Fit { epochs: 5, steps: Some(finished), ..Fit::default() });
            assert!(bits(&stopped.parameters()) == bits(&whole.parameters()), "stopped at {last}");
        }
        let (unmoved, finished, report) = stop_at(0);
        assert!(unmoved.is_untrained() && finished == 0 && report.epochs.is_empty());
    }
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_and_keeps_the_last_finished_epoch() {
    // Two pictures all ink that differ in label only: the first update takes the logits past the largest float.
    let data = Dataset::new(vec![255; 2 * 144], vec![0, 1], SHAPE, CLASSES).unwrap();
    let model = Sequential::new(SHAPE).flatten().dense(CLASSES);
    for device in devices() {
        let huge = AnyOptimizer::Sgd(Sgd::new(1e38));
        let mut failing = trainer(&device, &model, huge).batch_size(2);
        match failing.fit(&data, 3) {
            Err(Error::NotFinite { value, step: 2, epoch: 2, first }) => {
                assert!(!value.is_finite());
                assert_eq!(first, "dense of fc1 at step 2");
            }
            other => panic!("{}: {other:?}", device.name()),
        }
        let mut first = trainer(&device, &model, huge).batch_size(2);
        first.fit(&data, 1).unwrap();
        assert!(!failing.is_untrained());
        assert!(bits(&failing.parameters()) == bits(&first.parameters()));
        assert!(first.parameters().iter().all(|v| v.is_finite()));
    }
}

#[test]
fn weights_that_are_not_finite_end_the_run_before_they_are_kept() {
    let data = Dataset::new(vec![255; 144], vec![0], SHAPE, CLASSES).unwrap();
    let model = Sequential::new(SHAPE).flatten().dense(CLASSES).init(Init::Zeros);
    for device in devices() {
        // 3e38 · (1 + 0.9) · 0.8: past the largest float, after a loss of ln 5.
        let huge = AnyOptimizer::Sgd(Sgd::new(3e38).momentum(0.9).nesterov(true));
        let mut trainer = trainer(&device, &model, huge).batch_size(1);
        match trainer.fit(&data, 1) {
            Err(error @ Error::NotFinite { step: 1, epoch: 1, .. }) => {
                let expected = "at step 1 (epoch 1), first in sgd of optimizer at step 1; lower the learning rate";
                assert!(error.to_string().contains(expected), "{error}");
            }
            other => panic!("{}: {other:?}", device.name()),
        }
        assert!(trainer.is_untrained() && trainer.parameters().iter().all(|v| v.is_finite()));
    }
}
