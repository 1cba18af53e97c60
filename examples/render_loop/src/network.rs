//! The network: LeNet-5 on the app's device, which reads a texture in each frame and is trained between frames.

use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use lenslet::gpu::texture::{ColorMap, ValueRange};
use lenslet::{FrameTrainer, Gpu, Predictor, Result, TextureInput, TextureOutput, TextureRead, TextureWrite, Trainer};
use lenslet::{NodeId, data::Mnist, models, nn::Layout, optim::Sgd};

use crate::{BACKGROUND, texture};

/// Number of training steps, with batches of 64: LeNet-5 then misclassifies about two digits in a hundred.
pub const STEPS: u64 = 600;

/// The network and its images.
pub struct Network {
    predictor: Predictor,
    input: TextureInput,
    outputs: Vec<TextureOutput>,
    training: Training,
    /// Training time per frame; longer on software devices, whose frames are long anyway.
    budget: Duration,
}

enum Training {
    /// A thread reads the data and compiles the step, while the scene is drawn.
    Coming(Receiver<Result<FrameTrainer>>),
    Ready(Box<FrameTrainer>),
}

/// Images of the network.
pub struct Images {
    pub seen: wgpu::Texture,
    pub first: wgpu::Texture,
    pub second: wgpu::Texture,
    pub bars: wgpu::Texture,
}

impl Network {
    /// The network with the scene as its input, and the textures that [`encode`](Self::encode) draws to; that of the
    /// bars has `bars` texels.
    pub fn new(gpu: &Gpu, scene: &wgpu::Texture, bars: [u32; 2]) -> Result<(Self, Images)> {
        let model = models::lenet5();
        let layout = Layout::of(&model)?;
        let predictor = Predictor::new(gpu, &model, &layout, 1, &["conv1", "conv2"])?;
        predictor.set_parameters(&layout.initial(1))?;
        let session = predictor.session();
        let view = scene.create_view(&Default::default());
        let input = TextureInput::new(session, predictor.images(), &view, &TextureRead::new())?;

        let mut outputs = vec![];
        let mut draw = |node: NodeId, write: TextureWrite, size: [u32; 2]| {
            let usage = wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::TEXTURE_BINDING;
            let texture = texture(gpu.device(), size, wgpu::TextureFormat::Rgba8Unorm, usage);
            outputs.push(TextureOutput::new(session, node, &texture.create_view(&Default::default()), &write)?);
            Ok(texture)
        };
        let (first, second) = (predictor.activation("conv1")?, predictor.activation("conv2")?);
        let gray = TextureWrite::maps().colors(ColorMap::Gray).range(ValueRange::Fixed(0.0, 1.0));
        let maps =
            |columns| TextureWrite::maps().columns(columns).gap(8).range(ValueRange::Whole).background(BACKGROUND);
        let images = Images {
            seen: draw(predictor.images(), gray, [28 * 5; 2])?,
            first: draw(first, maps(3), [3 * 112 + 16, 2 * 112 + 8])?,
            second: draw(second, maps(4), [4 * 80 + 24; 2])?,
            bars: draw(predictor.probabilities(), TextureWrite::horizontal_bars().gap(8).background(BACKGROUND), bars)?,
        };
        let training = Training::Coming(prepare(gpu.clone()));
        let budget = Duration::from_millis(if gpu.is_software() { 25 } else { 6 });
        Ok((Self { predictor, input, outputs, training, budget }, images))
    }

    /// Sets the rectangle of the scene to read.
    pub fn look_at(&self, rectangle: [u32; 4]) -> Result<()> {
        self.input.set_rectangle(rectangle)
    }

    /// Appends one frame: reads the scene, copies the current parameters, runs the network, draws the images.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) -> Result<()> {
        self.input.encode(encoder);
        if let Training::Ready(trainer) = &self.training {
            trainer.hand_over(encoder, &self.predictor)?;
        }
        self.predictor.encode(encoder);
        self.outputs.iter().for_each(|output| output.encode(encoder));
        Ok(())
    }

    /// Trains for a frame's budget. Returns whether any training was left.
    pub fn train(&mut self) -> Result<bool> {
        match &mut self.training {
            Training::Ready(trainer) if trainer.steps() < STEPS => trainer.train_for(self.budget).map(|_| true),
            Training::Ready(_) => Ok(false),
            Training::Coming(coming) => {
                if let Ok(trainer) = coming.try_recv() {
                    self.training = Training::Ready(Box::new(trainer?));
                }
                Ok(false)
            }
        }
    }

    /// Number of training steps so far.
    pub fn steps(&self) -> u64 {
        match &self.training {
            Training::Coming(_) => 0,
            Training::Ready(trainer) => trainer.steps(),
        }
    }
}

/// Creates the trainer on a separate thread: reading MNIST, compiling and uploading take longer than a frame.
fn prepare(gpu: Gpu) -> Receiver<Result<FrameTrainer>> {
    let (sender, receiver) = mpsc::channel();
    let make = move || {
        let (mnist, model) = (Mnist::bundled()?, models::lenet5());
        Trainer::new(&gpu, &model, Sgd::new(0.05).momentum(0.9))?.in_frames(&mnist.train, 1)
    };
    // The receiver is dropped if the app has ended.
    thread::spawn(move || drop(sender.send(make())));
    receiver
}
