//! Streamed data sets give the same training results, bit for bit, as resident ones.

use lenslet::data::{Dataset, folder::Options, folder::Share, folder::load};
use lenslet::infer::Evaluator;
use lenslet::nn::Sequential;
use lenslet::optim::Sgd;
use lenslet::train::{Fit, Report, Schedule};
use lenslet::{Device, ShaderChecks, Trainer};

use crate::common;
use crate::place::{Place, files, png};

/// Image size in bytes.
const IMAGE: u64 = 3 * 6 * 6;

fn devices() -> Vec<Device> {
    let gpu = common::gpu(ShaderChecks::Trusted).map(Device::Gpu);
    [Device::Cpu].into_iter().chain(gpu).collect()
}

/// 103 images of 3 classes, as noise.
fn noise() -> Dataset {
    let byte = |i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8;
    let labels = (0..103).map(|i| (i % 3) as u8).collect();
    Dataset::new((0..103 * IMAGE as u32).map(byte).collect(), labels, [3, 6, 6], 3).unwrap()
}

/// A network with running averages, which also depend on masked rows, or without.
fn network(averages: bool) -> Sequential {
    let network = Sequential::new([3, 6, 6]).conv2d(4, 3);
    let network = if averages { network.batch_norm() } else { network };
    network.relu().flatten().dense(3)
}

/// The results of training with `resident` bytes on the device: weights, losses, and an evaluation.
fn trained(device: &Device, model: &Sequential, data: &Dataset, resident: u64, fit: Fit) -> (Vec<u32>, Report, String) {
    let trainer = Trainer::new(device, model, Sgd::new(0.05).momentum(0.9)).unwrap().batch_size(8);
    let mut trainer = trainer.resident(resident).schedule(Schedule::Cosine);
    trainer.check(data, fit).unwrap();
    let mut report = trainer.fit(data, fit).unwrap();
    report.epochs.iter_mut().for_each(|epoch| (epoch.seconds, epoch.images_per_s) = (0.0, 0.0));
    (report.seconds, report.images_per_s) = (0.0, 0.0);
    let bits = trainer.parameters().iter().map(|value| value.to_bits()).collect();
    (bits, report, format!("{:?}", trainer.evaluate(data).unwrap()))
}

#[test]
fn a_window_of_images_gives_the_same_bytes_as_all_of_them() {
    let data = noise();
    for device in devices() {
        for averages in [false, true] {
            let model = network(averages);
            // An epoch ends with a partial batch; the run ends within an epoch.
            for fit in [
                Fit { epochs: 2, validation: 10, ..Fit::default() },
                Fit { epochs: 3, steps: Some(30), ..Fit::default() },
            ] {
                let whole = trained(&device, &model, &data, u64::MAX, fit);
                // A window of one batch, of three batches, and of nearly all images.
                for resident in [0, 3 * 8 * IMAGE, 100 * IMAGE] {
                    assert!(trained(&device, &model, &data, resident, fit) == whole, "{} {resident}", device.name());
                }
            }
        }
    }
}

#[test]
fn sets_in_a_file_are_learned_and_evaluated_as_those_in_memory() {
    let place = Place::new();
    for i in 0..60u8 {
        place.put(&format!("{}/{i}.png", ["a", "b", "c"][usize::from(i) % 3]), &png(6, 6, [i, 4 * i, 255 - i]));
    }
    let options = place.cached(&Options { test: Some(Share::Count(5)), ..Options::default() });
    let of = |memory| {
        let options = Options { memory, ..options.clone() };
        load(place.data(), [3, 6, 6], 1, &options, &|_, _| ()).unwrap()
    };
    let (memory, file) = (of(u64::MAX), of(0));
    assert!(file.train.images.in_memory().is_none());
    let fit = Fit { epochs: 2, validation: 6, ..Fit::default() };
    for device in devices() {
        let model = network(true);
        let whole = trained(&device, &model, &memory.train, u64::MAX, fit);
        for resident in [0, u64::MAX] {
            assert!(trained(&device, &model, &file.train, resident, fit) == whole);
        }
        let layout = lenslet::nn::Layout::of(&model).unwrap();
        let parameters = layout.initial(1);
        let evaluated = |set| Evaluator::new(&device, &model, &layout, set, 4).unwrap().run(&parameters).unwrap();
        assert_eq!(evaluated(&memory.test), evaluated(&file.test));
    }
}

#[test]
fn a_file_that_breaks_while_it_is_read_ends_the_training() {
    let place = Place::with(&["a", "b"], 20);
    let options = Options { test: Some(Share::Count(5)), memory: 0, ..Options::default() };
    let sets = place.load(&options).unwrap();
    let file = files(&place.cache()).remove(0);
    std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(40).unwrap();
    let model = Sequential::new([1, 4, 4]).flatten().dense(2);
    let mut trainer = Trainer::new(&Device::Cpu, &model, Sgd::new(0.1)).unwrap().batch_size(4).resident(0);
    let error = trainer.fit(&sets.train, 1).unwrap_err().to_string();
    assert!(error.contains("bytes of an image as written, found other bytes"), "{error}");
}
