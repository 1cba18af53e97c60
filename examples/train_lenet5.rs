//! LeNet-5 on MNIST in ten lines: `cargo run --release --example train_lenet5`.

use lenslet::{Gpu, Padding::Same, Trainer, data::Mnist, nn, optim::Sgd};

#[rustfmt::skip]
fn main() -> lenslet::Result<()> {
    let gpu = Gpu::new()?;
    let model = nn::Sequential::new([1, 28, 28])
        .conv2d(6, 5).padding(Same).relu().max_pool2d(2)
        .conv2d(16, 5).relu().max_pool2d(2)
        .flatten().dense(120).relu().dense(84).relu().dense(10);
    let mut trainer = Trainer::new(&gpu, &model, Sgd::new(0.05).momentum(0.9))?.batch_size(64);
    let mnist = Mnist::bundled()?;
    trainer.fit(&mnist.train, 3)?;
    println!("test accuracy {:.2} %", 100.0 * trainer.evaluate(&mnist.test)?.accuracy);
    Ok(())
}
