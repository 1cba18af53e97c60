//! Training: the CPU and the GPU learn alike, the same seed gives the same bytes, every picture counts once, and a run
//! that fails or is stopped keeps what was finished.

mod common;
#[path = "common/pictures.rs"]
mod pictures;

use std::ops::ControlFlow;

use approx::assert_relative_eq;
use lenslet::data::Dataset;
use lenslet::nn::{Init, Layout, Model, Sequential};
use lenslet::ops::IGNORE;
use lenslet::optim::{AnyOptimizer, RmsProp, Sgd};
use lenslet::train::{
    Config, Evaluation, Evaluator, Event, Fit, HISTORY_COLUMNS, Report, RunFolder, Schedule, StepReport, Trainer,
    TrainingStep,
};
use lenslet::{Device, Error, Gpu, Graph, Session, ShaderChecks, Tensor, TensorType, wgpu};

const SHAPE: [usize; 3] = [1, 12, 12];
const CLASSES: usize = 5;

fn dataset(count: usize) -> Dataset {
    let (images, labels) = pictures::pictures(count, SHAPE, CLASSES);
    Dataset::new(images, labels, SHAPE, CLASSES).unwrap()
}

/// Convolution, pooling and a dense layer; weights from `low` to 0.3.
fn network_from(low: f32) -> Sequential {
    let init = Init::Uniform { low, high: 0.3 };
    Sequential::new(SHAPE).conv2d(4, 3).init(init).relu().max_pool2d(2).flatten().dense(CLASSES).init(init)
}

fn network() -> Sequential {
    network_from(-0.3)
}

fn sgd() -> AnyOptimizer {
    AnyOptimizer::Sgd(Sgd::new(0.1))
}

/// The CPU, and the GPU if there is one.
fn devices() -> Vec<Device> {
    let gpu = common::gpu(ShaderChecks::Trusted).map(Device::Gpu);
    [Device::Cpu].into_iter().chain(gpu).collect()
}

fn trainer<'m>(device: &Device, model: &'m dyn Model, optimizer: AnyOptimizer) -> Trainer<'m> {
    Trainer::boxed(device, model, optimizer.boxed()).unwrap().batch_size(16)
}

/// Trains, and keeps what was told of each step.
fn fit(trainer: &mut Trainer<'_>, data: &Dataset, fit: impl Into<Fit>) -> (Report, Vec<StepReport>) {
    let mut steps = vec![];
    let keep = |event| {
        if let Event::Step(step) = event {
            steps.push(step);
        }
        ControlFlow::Continue(())
    };
    let report = trainer.fit_with(data, fit, keep).unwrap();
    (report, steps)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

// ---- learning -----------------------------------------------------------------------------------------------------

/// The relative error that one step may add: 4 ε √L, L the longest sum in it.
fn rounding(model: &Sequential, optimizer: AnyOptimizer, data: &Dataset) -> f32 {
    let layout = Layout::of(model).unwrap();
    let step = TrainingStep::new(model, &layout, optimizer.boxed().as_ref(), data.spec(), 16, 1).unwrap();
    let longest = step.graph.ids().map(|id| step.graph.traits(id).reduction).max().unwrap();
    4.0 * f32::EPSILON * (longest as f32).sqrt()
}

#[test]
fn cpu_and_gpu_learn_alike() {
    let data = dataset(80);
    let nesterov = Sgd::new(0.05).momentum(0.8).nesterov(true).weight_decay(0.01);
    let rmsprop = RmsProp::new(0.003).momentum(0.5);
    for optimizer in [sgd(), AnyOptimizer::Sgd(nesterov), AnyOptimizer::RmsProp(rmsprop)] {
        let unit = rounding(&network(), optimizer, &data);
        let run = |device: &Device, model: &Sequential| fit(&mut trainer(device, model, optimizer), &data, 5);
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
                    "{optimizer:?}, {checks:?}, step {step}: GPU {found}, CPU {expected}, {apart:e} apart, \
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

// ---- what counts --------------------------------------------------------------------------------------------------

/// Mean loss and accuracy, picture by picture, from the logits of the f64 reference.
fn by_hand(model: &Sequential, parameters: &[f32], data: &Dataset) -> (f64, f64) {
    let layout = Layout::of(model).unwrap();
    let [c, h, w] = data.shape;
    let mut graph = Graph::new();
    let flat = graph.variable("parameters", layout.ty()).unwrap();
    let x = graph.input("x", TensorType::f32([1, c, h, w])).unwrap();
    let logits = layout.forward(model, &mut graph, flat, x).unwrap();
    graph.output(logits);
    let mut session = Session::new(&Device::Cpu, &graph).unwrap();
    session.write(flat, parameters).unwrap();
    let (mut loss, mut correct) = (0.0, 0.0);
    for i in 0..data.len() {
        let picture: Vec<f32> = data.image(i).iter().map(|&byte| f32::from(byte) / 255.0).collect();
        session.write(x, picture.as_slice()).unwrap();
        session.run(1);
        let logits = session.read(logits).unwrap();
        let right = f64::from(logits[usize::from(data.labels[i])]);
        loss += logits.iter().map(|&v| (f64::from(v) - right).exp()).sum::<f64>().ln();
        correct += if logits.iter().all(|&v| f64::from(v) <= right) { 1.0 } else { 0.0 };
    }
    let count = data.len() as f64;
    (loss / count, correct / count)
}

#[test]
fn a_last_partial_batch_counts_for_what_it_holds() {
    let data = dataset(30);
    let model = network();
    for device in devices() {
        // So small a rate that the weights stay as they are.
        let still = AnyOptimizer::Sgd(Sgd::new(1e-30));
        let mut trainer = trainer(&device, &model, still).batch_size(7);
        let initial = trainer.parameters();
        let (report, steps) = fit(&mut trainer, &data, 1);
        assert!(trainer.parameters().iter().zip(&initial).all(|(after, before)| (after - before).abs() < 1e-28));
        let counted: Vec<f32> = steps.iter().map(|step| step.counted).collect();
        assert_eq!(counted, [7.0, 7.0, 7.0, 7.0, 2.0]);

        let (loss, accuracy) = by_hand(&model, &initial, &data);
        let epoch = &report.epochs[0];
        let weighted: f64 = steps.iter().map(|step| f64::from(step.loss) * f64::from(step.counted)).sum();
        assert_relative_eq!(epoch.loss, weighted / 30.0, max_relative = 1e-12);
        // The mean of a mean: every sum is short.
        assert_relative_eq!(epoch.loss, loss, max_relative = 1e-5);
        assert_relative_eq!(epoch.accuracy, accuracy, max_relative = 1e-12);
        let evaluation = trainer.evaluate(&data).unwrap();
        assert_relative_eq!(evaluation.loss, loss, max_relative = 1e-5);
        assert_relative_eq!(evaluation.accuracy, accuracy, max_relative = 1e-12);
    }
}

#[test]
fn rows_that_count_for_nothing_leave_no_trace_in_the_gradient() {
    let data = dataset(30);
    let model = network();
    let layout = Layout::of(&model).unwrap();
    let stepped = |device: &Device, order: &[u32]| {
        let step = TrainingStep::new(&model, &layout, &Sgd::new(0.1), data.spec(), order.len(), 1).unwrap();
        let mut session = Session::new(device, &step.graph).unwrap();
        session.write(step.batches.pictures, data.images.as_slice()).unwrap();
        session.write(step.batches.labels, data.labels.as_slice()).unwrap();
        session.write(step.batches.order, order).unwrap();
        session.write(step.batches.step, [0u32].as_slice()).unwrap();
        session.write(step.rates, [0.1f32].as_slice()).unwrap();
        session.write(step.parameters, layout.initial(1).as_slice()).unwrap();
        session.write(step.states[0], vec![0.0f32; layout.total()].as_slice()).unwrap();
        session.run(1);
        session.read(step.parameters).unwrap()
    };
    let budget = rounding(&model, sgd(), &data);
    for device in devices() {
        let (full, padded) = (stepped(&device, &[3, 11]), stepped(&device, &[3, 11, IGNORE, IGNORE, IGNORE]));
        for (full, padded) in full.iter().zip(&padded) {
            assert!((full - padded).abs() <= budget, "{full} {padded}");
        }
        assert!(full != layout.initial(1));
    }
}

#[test]
fn validation_pictures_are_held_out() {
    let data = dataset(50);
    let model = network();
    for device in devices() {
        let mut trainer = trainer(&device, &model, sgd());
        let (report, steps) = fit(&mut trainer, &data, Fit { epochs: 2, validation: 13, steps: None });
        assert_eq!(steps.len(), 6, "37 pictures in batches of 16, twice");
        assert_eq!(steps[..3].iter().map(|step| step.counted).sum::<f32>(), 37.0);
        for epoch in &report.epochs {
            let Evaluation { confusion, loss, .. } = epoch.validation.as_ref().unwrap();
            assert_eq!(confusion.iter().flatten().sum::<usize>(), 13);
            assert!(loss.is_finite());
        }
    }
}

#[test]
fn confusion_counts_every_picture_in_its_row_whatever_the_batch() {
    let data = dataset(31);
    let model = network();
    let layout = Layout::of(&model).unwrap();
    let parameters = layout.initial(1);
    for device in devices() {
        let evaluate =
            |batch| Evaluator::new(&device, &model, &layout, &data, batch).unwrap().run(&parameters).unwrap();
        let whole = evaluate(1000);
        for result in [evaluate(1), evaluate(8), evaluate(31)] {
            assert_eq!((&result.confusion, result.accuracy), (&whole.confusion, whole.accuracy));
            assert_relative_eq!(result.loss, whole.loss, max_relative = 1e-5);
        }
        let rows: Vec<usize> = whole.confusion.iter().map(|row| row.iter().sum()).collect();
        assert_eq!(rows, [7, 6, 6, 6, 6]);
        let right: usize = (0..CLASSES).map(|class| whole.confusion[class][class]).sum();
        assert_relative_eq!(whole.accuracy, right as f64 / 31.0, max_relative = 1e-12);
    }
}

#[test]
fn steps_past_the_end_of_the_order_are_not_recorded() {
    let data = dataset(10);
    let model = network();
    let layout = Layout::of(&model).unwrap();
    for device in devices() {
        let step = TrainingStep::new(&model, &layout, &Sgd::new(0.1), data.spec(), 5, 2).unwrap();
        let mut session = Session::new(&device, &step.graph).unwrap();
        session.write(step.batches.pictures, data.images.as_slice()).unwrap();
        session.write(step.batches.labels, data.labels.as_slice()).unwrap();
        session.write(step.batches.order, (0..10).collect::<Vec<u32>>().as_slice()).unwrap();
        session.write(step.rates, [0.1f32; 2].as_slice()).unwrap();
        session.write(step.parameters, layout.initial(1).as_slice()).unwrap();
        session.run(2);
        let history = session.read(step.batches.history).unwrap();
        assert_eq!(history.chunks(HISTORY_COLUMNS).map(|row| row[2]).collect::<Vec<_>>(), [5.0, 5.0]);
        let parameters = session.read(step.parameters).unwrap();
        session.run(3);
        assert_eq!(session.read(step.batches.history).unwrap(), history);
        // Nobody counts, so nothing pulls.
        assert!(session.read(step.parameters).unwrap() == parameters, "{}", device.name());
    }
}

#[test]
fn pictures_whose_rows_do_not_fill_words_are_gathered_right() {
    // 105 bytes a picture, 1,155 in all: neither is a multiple of 4.
    let (shape, count) = ([3, 5, 7], 11);
    let (images, labels) = pictures::pictures(count, shape, CLASSES);
    let order = [10u32, 0, 3, 1, IGNORE, 9, count as u32, 2, 7, 5, 4, 6];
    let mut graph = Graph::new();
    let set = graph.input("pictures", TensorType::u8([count, 3, 5, 7])).unwrap();
    let classes = graph.input("labels", TensorType::u8([count])).unwrap();
    let order_of = graph.input("order", TensorType::u32([order.len()])).unwrap();
    let step = graph.variable("step", TensorType::u32([1])).unwrap();
    let batch = graph.gather_images(set, order_of, step, 4).unwrap();
    // Logits that differ tell labels by their loss.
    let logits = graph.constant("logits", Tensor::from_fn([1, CLASSES], |class| class as f32)).unwrap();
    let label = graph.gather_labels(classes, order_of, step, 1).unwrap();
    let loss = graph.softmax_cross_entropy(logits, label).unwrap();
    let counts = graph.count_correct(logits, label).unwrap();
    [batch, loss, counts].iter().for_each(|&node| graph.output(node));
    let all = (0..CLASSES).map(|class| (class as f32).exp()).sum::<f32>().ln();

    for device in devices() {
        let mut session = Session::new(&device, &graph).unwrap();
        session.write(set, images.as_slice()).unwrap();
        session.write(classes, labels.as_slice()).unwrap();
        session.write(order_of, order.as_slice()).unwrap();
        for number in (0..14).chain([1 << 30, u32::MAX]) {
            session.write(step, [number].as_slice()).unwrap();
            session.run(1);
            let found = session.read(batch).unwrap();
            for (row, found) in found.chunks(105).enumerate() {
                let at = usize::try_from(number).unwrap().saturating_mul(4).saturating_add(row);
                let index = order.get(at).map_or(IGNORE, |&index| index) as usize;
                let zeros = [0; 105];
                let expected = if index < count { &images[index * 105..][..105] } else { &zeros };
                for (found, &expected) in found.iter().zip(expected) {
                    let apart = (found - f32::from(expected) / 255.0).abs();
                    assert!(apart <= f32::EPSILON, "{}, step {number}, row {row}", device.name());
                }
            }
            let index = order.get(number as usize).map_or(IGNORE, |&index| index) as usize;
            let (found, counted) = (session.read(loss).unwrap()[0], session.read(counts).unwrap()[1]);
            let expected = labels.get(index).map(|&label| all - f32::from(label));
            assert_eq!(counted, if expected.is_some() { 1.0 } else { 0.0 }, "{}, step {number}", device.name());
            assert_relative_eq!(found, expected.unwrap_or(0.0), epsilon = 1e-5);
        }
    }
}

// ---- ends ---------------------------------------------------------------------------------------------------------

#[test]
fn a_run_ends_after_so_many_steps() {
    let data = dataset(50);
    let model = network();
    for device in devices() {
        let mut trainer = trainer(&device, &model, sgd());
        let (report, steps) = fit(&mut trainer, &data, Fit { epochs: 9, validation: 0, steps: Some(6) });
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
            fit(&mut whole, &data, Fit { epochs: 5, validation: 0, steps: Some(finished) });
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
            Err(Error::NotFinite { value, step: 2, epoch: 2 }) => assert!(!value.is_finite()),
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
                assert!(error.to_string().contains("learning rate"), "{error}");
            }
            other => panic!("{}: {other:?}", device.name()),
        }
        assert!(trainer.is_untrained() && trainer.parameters().iter().all(|v| v.is_finite()));
    }
}

// ---- what cannot be trained ---------------------------------------------------------------------------------------

#[test]
fn jobs_that_make_no_sense_are_refused_before_they_run() {
    let data = dataset(30);
    let model = network();
    let larger = Sequential::new([1, 14, 14]).flatten().dense(CLASSES);
    let more = Sequential::new(SHAPE).flatten().dense(CLASSES + 1);
    let whole = Fit::from(1);
    let held_out = |validation| Fit { validation, ..whole };
    for device in devices() {
        for (model, batch, fit, parts) in [
            (&model, 0, whole, ["batch size", "1 to 30", "found 0"]),
            (&model, 31, whole, ["batch size", "1 to 30", "found 31"]),
            (&model, 16, held_out(20), ["batch size", "1 to 10", "found 16"]),
            (&model, 1, held_out(30), ["validation", "below the 30", "found 30"]),
            (&larger, 5, whole, ["data set", "[1, 14, 14]", "[1, 12, 12]"]),
            (&more, 5, whole, ["output", "5 classes", "[5, 6]"]),
        ] {
            let mut trainer = trainer(&device, model, sgd()).batch_size(batch);
            let check = trainer.check(&data, fit).unwrap_err().to_string();
            let told = trainer.fit(&data, fit).unwrap_err().to_string();
            assert_eq!(check, told);
            assert!(parts.iter().all(|part| told.contains(part)), "{told:?} lacks one of {parts:?}");
            assert!(trainer.is_untrained());
        }
        let trainer = trainer(&device, &larger, sgd());
        assert!(trainer.evaluate(&data).unwrap_err().to_string().contains("[1, 14, 14]"));
    }
    let refused = |optimizer: AnyOptimizer| match Trainer::boxed(Device::Cpu, &model, optimizer.boxed()) {
        Ok(_) => panic!("{optimizer:?} is taken"),
        Err(error) => error.to_string(),
    };
    for rate in [f32::NAN, f32::INFINITY, 0.0, -0.1] {
        assert!(refused(AnyOptimizer::Sgd(Sgd::new(rate))).contains("learning rate"));
        assert!(refused(AnyOptimizer::RmsProp(RmsProp::new(rate))).contains("learning rate"));
    }
    assert!(refused(AnyOptimizer::Sgd(Sgd::new(0.1).momentum(f32::NAN))).contains("momentum"));
    assert!(refused(AnyOptimizer::Sgd(Sgd::new(0.1).weight_decay(-1.0))).contains("weight decay"));
}

#[test]
fn a_batch_too_large_for_the_device_is_refused_before_anything_is_made() {
    if common::gpu(ShaderChecks::Trusted).is_none() {
        return;
    }
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default())).unwrap();
    let required_limits = wgpu::Limits { max_storage_buffer_binding_size: 1 << 16, ..wgpu::Limits::default() };
    let descriptor = wgpu::DeviceDescriptor { required_limits, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    let device = Device::Gpu(Gpu::from_wgpu(device, queue));

    let (model, data) = (network(), dataset(80));
    // Four maps of 10x10 floats: 25,600 bytes for 16 pictures, 102,400 for 64.
    trainer(&device, &model, sgd()).check(&data, 1).unwrap();
    let mut large = trainer(&device, &model, sgd()).batch_size(64);
    for error in [large.check(&data, 1).unwrap_err(), large.fit(&data, 1).unwrap_err()] {
        let told = error.to_string();
        for part in ["conv2d \"conv1\"", "maxStorageBufferBindingSize of 102400", "has 65536", "smaller batch"] {
            assert!(told.contains(part), "{told:?} lacks {part:?}");
        }
    }
}

#[test]
fn windows_that_do_not_fit_are_refused_with_their_layer() {
    let image = || Sequential::new(SHAPE);
    for (model, parts) in [
        (image().conv2d(4, 15).padding(1), ["conv2d \"conv1\"", "15 rows", "1 + 1"]),
        (image().conv2d(4, 3).stride(0), ["conv2d \"conv1\"", "stride", "0x0"]),
        (image().max_pool2d(2).max_pool2d(7), ["max_pool2d \"pool2\"", "7 rows", "6 rows"]),
        (image().avg_pool2d(2).stride([1, 0]), ["avg_pool2d \"pool1\"", "stride", "1x0"]),
    ] {
        let error = Trainer::new(Device::Cpu, &model, Sgd::new(0.1)).err().unwrap();
        assert!(matches!(error, Error::Shape { .. }));
        let told = error.to_string();
        assert!(parts.iter().all(|part| told.contains(part)), "{told:?} lacks one of {parts:?}");
    }
}

// ---- what is kept -------------------------------------------------------------------------------------------------

#[test]
fn a_run_that_was_saved_evaluates_as_before() {
    let data = dataset(40);
    let model = network();
    for device in devices() {
        let mut trainer = trainer(&device, &model, sgd());
        fit(&mut trainer, &data, 2);
        let config = Config {
            model: "network".into(),
            data: "pictures".into(),
            epochs: 2,
            steps: None,
            batch_size: 16,
            validation: 0,
            seed: 1,
            schedule: Schedule::Constant,
            optimizer: sgd(),
            clip: None,
            device: device.describe(),
        };
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        let folder = RunFolder::create(&path, &config).unwrap();
        folder.save_weights(trainer.layout(), &trainer.parameters(), &config).unwrap();

        assert_eq!(RunFolder::read_config(&path).unwrap(), config);
        let layout = Layout::of(&model).unwrap();
        let parameters = RunFolder::read_weights(&path, &layout).unwrap();
        assert!(bits(&parameters) == bits(&trainer.parameters()));
        let mut evaluator = Evaluator::new(&device, &model, &layout, &data, 16).unwrap();
        assert_eq!(evaluator.run(&parameters).unwrap(), trainer.evaluate(&data).unwrap());
        assert!(RunFolder::create(&path, &config).err().unwrap().to_string().contains("new or empty folder"));
    }
}
