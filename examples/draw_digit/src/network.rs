//! The network: LeNet-5 on the window's device, run in each frame and trained between frames.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use eframe::egui_wgpu::RenderState;
use lenslet::data::Mnist;
use lenslet::formats::weights;
use lenslet::gpu::texture::{Channels, ColorMap, ValueRange};
use lenslet::nn::{Layout, Sequential};
use lenslet::optim::Sgd;
use lenslet::runs::RunFolder;
use lenslet::train::{Checkpoint, Progress};
use lenslet::{Error, FrameTrainer, Gpu, Predictor, Result, TextureInput, TextureRead, TextureWrite, Trainer, models};

use crate::canvas::Canvas;
use crate::images::Image;

/// Batch size of training.
const BATCH: usize = 64;
/// Size of the bars' texture in texels: one row per bar, with a row between bars.
const BARS: [u32; 2] = [256, 19];
/// Interval of training snapshots: progress after the last one is lost with the device.
const SNAPSHOT: Duration = Duration::from_secs(2);
/// The model name in saved weight files, which `lenslet predict` accepts.
const MODEL: &str = "lenet5";

/// A convolution shown in the window.
pub struct Layer {
    pub title: &'static str,
    /// Number of filters, and of maps.
    pub maps: usize,
    /// Channels of each filter.
    pub channels: usize,
    pub filters: Image,
    pub responses: Image,
}

/// The network and its images.
pub struct Network {
    gpu: Gpu,
    layout: Layout,
    predictor: Predictor,
    input: TextureInput,
    /// The network's input.
    pub seen: Image,
    /// The class probabilities as bars.
    pub bars: Image,
    pub layers: Vec<Layer>,
    training: Training,
    /// The initial parameters of the training,
    initial: Vec<f32>,
    /// or the checkpoint to resume from.
    checkpoint: Option<Checkpoint>,
    /// The time of the last snapshot.
    kept: Instant,
}

enum Training {
    NotBegun,
    /// A thread reads the data and compiles the step, so that the window stays responsive.
    Coming(Receiver<Result<FrameTrainer>>),
    Ready(Box<FrameTrainer>),
}

impl Network {
    /// The network, with the paper as its input.
    pub fn new(gpu: &Gpu, render: &RenderState, canvas: &Canvas) -> Result<Self> {
        let model = models::lenet5();
        let layout = Layout::of(&model)?;
        let predictor = Predictor::new(gpu, &model, &layout, 1, &["conv1", "conv2"])?;
        let session = predictor.session();
        // The paper's three channels are equal.
        let read = TextureRead::new().channels(Channels::Only(0)).rectangle(canvas.rectangle());
        let input = TextureInput::new(session, predictor.images(), &canvas.view(), &read)?;

        let image = |node, write, tiles, size| Image::new(render, session, node, write, tiles, size);
        let seen = TextureWrite::maps().colors(ColorMap::Gray).range(ValueRange::Fixed(0.0, 1.0));
        let seen = image(predictor.images(), seen, [1, 1], None)?;
        let bars = TextureWrite::horizontal_bars();
        let bars = image(predictor.probabilities(), bars, [1, 10], Some(BARS))?;
        let layer = |name: &str, title, [columns, rows]: [usize; 2]| {
            let (range, shape) = predictor.filters(name)?;
            let (maps, channels) = (shape[0], shape[1]);
            let filters = TextureWrite::filters(range, shape);
            // A common range for all maps: a filter without a response looks inactive.
            let responses = TextureWrite::maps().range(ValueRange::Whole);
            Ok(Layer {
                title,
                maps,
                channels,
                filters: image(predictor.parameters(), filters, [channels, maps], None)?,
                responses: image(predictor.activation(name)?, responses, [columns, rows], None)?,
            })
        };
        let layers = vec![
            layer("conv1", "conv1: 6 filters, and below each what it finds in the image", [6, 1])?,
            layer("conv2", "conv2: 16 filters of six channels, and what they find in the maps above", [8, 2])?,
        ];
        let initial = layout.initial(1);
        predictor.set_parameters(&initial)?;
        let (gpu, training) = (gpu.clone(), Training::NotBegun);
        let (checkpoint, kept) = (None, Instant::now());
        Ok(Self { gpu, layout, predictor, input, seen, bars, layers, training, initial, checkpoint, kept })
    }

    /// Sets the rectangle of the paper to read.
    pub fn look_at(&self, rectangle: [u32; 4]) -> Result<()> {
        self.input.set_rectangle(rectangle)
    }

    /// Runs one frame: reads the paper, copies the current parameters, computes the probabilities, draws the images.
    pub fn run(&self) -> Result<()> {
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        self.input.encode(&mut encoder);
        if let Training::Ready(trainer) = &self.training {
            trainer.hand_over(&mut encoder, &self.predictor)?;
        }
        self.predictor.encode(&mut encoder);
        let layers = self.layers.iter().flat_map(|layer| [&layer.filters, &layer.responses]);
        layers.chain([&self.seen, &self.bars]).for_each(|image| image.encode(&mut encoder));
        self.gpu.queue().submit([encoder.finish()]);
        Ok(())
    }

    /// Trains for about `budget`; `None` while the training is being prepared.
    pub fn train_for(&mut self, budget: Duration) -> Result<Option<Progress>> {
        match &mut self.training {
            Training::NotBegun => {
                self.training = Training::Coming(prepare(&self.gpu, self.initial.clone(), self.checkpoint.clone()));
                Ok(None)
            }
            Training::Coming(coming) => {
                let prepared = match coming.try_recv() {
                    Err(TryRecvError::Empty) => return Ok(None),
                    Ok(prepared) => prepared,
                    Err(TryRecvError::Disconnected) => {
                        Err(Error::option("training", "a thread that prepares it", "one that ended early"))
                    }
                };
                self.training = Training::NotBegun;
                self.training = Training::Ready(Box::new(prepared?));
                Ok(None)
            }
            Training::Ready(trainer) => {
                let progress = trainer.train_for(budget)?;
                if self.kept.elapsed() > SNAPSHOT {
                    trainer.snapshot()?;
                    self.kept = Instant::now();
                }
                Ok(Some(progress))
            }
        }
    }

    /// Sets the parameters and restarts the training from them.
    pub fn set_parameters(&mut self, parameters: Vec<f32>) -> Result<()> {
        self.predictor.set_parameters(&parameters)?;
        (self.training, self.initial, self.checkpoint) = (Training::NotBegun, parameters, None);
        Ok(())
    }

    /// Saves the last snapshot of the training to a file, even if the device is lost. Returns whether there is one.
    pub fn save_checkpoint(&self, file: &Path) -> Result<bool> {
        let checkpoint = match &self.training {
            Training::Ready(trainer) => Some(trainer.last_checkpoint()),
            _ => self.checkpoint.clone(),
        };
        checkpoint.map(|checkpoint| checkpoint.save(file, &self.layout)).transpose().map(|saved| saved.is_some())
    }

    /// Resumes from a checkpoint file. Returns its number of steps.
    pub fn resume(&mut self, file: &Path) -> Result<u64> {
        let checkpoint = trainer(&self.gpu, &models::lenet5())?.read_checkpoint(file)?;
        self.set_parameters(checkpoint.snapshot.parameters.to_vec())?;
        Ok(self.checkpoint.insert(checkpoint).steps())
    }

    /// The current parameters, waiting for the device.
    fn parameters(&mut self) -> Result<Vec<f32>> {
        match &mut self.training {
            Training::Ready(trainer) => Ok(trainer.snapshot()?.parameters.to_vec()),
            _ => Ok(self.initial.clone()),
        }
    }

    /// Reads the parameters from a run folder.
    pub fn read(&self, folder: &Path) -> Result<Vec<f32>> {
        RunFolder::read_weights(folder, &self.layout)
    }

    /// Writes `model.safetensors` to a folder, which is created if missing. Returns the file's path.
    pub fn save(&mut self, folder: &Path) -> Result<PathBuf> {
        let parameters = self.parameters()?;
        fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        let path = folder.join("model.safetensors");
        weights::save(&path, &self.layout, &parameters, &BTreeMap::from([("model".into(), MODEL.into())]))?;
        Ok(path)
    }

    /// The most likely class and its probability, waiting for the device; used only for `--status`.
    pub fn prediction(&self) -> Result<(usize, f32)> {
        let probabilities = self.predictor.session().read(self.predictor.probabilities())?;
        let best = probabilities.into_iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
        best.ok_or_else(|| Error::option("classes", "at least one", 0))
    }
}

fn trainer<'m>(gpu: &Gpu, model: &'m Sequential) -> Result<Trainer<'m>> {
    Ok(Trainer::new(gpu, model, Sgd::new(0.05).momentum(0.9))?.batch_size(BATCH))
}

/// Creates the trainer on a separate thread: reading MNIST, compiling and uploading take longer than a frame.
fn prepare(gpu: &Gpu, parameters: Vec<f32>, checkpoint: Option<Checkpoint>) -> Receiver<Result<FrameTrainer>> {
    let (sender, receiver) = mpsc::channel();
    let gpu = gpu.clone();
    let make = move || {
        let mnist = Mnist::bundled()?;
        let model = models::lenet5();
        let mut trainer = trainer(&gpu, &model)?;
        match checkpoint {
            Some(checkpoint) => trainer.resume(checkpoint)?,
            None => trainer.set_parameters(parameters)?,
        }
        trainer.in_frames(&mnist.train, u32::MAX)
    };
    // The receiver is dropped if other weights were loaded.
    thread::spawn(move || drop(sender.send(make())));
    receiver
}
