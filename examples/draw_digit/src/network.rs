//! The network: LeNet-5 on the window's device, answering each frame and trained between frames.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use eframe::egui_wgpu::RenderState;
use lenslet::data::Mnist;
use lenslet::formats::weights;
use lenslet::gpu::texture::{Channels, ColourMap, ValueRange};
use lenslet::nn::{Layout, Sequential};
use lenslet::optim::Sgd;
use lenslet::runs::RunFolder;
use lenslet::train::{Checkpoint, Progress};
use lenslet::{Error, FrameTrainer, Gpu, Predictor, Result, TextureInput, TextureRead, TextureWrite, Trainer, models};

use crate::canvas::Canvas;
use crate::pictures::Picture;

/// Images a training step.
const BATCH: usize = 64;
/// Texels of the bars: as long as they need to be fine, each a row, with a row between.
const BARS: [u32; 2] = [256, 19];
/// How often a snapshot of the training is taken: what is learned after the last one is lost with the device.
const SNAPSHOT: Duration = Duration::from_secs(2);
/// The name that weights are saved under, which `lenslet predict` knows too.
const MODEL: &str = "lenet5";

/// A convolution in the window.
pub struct Layer {
    pub title: &'static str,
    /// Filters, and as many maps.
    pub maps: usize,
    /// Of each filter.
    pub channels: usize,
    pub filters: Picture,
    pub responses: Picture,
}

/// The network and its images.
pub struct Network {
    gpu: Gpu,
    layout: Layout,
    predictor: Predictor,
    input: TextureInput,
    /// The image that the network gets.
    pub seen: Picture,
    /// The probabilities, as bars.
    pub bars: Picture,
    pub layers: Vec<Layer>,
    training: Training,
    /// What training begins with,
    initial: Vec<f32>,
    /// or goes on from.
    checkpoint: Option<Checkpoint>,
    /// When the last snapshot was taken.
    kept: Instant,
}

enum Training {
    NotBegun,
    /// A thread reads the data and compiles the step; the window stays alive meanwhile.
    Coming(Receiver<Result<FrameTrainer>>),
    Ready(Box<FrameTrainer>),
}

impl Network {
    /// The network, which reads the paper.
    pub fn new(gpu: &Gpu, render: &RenderState, canvas: &Canvas) -> Result<Self> {
        let model = models::lenet5();
        let layout = Layout::of(&model)?;
        let predictor = Predictor::new(gpu, &model, &layout, 1, &["conv1", "conv2"])?;
        let session = predictor.session();
        // The paper's three channels are alike.
        let read = TextureRead::new().channels(Channels::Only(0)).rectangle(canvas.rectangle());
        let input = TextureInput::new(session, predictor.pictures(), &canvas.view(), &read)?;

        let picture = |node, write, tiles, size| Picture::new(render, session, node, write, tiles, size);
        let seen = TextureWrite::maps().colours(ColourMap::Grey).range(ValueRange::Fixed(0.0, 1.0));
        let seen = picture(predictor.pictures(), seen, [1, 1], None)?;
        let bars = TextureWrite::horizontal_bars();
        let bars = picture(predictor.probabilities(), bars, [1, 10], Some(BARS))?;
        let layer = |name: &str, title, [columns, rows]: [usize; 2]| {
            let (range, shape) = predictor.filters(name)?;
            let (maps, channels) = (shape[0], shape[1]);
            let filters = TextureWrite::filters(range, shape);
            // One range for all maps: a filter that finds nothing looks so.
            let responses = TextureWrite::maps().range(ValueRange::Whole);
            Ok(Layer {
                title,
                maps,
                channels,
                filters: picture(predictor.parameters(), filters, [channels, maps], None)?,
                responses: picture(predictor.activation(name)?, responses, [columns, rows], None)?,
            })
        };
        let layers = vec![
            layer("conv1", "conv1: 6 filters, and below each what it finds in the picture", [6, 1])?,
            layer("conv2", "conv2: 16 filters of six channels, and what they find in the maps above", [8, 2])?,
        ];
        let initial = layout.initial(1);
        predictor.set_parameters(&initial)?;
        let (gpu, training) = (gpu.clone(), Training::NotBegun);
        let (checkpoint, kept) = (None, Instant::now());
        Ok(Self { gpu, layout, predictor, input, seen, bars, layers, training, initial, checkpoint, kept })
    }

    /// Reads that rectangle of the paper from now on.
    pub fn look_at(&self, rectangle: [u32; 4]) -> Result<()> {
        self.input.set_rectangle(rectangle)
    }

    /// One frame: the paper in, the parameters as training has left them, the answer, and its images.
    pub fn run(&self) -> Result<()> {
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        self.input.encode(&mut encoder);
        if let Training::Ready(trainer) = &self.training {
            trainer.hand_over(&mut encoder, &self.predictor)?;
        }
        self.predictor.encode(&mut encoder);
        let layers = self.layers.iter().flat_map(|layer| [&layer.filters, &layer.responses]);
        layers.chain([&self.seen, &self.bars]).for_each(|picture| picture.encode(&mut encoder));
        self.gpu.queue().submit([encoder.finish()]);
        Ok(())
    }

    /// Trains for about that long; `None` while the training is being prepared.
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

    /// Takes these parameters; training begins anew with them.
    pub fn set_parameters(&mut self, parameters: Vec<f32>) -> Result<()> {
        self.predictor.set_parameters(&parameters)?;
        (self.training, self.initial, self.checkpoint) = (Training::NotBegun, parameters, None);
        Ok(())
    }

    /// Leaves what training had learned by the last snapshot in a file, even if the device is lost; whether there is such.
    pub fn save_checkpoint(&self, file: &Path) -> Result<bool> {
        let checkpoint = match &self.training {
            Training::Ready(trainer) => Some(trainer.last_checkpoint()),
            _ => self.checkpoint.clone(),
        };
        checkpoint.map(|checkpoint| checkpoint.save(file, &self.layout)).transpose().map(|saved| saved.is_some())
    }

    /// Goes on from there; returns the steps that led there.
    pub fn resume(&mut self, file: &Path) -> Result<u64> {
        let checkpoint = trainer(&self.gpu, &models::lenet5())?.read_checkpoint(file)?;
        self.set_parameters(checkpoint.snapshot.parameters.clone())?;
        Ok(self.checkpoint.insert(checkpoint).steps())
    }

    /// The parameters as they are, waiting for the device.
    fn parameters(&mut self) -> Result<Vec<f32>> {
        match &mut self.training {
            Training::Ready(trainer) => Ok(trainer.snapshot()?.parameters.clone()),
            _ => Ok(self.initial.clone()),
        }
    }

    /// The parameters of a run's folder.
    pub fn read(&self, folder: &Path) -> Result<Vec<f32>> {
        RunFolder::read_weights(folder, &self.layout)
    }

    /// Writes `model.safetensors` into a folder, which is made if there is none, and returns where.
    pub fn save(&mut self, folder: &Path) -> Result<PathBuf> {
        let parameters = self.parameters()?;
        fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        let path = folder.join("model.safetensors");
        weights::save(&path, &self.layout, &parameters, &BTreeMap::from([("model".into(), MODEL.into())]))?;
        Ok(path)
    }

    /// The class whose probability is greatest, and that, waiting for the device: for `--status` alone.
    pub fn prediction(&self) -> Result<(usize, f32)> {
        let probabilities = self.predictor.session().read(self.predictor.probabilities())?;
        let best = probabilities.into_iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
        best.ok_or_else(|| Error::option("classes", "at least one", 0))
    }
}

fn trainer<'m>(gpu: &Gpu, model: &'m Sequential) -> Result<Trainer<'m>> {
    Ok(Trainer::new(gpu, model, Sgd::new(0.05).momentum(0.9))?.batch_size(BATCH))
}

/// Makes the trainer on a thread of its own: reading MNIST, compiling and uploading take longer than a frame.
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
    // Nobody waits any more if other weights were loaded meanwhile.
    thread::spawn(move || drop(sender.send(make())));
    receiver
}
