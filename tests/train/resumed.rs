//! Runs that are taken up where they were left: to the same bytes, whatever the step.

use std::fs;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use lenslet::data::Dataset;
use lenslet::nn::Sequential;
use lenslet::optim::{Adam, AnyOptimizer};
use lenslet::runs::{CsvLog, JsonLog};
use lenslet::train::callbacks::{EarlyStopping, TimeLimit};
use lenslet::train::{Checkpoint, Event, Fit, Plateau, Report, Schedule, Trainer};
use lenslet::{Device, Padding};

use crate::fixture::{CLASSES, SHAPE, bits, dataset, devices, network, sgd, trainer};

/// Running averages, dropout, two states of the optimizer: whatever a step may depend on.
fn eventful() -> Sequential {
    let first = Sequential::new(SHAPE).conv2d(4, 3).padding(Padding::Same).batch_norm().relu().max_pool2d(2);
    first.dropout(0.3).flatten().dense(8).trainable(false).relu().dense(CLASSES)
}

fn adam<'m>(device: &Device, model: &'m Sequential) -> Trainer<'m> {
    let plateau = Plateau { patience: 0, factor: 0.5, ..Plateau::default() };
    trainer(device, model, AnyOptimizer::Adam(Adam::new(0.01))).schedule(Schedule::Plateau(plateau))
}

/// Trains to the end, or until told of so many checkpoints; the checkpoints.
fn checkpoints(trainer: &mut Trainer<'_>, data: &Dataset, fit: Fit, most: usize) -> (Report, Vec<Arc<Checkpoint>>) {
    let mut all = vec![];
    let keep = |event| {
        if let Event::Checkpoint(checkpoint) = event {
            all.push(checkpoint);
        }
        if all.len() >= most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let report = trainer.fit_with(data, fit, keep).unwrap();
    (report, all)
}

#[test]
fn from_every_checkpoint_a_run_comes_to_the_same_end() {
    let data = dataset(70);
    let model = eventful();
    // 4 steps an epoch of 58 pictures; the last epoch is cut short.
    let fit = Fit { epochs: 4, validation: 12, steps: Some(14), checkpoint_steps: Some(3), ..Fit::default() };
    for device in devices() {
        let mut whole = adam(&device, &model);
        let (report, all) = checkpoints(&mut whole, &data, fit, usize::MAX);
        let steps: Vec<u64> = all.iter().map(|checkpoint| checkpoint.steps()).collect();
        assert_eq!(steps, [3, 4, 6, 8, 9, 12, 14], "after every third step and every epoch, and at the end");
        let (plain, _) = checkpoints(&mut adam(&device, &model), &data, Fit { checkpoint_steps: None, ..fit }, 99);
        assert_eq!(without_times(&plain), without_times(&report), "checkpoints change nothing");
        for checkpoint in &all {
            let mut rest = adam(&device, &model);
            rest.resume(Checkpoint::clone(checkpoint)).unwrap();
            let mut before = checkpoint.epochs().to_vec();
            let (report_of_rest, _) = checkpoints(&mut rest, &data, fit, usize::MAX);
            let from = format!("{}, from step {}", device.name(), checkpoint.steps());
            assert!(bits(&rest.parameters()) == bits(&whole.parameters()), "{from}");
            before.extend(report_of_rest.epochs.iter().cloned());
            let after = Report { epochs: before, ..report_of_rest };
            // The end of the run is the end of an epoch that was cut short: nothing is left to do.
            let epochs = if checkpoint.steps() == 14 { 3 } else { 4 };
            assert_eq!(without_times(&after), without_times(&report)[..epochs], "{from}");
        }
    }
}

#[test]
fn data_that_is_refused_does_not_end_what_is_resumed() {
    let data = dataset(70);
    let model = network();
    let fit = Fit { epochs: 3, checkpoint_steps: Some(3), ..Fit::default() };
    let mut whole = trainer(&Device::Cpu, &model, sgd());
    let (report, all) = checkpoints(&mut whole, &data, fit, usize::MAX);
    // In the first epoch, which a smaller set has not so many steps of.
    let checkpoint = &all[0];
    let mut rest = trainer(&Device::Cpu, &model, sgd());
    rest.resume(Checkpoint::clone(checkpoint)).unwrap();
    let wider =
        Dataset::new(vec![0; 2 * 70 * data.image(0).len()], data.labels.clone(), [2, SHAPE[1], SHAPE[2]], CLASSES);
    let wider = wider.unwrap();
    let refused = [
        (&dataset(20), fit, "checkpoint: expected a step of an epoch of 2 steps"),
        (&dataset(2), fit, "batch size"),
        (&wider, fit, "[2, "),
        (&data, Fit { validation: 70, ..fit }, "validation"),
    ];
    for (set, fit, part) in refused {
        let message = rest.fit(set, fit).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    let (report_of_rest, _) = checkpoints(&mut rest, &data, fit, usize::MAX);
    assert!(bits(&rest.parameters()) == bits(&whole.parameters()));
    assert_eq!(without_times(&report_of_rest), without_times(&report));
}

/// Losses, accuracies, rates and hashes.
fn without_times(report: &Report) -> Vec<impl PartialEq + std::fmt::Debug + use<>> {
    let values = report.epochs.iter().map(|epoch| {
        let validation = epoch.validation.as_ref().map(|v| (v.loss, v.accuracy));
        (
            epoch.epoch,
            epoch.step,
            epoch.loss,
            epoch.accuracy,
            validation,
            epoch.learning_rate,
            epoch.weights_sha256.clone(),
        )
    });
    values.collect()
}

#[test]
fn a_file_holds_all_of_a_checkpoint() {
    let data = dataset(70);
    let model = eventful();
    let fit = Fit { epochs: 3, validation: 12, checkpoint_steps: Some(3), ..Fit::default() };
    let mut trainer = adam(&Device::Cpu, &model);
    let (_, all) = checkpoints(&mut trainer, &data, fit, 3);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    for checkpoint in &all {
        checkpoint.save(&path, trainer.layout()).unwrap();
        assert_eq!(trainer.read_checkpoint(&path).unwrap(), **checkpoint);
    }
}

#[test]
fn files_that_are_no_whole_checkpoint_of_this_training_are_refused() {
    let data = dataset(32);
    let model = network();
    let mut first = trainer(&Device::Cpu, &model, sgd());
    let (_, all) = checkpoints(&mut first, &data, 1.into(), 1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    all[0].save(&path, first.layout()).unwrap();
    let good = fs::read(&path).unwrap();
    let refused = |trainer: &Trainer<'_>| trainer.read_checkpoint(&path).unwrap_err().to_string();

    for at in [0, 9, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 4;
        fs::write(&path, bad).unwrap();
        let message = refused(&first);
        assert!(message.contains("damaged") || message.contains("no checkpoint"), "byte {at}: {message}");
    }
    fs::write(&path, &good[..good.len() - 4]).unwrap();
    assert!(refused(&first).contains("damaged"));
    lenslet::formats::weights::save(&path, first.layout(), &first.parameters(), &Default::default()).unwrap();
    assert!(refused(&first).contains("expected a checkpoint, found other weights"));

    fs::write(&path, &good).unwrap();
    let message = refused(&trainer(&Device::Cpu, &model, AnyOptimizer::Adam(Adam::new(0.01))));
    assert!(message.contains("conv1.weight: expected F32 [4, 1, 3, 3], found none"), "{message}");
    let other = Sequential::new(SHAPE).conv2d(3, 3).relu().max_pool2d(2).flatten().dense(CLASSES);
    let message = refused(&trainer(&Device::Cpu, &other, sgd()));
    assert!(message.contains("conv1.weight: expected F32 [3, 1, 3, 3], found F32 [4, 1, 3, 3]"), "{message}");
    let message = trainer(&Device::Cpu, &other, sgd()).resume(Checkpoint::clone(&all[0])).unwrap_err().to_string();
    assert!(message.starts_with("checkpoint: expected "), "{message}");
}

#[test]
fn a_trainer_that_was_stopped_begins_the_next_epoch_with_the_next_fit() {
    let data = dataset(64);
    let model = network();
    for device in devices() {
        let mut stopped = trainer(&device, &model, sgd());
        checkpoints(&mut stopped, &data, Fit { checkpoint_steps: Some(2), epochs: 5, ..Fit::default() }, 1);
        let mut cut = trainer(&device, &model, sgd());
        cut.fit(&data, Fit { steps: Some(2), ..Fit::default() }).unwrap();
        stopped.fit(&data, 1).unwrap();
        cut.fit(&data, 1).unwrap();
        assert!(bits(&stopped.parameters()) == bits(&cut.parameters()));
    }
}

#[test]
fn callbacks_stop_a_run_and_write_its_logs() {
    let data = dataset(60);
    let model = network();
    let folder = tempfile::tempdir().unwrap();
    let [csv, json] = ["log.csv", "log.jsonl"].map(|name| folder.path().join(name));
    // Nothing is learnt: the first epoch stays the best.
    let still = AnyOptimizer::Sgd(lenslet::optim::Sgd::new(1e-30));
    let mut run = trainer(&Device::Cpu, &model, still);
    let logs = (CsvLog::create(&csv).unwrap(), JsonLog::create(&json).unwrap());
    let fit = Fit { epochs: 20, validation: 12, ..Fit::default() };
    let report = run.fit_with(&data, fit, (EarlyStopping::after(2), logs)).unwrap();
    assert_eq!((report.stopped, report.epochs.len()), (true, 3));
    let rows = fs::read_to_string(csv).unwrap();
    let rows: Vec<Vec<&str>> = rows.lines().map(|row| row.split(',').collect()).collect();
    assert_eq!((rows.len(), rows[0][0], rows[3][0], rows[3][1]), (4, "epoch", "3", "9"));
    assert_eq!(rows[1][2].parse::<f64>().unwrap(), report.epochs[0].loss);
    let lines = fs::read_to_string(json).unwrap();
    assert_eq!(lines.lines().filter(|line| line.contains(r#""event":"epoch""#)).count(), 3);

    let mut late = trainer(&Device::Cpu, &model, sgd());
    let report = late.fit_with(&data, 1000, TimeLimit::new(Duration::ZERO)).unwrap();
    assert!(report.stopped && report.epochs.len() == 1, "after the first step");
}

#[test]
fn a_run_may_go_on_through_numbers_that_are_not_finite() {
    let data = Dataset::new(vec![255; 2 * 144], vec![0, 1], SHAPE, CLASSES).unwrap();
    let model = Sequential::new(SHAPE).flatten().dense(CLASSES);
    for device in devices() {
        let huge = AnyOptimizer::Sgd(lenslet::optim::Sgd::new(1e38));
        let mut run = trainer(&device, &model, huge).batch_size(2);
        let fit = Fit { epochs: 4, allow_nan: true, ..Fit::default() };
        let (report, all) = checkpoints(&mut run, &data, fit, usize::MAX);
        assert_eq!(report.epochs.len(), 4);
        assert!(!report.epochs[3].loss.is_finite());
        assert!(all.len() < 4, "no checkpoint holds numbers that are not finite");
    }
}

/// The records of an event file, as TensorBoard reads them, which checks the sums.
#[cfg(feature = "tensorboard")]
#[test]
fn event_files_are_records_of_scalars() {
    use lenslet::runs::TensorBoard;

    let folder = tempfile::tempdir().unwrap();
    let model = network();
    let mut run = trainer(&Device::Cpu, &model, sgd());
    let fit = Fit { epochs: 2, validation: 12, ..Fit::default() };
    run.fit_with(&dataset(60), fit, TensorBoard::create(folder.path().join("logs")).unwrap()).unwrap();
    let file = fs::read_dir(folder.path().join("logs")).unwrap().next().unwrap().unwrap();
    assert!(file.file_name().to_string_lossy().starts_with("events.out.tfevents."));
    let mut rest = &fs::read(file.path()).unwrap()[..];
    let mut messages = vec![];
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        messages.push(&rest[12..12 + length]);
        rest = &rest[16 + length..];
    }
    let has = |message: &&[u8], text: &str| message.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(has(&messages[0], "brain.Event:2"));
    assert_eq!(messages.iter().filter(|message| has(message, "learning_rate")).count(), 2);
    assert_eq!(messages.iter().filter(|message| has(message, "validation/accuracy")).count(), 2);
}
