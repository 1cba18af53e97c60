//! The app: its state, and the work of one frame.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use eframe::egui::{self, CentralPanel, Frame, Key, Margin, Panel, TextureId, Ui};
use eframe::egui_wgpu::RenderState;
use eframe::{CreationContext, wgpu};
use lenslet::{Error, Gpu, Result};

use crate::canvas::Canvas;
use crate::device::Trouble;
use crate::frames::{Curve, Frames, Rate};
use crate::network::Network;
use crate::options::{AGAIN_AFTER, Options};
use crate::panels::BELOW_PAPER;
use crate::status::{Figures, Places, Status};
use crate::theme::{self, GAP};

/// Training time per frame; the rest of its 16 ms is for the window.
const SLICE: Duration = Duration::from_millis(6);
/// Training time as a fraction of the window's drawing time, if drawing takes longer than a frame, as on software
/// devices.
const SHARE: f32 = 0.5;

/// The smallest window in which everything fits.
const LEAST: egui::Vec2 = egui::vec2(700.0, 500.0);

pub struct App {
    render: RenderState,
    trouble: Trouble,
    pub canvas: Canvas,
    /// The paper's texture in the window.
    pub paper: TextureId,
    pub network: Result<Network>,
    pub training: bool,
    pub step: u64,
    /// Number of images used for training.
    images: f64,
    /// Training time of the last frame.
    trained: Duration,
    pub losses: Curve,
    pub accuracies: Curve,
    pub rate: Rate,
    pub frames: Frames,
    pub device: String,
    pub folder: String,
    pub message: String,
    /// Whether the message reports a failure.
    pub failed: bool,
    status: Option<Status>,
    pub places: Places,
    /// When the window was opened, if it was reopened after a device loss.
    again: Option<Instant>,
}

impl App {
    /// The app in a new window.
    ///
    /// Errors: eframe does not use wgpu.
    pub fn new(context: &CreationContext<'_>, options: Options) -> Result<Self, String> {
        theme::apply(&context.egui_ctx);
        let render = context.wgpu_render_state.clone().ok_or("eframe draws this window without wgpu")?;
        let trouble = Trouble::watch(&render.device, &context.egui_ctx);
        let canvas = Canvas::new(&render.device);
        let paper =
            render.renderer.write().register_native_texture(&render.device, &canvas.view(), wgpu::FilterMode::Linear);
        let gpu = Gpu::from_wgpu(render.device.clone(), render.queue.clone());
        let device = format!("{} ({})", gpu.name(), gpu.driver());
        let network = Network::new(&gpu, &render, &canvas);
        let failure = network.as_ref().err().map(ToString::to_string);
        let failed = failure.is_some();
        let mut app = Self {
            render,
            trouble,
            canvas,
            paper,
            network,
            training: false,
            step: 0,
            images: 0.0,
            trained: Duration::ZERO,
            losses: Curve::default(),
            accuracies: Curve::default(),
            rate: Rate::default(),
            frames: Frames::default(),
            device,
            message: failure.unwrap_or("Untrained weights".into()),
            failed,
            status: options.status.then(Status::new),
            places: Places::default(),
            again: options.lost.is_some().then(Instant::now),
            folder: options.folder.unwrap_or_default(),
        };
        match &options.checkpoint {
            Some(file) => app.resume(file, options.training),
            None if !app.folder.is_empty() => app.load(),
            None => {}
        }
        if let Some(reason) = options.lost {
            app.fail(format!("The device was lost ({reason}); this is a new one. {}", app.message));
        }
        Ok(app)
    }

    /// Resumes from the last snapshot before the device was lost.
    fn resume(&mut self, file: &Path, training: bool) {
        let Ok(network) = &mut self.network else { return };
        match network.resume(file) {
            Ok(step) => {
                (self.step, self.training) = (step, training);
                self.say(format!("Goes on from step {step}"));
            }
            Err(error) => self.fail(error),
        }
        // Its content has been read.
        let _ = fs::remove_file(file);
    }

    fn say(&mut self, message: impl Into<String>) {
        (self.message, self.failed) = (message.into(), false);
    }

    fn fail(&mut self, error: impl ToString) {
        (self.message, self.failed) = (error.to_string(), true);
    }

    /// Loads the weights from the folder in the text field.
    pub fn load(&mut self) {
        let Ok(network) = &self.network else { return };
        match network.read(Path::new(self.folder.trim())) {
            Ok(parameters) => {
                self.say(format!("Loaded the weights in {}", self.folder.trim()));
                self.set(parameters);
            }
            Err(error) => self.fail(error),
        }
    }

    fn set(&mut self, parameters: Vec<f32>) {
        let Ok(network) = &mut self.network else { return };
        if let Err(error) = network.set_parameters(parameters) {
            self.fail(error);
        }
        // Training restarts from these weights.
        (self.losses, self.accuracies, self.rate, self.step, self.images) = Default::default();
    }

    /// Saves the weights to the folder in the text field.
    pub fn save(&mut self) {
        let Ok(network) = &mut self.network else { return };
        match network.save(Path::new(self.folder.trim())) {
            Ok(path) => self.say(format!("Saved {}", path.display())),
            Err(error) => self.fail(error),
        }
    }

    /// Starts or pauses the training.
    pub fn toggle_training(&mut self) {
        self.training = !self.training;
        (self.frames, self.rate, self.trained) = Default::default();
        if self.training {
            self.say("Trained here, not saved");
        }
    }

    /// Trains for a slice of the frame.
    fn train(&mut self) -> Result<()> {
        let Ok(network) = &mut self.network else { return Ok(()) };
        let drawing = self.frames.last().saturating_sub(self.trained);
        let Some(progress) = network.train_for(SLICE.max(drawing.mul_f32(SHARE)))? else { return Ok(()) };
        self.trained = progress.elapsed;
        for step in &progress.steps {
            self.step = step.step;
            self.images += f64::from(step.counted);
            self.losses.push(step.loss);
            self.accuracies.push(step.correct / step.counted);
        }
        self.rate.mark(self.images);
        Ok(())
    }

    /// Runs the network on the current paper.
    fn run(&mut self) -> Result<()> {
        let is_new = self.canvas.upload(&self.render.queue);
        let Ok(network) = &self.network else { return Ok(()) };
        if is_new {
            network.look_at(self.canvas.rectangle())?;
        }
        network.run()
    }

    /// Restarts the program if the device is lost, with the last snapshot of the training, else with the weights in the
    /// folder: eframe cannot draw its window any more, and some drivers hang when it tries.
    fn start_again_if_lost(&self) {
        // A poll reports the loss.
        let _ = self.render.device.poll(wgpu::PollType::Poll);
        let Some(reason) = self.trouble.loss() else { return };
        if self.again.is_some_and(|opened| opened.elapsed() < AGAIN_AFTER) {
            eprintln!("draw_digit: the new device was lost at once too: {reason}");
            process::exit(1);
        }
        let file = env::temp_dir().join(format!("draw_digit-{}.safetensors", process::id()));
        let saved = self.network.as_ref().is_ok_and(|network| {
            network.save_checkpoint(&file).unwrap_or_else(|error| {
                eprintln!("draw_digit: what was learned since is lost with the device: {error}");
                false
            })
        });
        let options = Options {
            folder: Some(self.folder.clone()).filter(|folder| !folder.is_empty()),
            status: self.status.is_some(),
            lost: Some(reason),
            checkpoint: saved.then_some(file),
            training: self.training,
        };
        options.start_again();
    }

    fn print_status(&mut self, ctx: &egui::Context) {
        let (Some(status), Ok(network)) = (&mut self.status, &self.network) else { return };
        if status.is_due() {
            let figures = Figures {
                prediction: network.prediction().unwrap_or((0, f32::NAN)),
                training: self.training,
                step: self.step,
                loss: self.losses.points().last().copied(),
                accuracy: self.accuracies.points().last().copied(),
                images_per_second: self.rate.per_second(),
                frame_ms: self.frames.figures(),
                message: self.message.clone(),
            };
            status.print(&figures, &self.places, ctx.pixels_per_point());
        }
        ctx.request_repaint_after(status.wait());
    }
}

impl Drop for App {
    /// egui's painter panics if the device is lost during painting.
    fn drop(&mut self) {
        if thread::panicking() {
            self.start_again_if_lost();
        }
    }
}

impl eframe::App for App {
    fn clear_color(&self, _: &egui::Visuals) -> [f32; 4] {
        theme::BACKGROUND.to_normalized_gamma_f32()
    }

    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
        let ctx = ui.ctx().clone();
        self.start_again_if_lost();
        if let Some(error) = self.trouble.take_error() {
            self.training = false;
            self.fail(error);
        }
        self.frames.begin(self.training || self.canvas.is_drawing());
        if self.training {
            match self.train() {
                // The program is about to restart and resume.
                Ok(()) | Err(Error::DeviceLost(_)) => {}
                Err(error) => {
                    self.training = false;
                    self.fail(error);
                }
            }
            ctx.request_repaint();
        }
        if !ctx.egui_wants_keyboard_input() && ui.input(|input| input.key_pressed(Key::C)) {
            self.canvas.clear();
        }
        let frame = Frame::NONE.inner_margin(Margin::same(GAP as i8));
        let side = |margin| frame.inner_margin(margin);
        let gap = GAP as i8;
        CentralPanel::default().frame(frame).show(ui, |ui| {
            // Some window managers ignore the minimum size.
            if ui.available_width() < LEAST.x || ui.available_height() < LEAST.y {
                ui.label("This window is too small for what it shows.");
                return;
            }
            ui.spacing_mut().item_spacing = egui::vec2(8.0, 8.0);
            let above = Margin { top: gap, ..Margin::ZERO };
            Panel::bottom("training")
                .frame(side(above))
                .exact_size(176.0)
                .resizable(false)
                .show_separator_line(false)
                .show(ui, |ui| self.training_panel(ui));
            let right = Margin { right: gap, ..Margin::ZERO };
            // The width that lets the paper use the available height.
            let width = (ui.available_height() - BELOW_PAPER + GAP).min(0.3 * ui.available_width()).max(240.0);
            Panel::left("paper")
                .frame(side(right))
                .exact_size(width)
                .resizable(false)
                .show_separator_line(false)
                .show(ui, |ui| self.paper_panel(ui));
            Panel::left("classes")
                .frame(side(right))
                .exact_size(220.0)
                .resizable(false)
                .show_separator_line(false)
                .show(ui, |ui| self.classes_panel(ui));
            CentralPanel::no_frame().show(ui, |ui| self.layers_panel(ui));
        });
        // Submitted before the window's own commands, which draw its outputs.
        if let Err(error) = self.run() {
            self.fail(error);
        }
        self.print_status(&ctx);
        self.start_again_if_lost();
        if self.status.as_ref().is_some_and(Status::is_to_lose) {
            // The worst moment for a loss: just before painting.
            self.render.device.destroy();
        }
    }
}
