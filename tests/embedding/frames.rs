//! Training in slices that fit a time.

use std::ops::ControlFlow;
use std::time::Duration;

use lenslet::optim::Sgd;
use lenslet::train::{Event, FrameTrainer, Schedule, StepReport};
use lenslet::{Device, Gpu, Trainer, models};

use crate::apps::{bits, lent, network, pictures, trainer};

const EPOCHS: u32 = 3;

/// Losses and counts of whole epochs, and the hash of the weights after them.
fn learnt_at_once(gpu: &Gpu) -> (Vec<[f32; 4]>, String) {
    let model = network();
    let mut trainer = trainer(gpu, &model).schedule(Schedule::Cosine);
    let mut steps = vec![];
    let report = trainer.fit_with(&pictures(), EPOCHS, |event| {
        if let Event::Step(step) = event {
            steps.push(numbers(&step));
        }
        ControlFlow::Continue(())
    });
    (steps, report.unwrap().epochs.pop().unwrap().weights_sha256)
}

fn numbers(step: &StepReport) -> [f32; 4] {
    [step.loss, step.correct, step.counted, step.learning_rate]
}

fn in_frames(gpu: &Gpu) -> FrameTrainer {
    trainer(gpu, &network()).schedule(Schedule::Cosine).in_frames(&pictures(), EPOCHS).unwrap()
}

fn hash(trainer: &mut FrameTrainer) -> String {
    let layout = trainer.layout().clone();
    trainer.snapshot().unwrap().weights_sha256(&layout).unwrap()
}

#[test]
fn slices_of_any_length_learn_what_whole_epochs_learn_to_the_bit() {
    let Some(gpu) = lent() else { return };
    let (steps, weights) = learnt_at_once(&gpu);
    for micros in [0, 200, 3_000, 10_000_000] {
        let mut trainer = in_frames(&gpu);
        let (mut reported, mut frames) = (vec![], 0);
        loop {
            let progress = trainer.train_for(Duration::from_micros(micros)).unwrap();
            assert!(progress.submissions > 0, "every frame advances the training");
            reported.extend(progress.steps.iter().map(numbers));
            frames += 1;
            if progress.is_finished {
                break;
            }
        }
        assert_eq!(reported, steps, "in {frames} frames of {micros} us");
        assert_eq!(hash(&mut trainer), weights, "in {frames} frames of {micros} us");
        assert!(frames > steps.len() || micros > 0, "a frame without time runs a slice, no step: {frames}");
        let after = trainer.train_for(Duration::from_millis(1)).unwrap();
        assert!(after.is_finished && after.submissions == 0 && after.steps.is_empty());
    }
}

#[test]
fn a_step_in_the_apps_encoder_finishes_what_a_slice_began() {
    let Some(gpu) = lent() else { return };
    let (steps, weights) = learnt_at_once(&gpu);
    let mut trainer = in_frames(&gpu);
    let mut reported = vec![];
    while !trainer.is_finished() {
        reported.extend(trainer.train_for(Duration::ZERO).unwrap().steps);
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        // Two at most, as the end of an epoch is reported before the next starts.
        for _ in 0..2 {
            if !trainer.steps().is_multiple_of(7) || reported.len() as u64 == trainer.steps() {
                trainer.encode_step(&mut encoder).unwrap();
            }
        }
        gpu.queue().submit([encoder.finish()]);
        reported.extend(trainer.reports().unwrap());
    }
    assert_eq!(reported.iter().map(numbers).collect::<Vec<_>>(), steps);
    assert_eq!(hash(&mut trainer), weights);

    let mut trainer = in_frames(&gpu);
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    (0..7).for_each(|_| trainer.encode_step(&mut encoder).unwrap());
    let error = trainer.encode_step(&mut encoder).unwrap_err().to_string();
    assert_eq!(
        error,
        "encode_step: expected a call of reports() after the last step of an epoch, which is submitted by then, found \
         none after step 7"
    );
}

#[test]
fn a_snapshot_between_slices_is_the_last_whole_step() {
    let Some(gpu) = lent() else { return };
    let (mut trainer, mut seen) = (in_frames(&gpu), vec![]);
    let begun = trainer.snapshot().unwrap().clone();
    assert_eq!((begun.steps(), begun.clone()), (0, trainer.last_snapshot().clone()));
    while trainer.steps() < 9 {
        trainer.train_for(Duration::ZERO).unwrap();
        let snapshot = trainer.snapshot().unwrap();
        seen.push((snapshot.steps(), bits(&snapshot.parameters)));
    }
    assert!(seen.len() > 2 * 9, "several slices a step");
    seen.dedup();
    let steps: Vec<u64> = seen.iter().map(|(steps, _)| *steps).collect();
    assert_eq!(steps, (0..=9).collect::<Vec<_>>(), "parameters change with whole steps alone");
}

#[test]
fn another_trainer_goes_on_from_what_a_snapshot_holds() {
    let Some(gpu) = lent() else { return };
    let model = network();
    let mut frames = in_frames(&gpu);
    while !frames.train_for(Duration::from_millis(50)).unwrap().is_finished {}
    let parameters = frames.snapshot().unwrap().parameters.clone();
    let mut trainer = trainer(&gpu, &model);
    let before = trainer.evaluate(&pictures()).unwrap().accuracy;
    trainer.set_parameters(parameters).unwrap();
    let after = trainer.evaluate(&pictures()).unwrap().accuracy;
    assert!(after > before && after > 0.9, "{before}, then {after}");
    let error = trainer.set_parameters(vec![0.0; 3]).unwrap_err().to_string();
    assert!(
        error.starts_with("parameters: expected ") && error.ends_with(" values, as the layout has, found 3"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_trained_between_frames_is_refused() {
    let model = models::lenet5();
    let on = |device: Device| Trainer::new(device, &model, Sgd::new(0.1)).unwrap().batch_size(8);
    let error = on(Device::Cpu).in_frames(&pictures(), 1).err().unwrap().to_string();
    assert_eq!(error, "device: expected a GPU, for training between frames, found CPU");
    let Some(gpu) = lent() else { return };
    let error = on((&gpu).into()).in_frames(&pictures(), 1).err().unwrap().to_string();
    assert!(error.contains("[1, 28, 28]") && error.contains("[1, 12, 12]"), "{error}");
    let plateau = on((&gpu).into()).schedule("plateau".parse().unwrap()).in_frames(&pictures(), 1);
    assert!(
        plateau.err().unwrap().to_string().starts_with("schedule: expected one that does not depend on the validation")
    );
}

#[test]
fn a_loss_that_is_no_number_ends_it_by_step() {
    let Some(gpu) = lent() else { return };
    let model = network();
    let wild = Trainer::new(&gpu, &model, Sgd::new(1e30)).unwrap().batch_size(8);
    let mut trainer = wild.in_frames(&pictures(), 5).unwrap();
    let error = loop {
        match trainer.train_for(Duration::from_millis(5)) {
            Ok(progress) => assert!(!progress.is_finished),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("at step ") && error.contains("lower the learning rate"), "{error}");
}
