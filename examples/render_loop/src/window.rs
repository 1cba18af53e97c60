//! The loop in a window.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use winit::application::ApplicationHandler;
use winit::dpi::LogicalSize;
use winit::event::WindowEvent;
use winit::event_loop::{ActiveEventLoop, EventLoop};
use winit::window::{Window, WindowId};

use crate::headless::save;
use crate::{App, Canvas, Graphics, Result, SIZE, Scene};

/// Opens the window. Ends when it is closed, or after `frames` frames; the last frame is saved if a path is given.
///
/// Errors: there is no window or device; the device is lost; the file cannot be written.
pub fn run(frames: Option<u32>, image: Option<PathBuf>) -> Result<()> {
    let mut starter = Starter { frames, image, running: None, outcome: Ok(()) };
    EventLoop::new()?.run_app(&mut starter)?;
    starter.outcome
}

/// The handler of the event loop.
struct Starter {
    frames: Option<u32>,
    image: Option<PathBuf>,
    running: Option<Running>,
    outcome: Result<()>,
}

struct Running {
    window: Arc<Window>,
    surface: wgpu::Surface<'static>,
    configuration: wgpu::SurfaceConfiguration,
    graphics: Graphics,
    app: App,
    begun: Instant,
    frames: u32,
    /// The time of the last title update, and the frames since then.
    titled: (Instant, u32),
}

impl ApplicationHandler for Starter {
    fn resumed(&mut self, events: &ActiveEventLoop) {
        match Running::new(events) {
            Ok(running) => self.running = Some(running),
            Err(error) => self.end(events, Err(error)),
        }
    }

    fn window_event(&mut self, events: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        let Some(running) = &mut self.running else { return };
        match event {
            WindowEvent::CloseRequested => self.end(events, Ok(())),
            WindowEvent::Resized(size) => running.resize([size.width, size.height]),
            WindowEvent::RedrawRequested => match running.frame() {
                Ok(()) if self.frames.is_some_and(|frames| running.frames >= frames) => {
                    let outcome = running.save(self.image.take());
                    self.end(events, outcome);
                }
                Ok(()) => running.window.request_redraw(),
                Err(error) => self.end(events, Err(error)),
            },
            _ => {}
        }
    }
}

impl Starter {
    fn end(&mut self, events: &ActiveEventLoop, outcome: Result<()>) {
        if let Some(running) = self.running.take() {
            println!("{}", running.app.summary());
        }
        self.outcome = outcome;
        events.exit();
    }
}

impl Running {
    fn new(events: &ActiveEventLoop) -> Result<Self> {
        let [width, height] = SIZE;
        let attributes = Window::default_attributes().with_inner_size(LogicalSize::new(width, height));
        let window = Arc::new(events.create_window(attributes.with_title("lenslet: a network in a render loop"))?);
        let display = Box::new(events.owned_display_handle());
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_with_display_handle(display));
        let surface = instance.create_surface(window.clone())?;
        let graphics = Graphics::new(&instance, Some(&surface))?;
        let size = window.inner_size();
        let configuration = surface.get_default_config(&graphics.adapter, size.width.max(1), size.height.max(1));
        let mut configuration = configuration.ok_or("the device cannot draw to this window")?;
        // All colors here are already sRGB-encoded.
        let stored = configuration.format.remove_srgb_suffix();
        if surface.get_capabilities(&graphics.adapter).formats.contains(&stored) {
            configuration.format = stored;
        }
        surface.configure(&graphics.device, &configuration);
        let app = App::new(&graphics, configuration.format)?;
        let begun = Instant::now();
        window.request_redraw();
        Ok(Self { window, surface, configuration, graphics, app, begun, frames: 0, titled: (begun, 0) })
    }

    fn resize(&mut self, [width, height]: [u32; 2]) {
        (self.configuration.width, self.configuration.height) = (width.max(1), height.max(1));
        self.surface.configure(&self.graphics.device, &self.configuration);
    }

    fn frame(&mut self) -> Result<()> {
        use wgpu::CurrentSurfaceTexture as Current;
        let time = self.begun.elapsed().as_secs_f32();
        match self.surface.get_current_texture() {
            Current::Success(frame) | Current::Suboptimal(frame) => {
                self.app.frame(time, &frame.texture)?;
                self.window.pre_present_notify();
                self.graphics.queue.present(frame);
                self.frames += 1;
            }
            Current::Outdated | Current::Lost => self.surface.configure(&self.graphics.device, &self.configuration),
            Current::Timeout | Current::Occluded | Current::Validation => {}
        }
        self.app.train()?;
        let (then, before) = self.titled;
        let seconds = then.elapsed().as_secs_f32();
        if seconds >= 0.5 {
            let (digit, rate) = (Scene::digit_at(time), (self.frames - before) as f32 / seconds);
            let steps = self.app.steps();
            self.window
                .set_title(&format!("lenslet: digit {digit}, {rate:.0} frames a second, {steps} steps of training"));
            self.titled = (Instant::now(), self.frames);
        }
        Ok(())
    }

    /// Draws the current frame again and saves it.
    fn save(&mut self, path: Option<PathBuf>) -> Result<()> {
        let Some(path) = path else { return Ok(()) };
        let canvas = Canvas::new(&self.graphics.device, self.configuration.format);
        self.app.frame(self.begun.elapsed().as_secs_f32(), &canvas.texture)?;
        save(&canvas.image(&self.graphics)?, &path)
    }
}
