//! Comparison of strided convolution, average pooling and max pooling. The networks differ only in the method of
//! downsampling: they have equal parameters, initial values, batches and epochs. Their cost is not equal: before
//! pooling, the convolution computes four times as many values.
//! `cargo run --release --example downsampling -- [EPOCHS] [DEVICE]`.

use std::io::{self, Write};

use lenslet::nn::{Network, Summary};
use lenslet::train::Trainer;
use lenslet::{Device, Error, Result, data::Mnist, models, optim::Sgd};

const SEEDS: [u64; 3] = [1, 2, 3];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [epochs, device] = [("2", 0), ("auto", 1)].map(|(usual, i)| arguments.get(i).map_or(usual, String::as_str));
    let number = epochs.parse().ok().filter(|&number| number > 0);
    let epochs: u32 = number.ok_or_else(|| Error::option("EPOCHS", "a whole number above 0", epochs))?;
    let (device, mnist) = (Device::choose(device)?, Mnist::bundled()?);
    println!("test accuracy in % after {epochs} epochs of MNIST, on {}", device.identity());
    println!("{:16}{:>12}{:>12}{:>12}", "", "strided", "average", "max");
    let names = ["downsample-strided", "downsample-average", "downsample-max"];
    let networks = names.map(models::by_name).into_iter().collect::<Result<Vec<Network>>>()?;
    let (mut accuracies, mut rates) = ([0.0; 3], [0f64; 3]);
    // Methods alternate, so that other load on the machine affects all of them.
    for seed in SEEDS {
        print!("{:16}", format!("seed {seed}"));
        for (i, model) in networks.iter().enumerate() {
            // On a slow device each figure takes minutes, so output is flushed early.
            io::stdout().flush().map_err(Error::io("standard output", "write"))?;
            let mut trainer = Trainer::new(&device, model, Sgd::new(0.05).momentum(0.9))?.seed(seed);
            rates[i] = rates[i].max(trainer.fit(&mnist.train, epochs)?.images_per_s);
            let accuracy = 100.0 * trainer.evaluate(&mnist.test)?.accuracy;
            accuracies[i] += accuracy / SEEDS.len() as f64;
            print!("{accuracy:>12.2}");
        }
        println!();
    }
    let summaries = networks.iter().map(|model| Summary::of(model)).collect::<Result<Vec<_>>>()?;
    let row = |name: &str, values: Vec<String>| {
        println!("{name:16}{}", values.iter().map(|value| format!("{value:>12}")).collect::<String>());
    };
    row("mean", accuracies.map(|accuracy| format!("{accuracy:.2}")).into());
    row("parameters", summaries.iter().map(|summary| summary.parameters.to_string()).collect());
    row("multiply-adds", summaries.iter().map(|summary| summary.multiply_adds.to_string()).collect());
    row("best images/s", rates.map(|rate| format!("{rate:.0}")).into());
    println!(
        "With {} test images, 0.1 % either way is chance; a difference of means counts if it is larger than what seeds make.",
        mnist.test.len()
    );
    Ok(())
}
