//! Every picture counts once, whatever the batches.

use approx::assert_relative_eq;
use lenslet::data::Dataset;
use lenslet::infer::HISTORY_COLUMNS;
use lenslet::infer::{Evaluation, Evaluator};
use lenslet::nn::{Layout, Sequential};
use lenslet::ops::IGNORE;
use lenslet::optim::{AnyOptimizer, Sgd};
use lenslet::train::{Fit, TrainingStep};
use lenslet::{Device, Graph, Session, Tensor, TensorType};

use crate::fixture::{CLASSES, dataset, devices, fit, network, rounding, sgd, trainer};
use crate::pictures;

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
        session.write(step.batches.pictures, data.images.in_memory().unwrap()).unwrap();
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
        let (report, steps) = fit(&mut trainer, &data, Fit { epochs: 2, validation: 13, ..Fit::default() });
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
        session.write(step.batches.pictures, data.images.in_memory().unwrap()).unwrap();
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
