//! LeNet-5's layers for an image, drawn without a window: `cargo run --release --example headless [IMAGE.png]`.

mod files;

use lenslet::gpu::texture::{ColorMap, ValueRange};
use lenslet::{Gpu, Predictor, TextureInput, TextureOutput, TextureRead, TextureWrite, Trainer};
use lenslet::{data::Mnist, models, optim::Sgd, train::Fit, wgpu};

/// The background around and between the tiles.
const DARK: [u8; 4] = [20, 20, 26, 255];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (gpu, mnist) = (Gpu::new()?, Mnist::bundled()?);
    // An image file is dark ink on white paper; a digit of the test set is bright ink on black.
    let (image, is_paper) = match std::env::args().nth(1) {
        Some(path) => (image::open(&path).map_err(|e| format!("cannot read {path}: {e}"))?.to_rgba8(), true),
        None => {
            let texels = mnist.test.image(0).iter().flat_map(|&v| [v, v, v, 255]).collect();
            (image::RgbaImage::from_raw(28, 28, texels).expect("28x28 texels"), false)
        }
    };
    let scene = files::upload(&gpu, &image);

    let model = models::lenet5();
    let mut trainer = Trainer::new(&gpu, &model, Sgd::new(0.05).momentum(0.9))?.batch_size(64);
    trainer.fit(&mnist.train, Fit { steps: Some(400), ..Fit::default() })?;

    // LeNet-5 for one image, keeping the maps of both convolutions.
    let network = Predictor::new(&gpu, &model, trainer.layout(), 1, &["conv1", "conv2"])?;
    network.set_parameters(&trainer.parameters())?;
    let (session, image_node, classes) = (network.session(), network.images(), network.probabilities());

    // The drawings, each on its own texture: the input, both layers' maps, the classes from 0 down to 9.
    let read = TextureRead::new().inverted(is_paper);
    let input = TextureInput::new(session, image_node, &scene.create_view(&Default::default()), &read)?;
    let gray = TextureWrite::maps().colors(ColorMap::Gray).range(ValueRange::Fixed(0.0, 1.0));
    let (maps, bars) = (TextureWrite::maps(), TextureWrite::horizontal_bars());
    let (mut outputs, mut canvases) = (vec![], vec![]);
    let [first, second] = [network.activation("conv1")?, network.activation("conv2")?];
    for (node, write, scale) in
        [(image_node, gray, 8), (first, maps.clone(), 4), (second, maps, 5), (classes, bars, 16)]
    {
        let write = write.gap(8).background(DARK.map(|v| f32::from(v) / 255.0));
        let size = TextureOutput::size(session.graph().shape(node), &write, scale)?;
        let usage = wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_SRC;
        let canvas = files::texture(&gpu, size, usage);
        outputs.push(TextureOutput::new(session, node, &canvas.create_view(&Default::default()), &write)?);
        canvases.push(canvas);
    }

    // The work of an app in each frame, in its own encoder: nothing is awaited or read back.
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    input.encode(&mut encoder);
    network.encode(&mut encoder);
    outputs.iter().for_each(|output| output.encode(&mut encoder));
    gpu.queue().submit([encoder.finish()]);

    // An app would display the textures; this example writes a file and prints a line.
    files::save(&gpu, &canvases, DARK, "headless.png")?;
    let shares = session.read(classes)?;
    let (digit, share) = (0..).zip(shares).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0));
    println!("digit {digit}, by {:.1} %; what the network sees is in headless.png", 100.0 * share);
    Ok(())
}
