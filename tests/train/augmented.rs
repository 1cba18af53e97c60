//! Pictures that are varied: what is drawn covers its range and no more, the same on all devices, and training goes on as
//! it does without.

use std::collections::BTreeSet;

use lenslet::data::{Augment, Dataset, Fill, Flip};
use lenslet::infer::augmented;
use lenslet::kernel::Limits;
use lenslet::nn::Layout;
use lenslet::optim::Sgd;
use lenslet::train::{StepOptions, TrainingStep};
use lenslet::{Device, Graph, Precision, Tensor, TensorType, compile};

use crate::fixture::{bits, dataset, devices, fit, network, sgd, trainer};

const SEED: u64 = 5;

/// One grey picture of `[1, h, w]`.
fn picture([h, w]: [usize; 2], pixel: impl Fn(usize, usize) -> u8) -> Dataset {
    let images = (0..h * w).map(|i| pixel(i % w, i / w)).collect();
    Dataset::new(images, vec![0], [1, h, w], 1).unwrap()
}

/// Many variations of that picture, one a row and step: `rows` in a batch.
fn variations(device: &Device, data: &Dataset, augment: Augment, rows: usize, times: usize) -> Vec<Vec<u8>> {
    let varied = augmented(device, data, augment, &vec![0; rows], times, SEED).unwrap();
    (0..varied.len()).map(|i| varied.image(i).to_vec()).collect()
}

/// A spot whose brightness falls off around (x, y), in pixels from the centre.
fn spot([h, w]: [usize; 2], [x, y]: [f64; 2], spread: f64) -> Dataset {
    picture([h, w], |column, row| {
        let [dx, dy] = [column as f64 - (w - 1) as f64 / 2.0 - x, row as f64 - (h - 1) as f64 / 2.0 - y];
        (255.0 * (-(dx * dx + dy * dy) / (2.0 * spread * spread)).exp()) as u8
    })
}

/// The centre of its brightness, in pixels from the picture's centre, and the variance around it along x and y.
fn moments(image: &[u8], [h, w]: [usize; 2]) -> [[f64; 2]; 2] {
    let sum = |f: &dyn Fn(f64, f64) -> f64| {
        let at = |i: usize| [(i % w) as f64 - (w - 1) as f64 / 2.0, (i / w) as f64 - (h - 1) as f64 / 2.0];
        image.iter().enumerate().map(|(i, &v)| f64::from(v) * f(at(i)[0], at(i)[1])).sum::<f64>()
    };
    let mass = sum(&|_, _| 1.0);
    let [x, y] = [sum(&|x, _| x) / mass, sum(&|_, y| y) / mass];
    [[x, y], [sum(&|u, _| (u - x) * (u - x)) / mass, sum(&|_, v| (v - y) * (v - y)) / mass]]
}

fn range(values: impl IntoIterator<Item = f64>) -> [f64; 2] {
    values.into_iter().fold([f64::MAX, f64::MIN], |[low, high], v| [low.min(v), high.max(v)])
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn nothing_is_the_picture_itself_to_the_bit() {
    let values = Tensor::from_fn([2, 3, 5, 7], |i| (i as f32).sin() * 1e3);
    for device in devices() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([2, 3, 5, 7])).unwrap();
        let step = graph.input("step", TensorType::u32([1])).unwrap();
        let y = graph.augment(x, step, Augment::default(), SEED).unwrap();
        graph.output(y);
        let mut session = lenslet::Session::new(&device, &graph).unwrap();
        session.write(x, values.data()).unwrap();
        session.write(step, [3u32].as_slice()).unwrap();
        session.run(1);
        assert!(bits(&session.read(y).unwrap()) == bits(values.data()), "{}", device.name());
    }
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([1, 1, 20_000, 20_000])).unwrap();
    let step = graph.input("step", TensorType::u32([1])).unwrap();
    let error = graph.augment(x, step, Augment::default(), SEED).unwrap_err().to_string();
    assert!(error.contains("at most 32,767") && error.contains("20000x20000"), "{error}");
    assert!(graph.augment(x, step, Augment::default().rotate(200.0), SEED).is_err());
}

#[test]
fn half_of_the_pictures_are_flipped_each_way() {
    let size = [5, 4];
    let data = picture(size, |column, row| (50 * column + 11 * row) as u8);
    let flipped = |horizontal: bool, vertical: bool| {
        let pixel = |column: usize, row: usize| {
            let column = if horizontal { size[1] - 1 - column } else { column };
            data.image(0)[if vertical { size[0] - 1 - row } else { row } * size[1] + column]
        };
        picture(size, pixel).image(0).to_vec()
    };
    for device in devices() {
        for (flip, ways) in [
            (Flip::Horizontal, vec![flipped(false, false), flipped(true, false)]),
            (Flip::Vertical, vec![flipped(false, false), flipped(false, true)]),
            (
                Flip::Both,
                [(false, false), (true, false), (false, true), (true, true)].map(|(h, v)| flipped(h, v)).into(),
            ),
        ] {
            let found = variations(&device, &data, Augment::default().flip(flip), 20, 50);
            for way in &ways {
                let count = found.iter().filter(|image| *image == way).count() as f64;
                let share = 1.0 / ways.len() as f64;
                let spread = (1000.0 * share * (1.0 - share)).sqrt();
                assert!((count - 1000.0 * share).abs() < 4.0 * spread, "{flip:?}: {count}");
            }
            assert!(found.iter().all(|image| ways.contains(image)), "{flip:?}: something else");
        }
    }
}

#[test]
fn a_crop_is_a_shift_by_whole_pixels_and_every_one_comes() {
    let size = [6, 7];
    let data = picture(size, |column, row| (1 + 36 * row + 5 * column) as u8);
    for device in devices() {
        for fill in [Fill::Value(0.0), Fill::Nearest, Fill::Reflect] {
            let shifted = |dx: i64, dy: i64| {
                let place = |i: i64, size: usize| {
                    let last = size as i64 - 1;
                    match fill {
                        Fill::Nearest => Some(i.clamp(0, last)),
                        Fill::Reflect if i < 0 => Some(-1 - i),
                        Fill::Reflect if i > last => Some(2 * last + 1 - i),
                        _ => (0..=last).contains(&i).then_some(i),
                    }
                };
                picture(size, |column, row| {
                    let from = (place(column as i64 - dx, size[1]), place(row as i64 - dy, size[0]));
                    let (Some(column), Some(row)) = from else { return 0 };
                    data.image(0)[row as usize * size[1] + column as usize]
                })
                .image(0)
                .to_vec()
            };
            let all: BTreeSet<Vec<u8>> =
                (-2..=2).flat_map(|dx| (-2..=2).map(move |dy| (dx, dy))).map(|(x, y)| shifted(x, y)).collect();
            let found = variations(&device, &data, Augment::default().crop(2).fill(fill), 25, 20);
            assert_eq!(all.len(), 25);
            assert!(found.into_iter().collect::<BTreeSet<_>>() == all, "{fill:?} on {}", device.name());
        }
    }
}

#[test]
fn warps_cover_their_ranges_and_no_more() {
    let size = [48, 64];
    let device = devices().pop().expect("the CPU at least");
    let of = |place: [f64; 2], spread: f64, augment: Augment| -> Vec<[[f64; 2]; 2]> {
        let found = variations(&device, &spot(size, place, spread), augment.fill(Fill::Value(0.0)), 20, 30);
        found.iter().map(|image| moments(image, size)).collect()
    };
    let within = |[low, high]: [f64; 2], [least, most]: [f64; 2], slack: f64, what: &str| {
        let part = 0.03 * (most - least) + slack;
        assert!(low > least - slack && high < most + slack, "{what}: {low} to {high} of {least} to {most}");
        assert!(low < least + part && high > most - part, "{what}: only {low} to {high} of {least} to {most}");
    };

    // Shares of the width and of the height.
    let shifts = of([0.0; 2], 2.0, Augment::default().shift(0.25));
    for (axis, most) in [(0, 16.0), (1, 12.0)] {
        let along: Vec<f64> = shifts.iter().map(|[centre, _]| centre[axis]).collect();
        within(range(along.clone()), [-most, most], 0.1, "shift");
        // The mean of so many uniform numbers.
        assert!(mean(&along).abs() < 4.0 * most / (3.0 * 600.0f64).sqrt(), "{}", mean(&along));
    }
    let both: Vec<f64> = shifts.iter().map(|[[x, y], _]| x * y).collect();
    assert!(mean(&both).abs() < 4.0 * 16.0 * 12.0 / 3.0 / 600.0f64.sqrt(), "x and y are independent: {}", mean(&both));

    let turned = of([15.0, 0.0], 2.0, Augment::default().rotate(60.0));
    within(range(turned.iter().map(|[[x, y], _]| y.atan2(*x).to_degrees())), [-60.0, 60.0], 0.5, "angle");
    within(range(turned.iter().map(|[[x, y], _]| x.hypot(*y))), [15.0, 15.0], 0.1, "distance");

    let zoomed = of([8.0, 4.0], 2.0, Augment::default().zoom(0.5, 2.0));
    within(range(zoomed.iter().map(|[[x, _], _]| x / 8.0)), [0.5, 2.0], 0.02, "zoom along x");
    within(range(zoomed.iter().map(|[[x, y], _]| y / x)), [0.5, 0.5], 0.01, "one zoom for both axes");
    within(range(zoomed.iter().map(|[_, [v, _]]| v.sqrt() / 2.0)), [0.5, 2.0], 0.15, "size");

    // Rows move along x by as much as they lean, and stay where they are along y.
    let sheared = of([0.0, 10.0], 2.0, Augment::default().shear(45.0));
    within(range(sheared.iter().map(|[[x, _], _]| x / 10.0)), [-1.0, 1.0], 0.02, "lean");
    within(range(sheared.iter().map(|[[_, y], _]| *y)), [10.0, 10.0], 0.05, "row");
}

#[test]
fn tones_cover_their_ranges_and_no_more() {
    let device = devices().pop().expect("the CPU at least");
    let tones = |value: u8, augment: Augment| {
        let found = variations(&device, &picture([3, 3], |_, _| value), augment, 20, 50);
        assert!(found.iter().all(|image| image.iter().all(|v| v == &image[0])), "one tone a picture");
        range(found.iter().map(|image| f64::from(image[0])))
    };
    let near = |found: [f64; 2], expected: [f64; 2]| {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 2.0), "{found:?}, {expected:?}");
    };
    near(tones(128, Augment::default().brightness(0.2)), [77.0, 179.0]);
    near(tones(0, Augment::default().brightness(0.2)), [0.0, 51.0]);
    near(tones(255, Augment::default().contrast(0.5)), [191.0, 255.0]);
    near(tones(51, Augment::default().contrast(0.5)), [12.75, 89.25]);
    assert_eq!(tones(0, Augment::default().rotate(30.0).fill(Fill::Value(0.0))), [0.0, 0.0]);
}

#[test]
fn rows_and_steps_and_seeds_are_varied_apart_and_devices_alike() {
    let data = dataset(6);
    let augment: Augment = "rotate:20,shift:0.2,zoom:0.8:1.2,shear:10,brightness:0.1,contrast:0.2".parse().unwrap();
    let of = |device: &Device, seed| augmented(device, &data, augment, &[3; 20], 20, seed).unwrap();
    let cpu = of(&Device::Cpu, 1);
    let all: BTreeSet<&[u8]> = (0..400).map(|i| cpu.image(i)).collect();
    assert_eq!(all.len(), 400, "no picture is seen twice");
    assert!(cpu.labels.iter().all(|&label| label == data.labels[3]));
    for device in devices() {
        let found = of(&device, 1);
        assert!(found == of(&device, 1), "the same seed gives the same bytes");
        let other = of(&device, 2);
        assert!((0..400).all(|i| found.image(i) != other.image(i)), "another seed gives others");
        let apart = found.bytes().unwrap().iter().zip(&*cpu.bytes().unwrap()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(apart <= Some(1), "a byte at most, where values lie between two: {apart:?} on {}", device.name());
    }
    let refused =
        |numbers: &[u32], times| augmented(&Device::Cpu, &data, augment, numbers, times, 1).unwrap_err().to_string();
    assert!(refused(&[6], 1).contains("a number below 6, found 6"));
    assert!(refused(&[], 1).contains("at least one") && refused(&[1], 0).contains("at least one"));
}

/// A little of everything.
pub fn varied() -> Augment {
    "rotate:10,shift:0.1,zoom:0.9:1.1,shear:5,flip:horizontal,brightness:0.1,contrast:0.2,crop:1".parse().unwrap()
}

#[test]
fn the_seed_gives_the_bytes_and_evaluation_sees_pictures_as_they_are() {
    let data = dataset(50);
    for device in devices() {
        let model = network();
        let run = |parts: &[u32], seed| {
            let mut trainer = trainer(&device, &model, sgd()).seed(seed).augment(varied());
            parts.iter().for_each(|&epochs| drop(fit(&mut trainer, &data, epochs)));
            trainer
        };
        let whole = run(&[3], 1);
        assert!(bits(&whole.parameters()) == bits(&run(&[1, 2], 1).parameters()), "{}", device.name());
        assert!(bits(&whole.parameters()) != bits(&run(&[3], 2).parameters()), "{}", device.name());
        let mut plain = trainer(&device, &model, sgd());
        plain.set_parameters(whole.parameters()).unwrap();
        assert_eq!(plain.evaluate(&data).unwrap(), whole.evaluate(&data).unwrap());
    }
}

#[test]
fn one_dispatch_gathers_and_varies() {
    let (data, model) = (dataset(1000), network());
    let layout = Layout::of(&model).unwrap();
    let options = StepOptions { augment: varied(), ..StepOptions::new(64, 16) };
    let step = TrainingStep::with(&model, &layout, &Sgd::new(0.1), data.spec(), options).unwrap();
    for limits in [Limits::default(), Limits { software: true, ..Limits::default() }] {
        let plan = compile::compile(&step.graph, &limits).unwrap();
        let count = |op| plan.steps.iter().filter(|step| step.op == op).count();
        assert_eq!((count("augment"), count("gather_images")), (1, 0));
    }
}

#[test]
fn options_out_of_range_are_refused_before_anything_is_made() {
    let (data, model) = (dataset(20), network());
    let refused = trainer(&Device::Cpu, &model, sgd()).augment(Augment::default().zoom(2.0, 1.0)).check(&data, 1);
    assert!(refused.unwrap_err().to_string().contains("augment zoom: expected the least before the largest"));
}

#[test]
fn halves_hold_varied_pictures() {
    let (data, model) = (dataset(64), network());
    for device in devices().iter().filter(|device| matches!(device, Device::Gpu(gpu) if gpu.limits().f16)) {
        let loss = |precision| {
            let mut trainer = trainer(device, &model, sgd()).augment(varied()).precision(precision);
            fit(&mut trainer, &data, 2).0.epochs[1].loss
        };
        let (wide, narrow) = (loss(Precision::F32), loss(Precision::F16));
        assert!((wide - narrow).abs() < 0.02 * wide, "{wide}, {narrow}");
    }
}
