//! Strided convolution, average and max pooling compared on equal terms: the same network but for what halves its maps,
//! the same pictures, epochs and seeds. `cargo run --release --example downsampling -- [EPOCHS] [DEVICE]`.

use lenslet::train::Trainer;
use lenslet::{Device, Error, Result, data::Mnist, models, nn::Summary, optim::Sgd};

const SEEDS: [u64; 3] = [1, 2, 3];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [epochs, device] = [("2", 0), ("auto", 1)].map(|(usual, i)| arguments.get(i).map_or(usual, String::as_str));
    let epochs: u32 = epochs.parse().map_err(|_| Error::option("EPOCHS", "a whole number", epochs))?;
    let (device, mnist) = (Device::choose(device)?, Mnist::bundled()?);
    println!("{epochs} epochs of MNIST, seeds {SEEDS:?}, on {}", device.describe());
    println!(
        "{:20} {:>24} {:>7} {:>11} {:>13} {:>9}",
        "", "test accuracy, %", "mean", "parameters", "multiply-adds", "images/s"
    );
    for name in ["downsample-strided", "downsample-average", "downsample-max"] {
        let model = models::by_name(name)?;
        let (mut accuracies, mut rates) = (vec![], vec![]);
        for seed in SEEDS {
            let mut trainer = Trainer::new(&device, &model, Sgd::new(0.05).momentum(0.9))?.seed(seed);
            rates.push(trainer.fit(&mnist.train, epochs)?.images_per_s);
            accuracies.push(100.0 * trainer.evaluate(&mnist.test)?.accuracy);
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let each: Vec<_> = accuracies.iter().map(|accuracy| format!("{accuracy:.2}")).collect();
        let Summary { parameters, multiply_adds, .. } = Summary::of(&model)?;
        let (each, accuracy, rate) = (each.join("  "), mean(&accuracies), mean(&rates));
        println!("{name:20} {each:>24} {accuracy:>7.2} {parameters:>11} {multiply_adds:>13} {rate:>9.0}");
    }
    Ok(())
}
