//! What is counted on the device while a network is evaluated.

use approx::assert_relative_eq;
use lenslet::data::Dataset;
use lenslet::infer::Evaluator;
use lenslet::nn::{Layout, Sequential};
use lenslet::{Graph, Session, TensorType};

use crate::fixture::devices;

/// Of pictures of one pixel.
const CLASSES: usize = 8;

/// A network that gives class `c` the logit `slope[c]·x`.
fn network() -> Sequential {
    Sequential::new([1, 1, 1]).flatten().dense(CLASSES)
}

/// Bytes of the pictures and their labels.
fn dataset() -> Dataset {
    let labels: Vec<u8> = (0..37).map(|i| i % 7 % CLASSES as u8).collect();
    let images = (0..37).map(|i| (i * 11 % 256) as u8).collect();
    Dataset::new(images, labels, [1, 1, 1], CLASSES).unwrap()
}

#[test]
fn top_five_precision_recall_and_f1_are_those_of_the_logits() {
    let (data, model) = (dataset(), network());
    let layout = Layout::of(&model).unwrap();
    let parameters = layout.initial(3);
    // Biases begin at 0.
    let slope = &parameters[..CLASSES];
    let mut confusion = vec![vec![0usize; CLASSES]; CLASSES];
    let mut top5 = 0;
    for i in 0..data.len() {
        let x = f32::from(data.image(i)[0]) / 255.0;
        let logits: Vec<f32> = slope.iter().map(|slope| slope * x).collect();
        let label = usize::from(data.labels[i]);
        let before =
            |of: usize| (0..CLASSES).filter(|&c| logits[c] > logits[of] || (logits[c] == logits[of] && c < of)).count();
        let given = (0..CLASSES).find(|&c| before(c) == 0).unwrap();
        confusion[label][given] += 1;
        top5 += usize::from(before(label) < 5);
    }
    for device in devices() {
        for batch in [1, 5, 100] {
            let mut evaluator = Evaluator::new(&device, &model, &layout, &data, batch).unwrap();
            evaluator.run(&layout.initial(1)).unwrap();
            let found = evaluator.run(&parameters).unwrap();
            assert_eq!(found.confusion, confusion, "{}", device.name());
            assert_relative_eq!(found.top5, top5 as f64 / 37.0);
            assert_eq!(found.undecided, [0; CLASSES]);
            for class in 0..CLASSES {
                let right = confusion[class][class] as f64;
                let of: usize = confusion[class].iter().sum();
                let given: usize = confusion.iter().map(|row| row[class]).sum();
                assert_eq!(found.images(class), of);
                assert_eq!(found.precision(class), (given > 0).then(|| right / given as f64));
                assert_eq!(found.recall(class), (of > 0).then(|| right / of as f64));
                assert_eq!(found.f1(class).is_some(), of + given > 0);
                if let (Some(p), Some(r), Some(f1)) = (found.precision(class), found.recall(class), found.f1(class)) {
                    assert_relative_eq!(f1, if right > 0.0 { 2.0 * p * r / (p + r) } else { 0.0 });
                }
            }
            assert_eq!(found.recall(7), None, "no picture is of the last class");
        }
    }
}

#[test]
fn logits_of_nan_are_no_class_and_wrong() {
    let (data, model) = (dataset(), network());
    let layout = Layout::of(&model).unwrap();
    for broken in [0..CLASSES, 3..4] {
        let mut parameters = layout.initial(1);
        parameters[broken].fill(f32::NAN);
        for device in devices() {
            let found = Evaluator::new(&device, &model, &layout, &data, 10).unwrap().run(&parameters).unwrap();
            assert_eq!((found.accuracy, found.top5), (0.0, 0.0), "{}", device.name());
            assert_eq!(found.confusion.iter().flatten().sum::<usize>(), 0);
            assert_eq!(found.undecided.iter().sum::<usize>(), 37);
            assert_eq!((found.precision(0), found.recall(0)), (None, Some(0.0)));
        }
    }
}

#[test]
fn counts_are_exact_beyond_what_floats_hold() {
    let mut graph = Graph::new();
    let tally = graph.variable("tally", TensorType::u32([2, 4])).unwrap();
    let logits = graph.input("logits", TensorType::f32([3, 2])).unwrap();
    let labels = graph.input("labels", TensorType::u32([3])).unwrap();
    graph.tally(tally, logits, labels).unwrap();
    for device in devices() {
        let mut session = Session::new(&device, &graph).unwrap();
        session.write(tally, [1u32 << 24, 0, 0, (1 << 24) + 1, 0, 7, 0, 0].as_slice()).unwrap();
        session.write(logits, [1.0f32, 0.0, 2.0, 2.0, 0.0, 0.0].as_slice()).unwrap();
        session.write(labels, [0u32, 0, 1].as_slice()).unwrap();
        session.run(1);
        let counts = session.read_f64(tally).unwrap();
        assert_eq!(counts, [16_777_218.0, 0.0, 0.0, 16_777_219.0, 1.0, 7.0, 0.0, 1.0], "{}", device.name());
    }
}
