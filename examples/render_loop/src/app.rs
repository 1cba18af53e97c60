//! One frame: scene, network and panels in one command encoder; then, between frames, training.

use std::time::{Duration, Instant};

use glam::camera::rh::proj::directx::orthographic;
use glam::{Mat4, Vec2Swizzles, Vec4, vec2, vec3};
use lenslet::Gpu;

use crate::digits::{PIECES, RADIUS, pieces};
use crate::figure::{Look, Tubes};
use crate::network::{Images, Network};
use crate::panels::Panels;
use crate::scene::{SIDE, Scene};
use crate::{BACKGROUND, Graphics, Result, texture};

/// The rectangle of the bars, one per class: `[x, y, width, height]`.
pub const BARS: [u32; 4] = [696, 32, 440, 412];
/// The rectangle of the class names.
const LABELS: [u32; 4] = [640, 32, 44, 412];

/// The body of the loop.
pub struct App {
    gpu: Gpu,
    scene: Scene,
    network: Network,
    panels: Panels,
    times: Times,
}

/// Frame times with and without training.
#[derive(Default)]
struct Times {
    last: Option<Instant>,
    spent: [(u32, Duration); 2],
}

impl App {
    /// An app that draws to textures of this format.
    ///
    /// Errors: the device lacks a feature or limit that lenslet requires.
    pub fn new(graphics: &Graphics, format: wgpu::TextureFormat) -> Result<Self> {
        let device = &graphics.device;
        let gpu = Gpu::from_wgpu(device.clone(), graphics.queue.clone());
        let scene = Scene::new(device);
        let [.., width, height] = BARS;
        let (network, Images { seen, first, second, bars }) = Network::new(&gpu, &scene.target, [width, height])?;
        let labels = labels(&gpu);
        let mut panels = Panels::new(device, format);
        let places = [
            (&scene.target, [32, 32, SIDE, SIDE]),
            (&labels, LABELS),
            (&bars, BARS),
            (&seen, [640, 476, 132, 132]),
            (&first, [788, 476, 200, 132]),
            (&second, [1004, 476, 132, 132]),
        ];
        places.into_iter().for_each(|(texture, place)| panels.add(device, texture, place));
        Ok(Self { gpu, scene, network, panels, times: Times::default() })
    }

    /// Draws the frame at `time` seconds after the start. Nothing is read back.
    ///
    /// Errors: possible only in the first frame.
    pub fn frame(&mut self, time: f32, to: &wgpu::Texture) -> Result<()> {
        let queue = self.gpu.queue();
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        let rectangle = self.scene.encode(queue, &mut encoder, time);
        self.network.look_at(rectangle)?;
        self.network.encode(&mut encoder)?;
        self.panels.encode(&mut encoder, to);
        queue.submit([encoder.finish()]);
        Ok(())
    }

    /// Trains for the rest of a frame.
    ///
    /// Errors: the device is lost.
    pub fn train(&mut self) -> Result<()> {
        let learning = self.network.train()?;
        self.times.frame_ended(learning);
        Ok(())
    }

    /// Number of training steps so far.
    pub fn steps(&self) -> u64 {
        self.network.steps()
    }

    /// Waits until the device is idle.
    ///
    /// Errors: the device is lost.
    pub fn wait(&self) -> Result<()> {
        Ok(self.gpu.wait()?)
    }

    /// A summary of the device and the frame times.
    pub fn summary(&self) -> String {
        let told = |(frames, spent): (u32, Duration)| match frames {
            0 => "none".into(),
            _ => format!("{frames} of {:.1} ms", 1e3 * spent.as_secs_f64() / f64::from(frames)),
        };
        let [at_rest, learning] = self.times.spent.map(told);
        format!(
            "{}: frames while the network learned: {learning}; else: {at_rest}; {} steps",
            self.gpu.name(),
            self.steps()
        )
    }
}

impl Times {
    fn frame_ended(&mut self, learning: bool) {
        let now = Instant::now();
        if let Some(last) = self.last.replace(now) {
            let (frames, spent) = &mut self.spent[usize::from(learning)];
            (*frames, *spent) = (*frames + 1, *spent + (now - last));
        }
    }
}

/// The class names, from 0 at the top, drawn once.
fn labels(gpu: &Gpu) -> wgpu::Texture {
    let usage = wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::TEXTURE_BINDING;
    let [.., width, height] = LABELS;
    let labels = texture(gpu.device(), [width, height], wgpu::TextureFormat::Rgba8Unorm, usage);
    let tubes = Tubes::new(gpu.device(), &labels, BACKGROUND);
    let mut figure = tubes.figure(gpu.device(), 10 * PIECES);
    // Each name is in a row of height 3.
    let row = |digit: usize| pieces(digit).map(|ends| ends + vec2(0.0, 28.5 - 3.0 * digit as f32).xyxy());
    let all: Vec<Vec4> = (0..10).flat_map(row).collect();
    let across = 15.0 * width as f32 / height as f32;
    let to_clip = orthographic(-across, across, 0.0, 30.0, -1.0, 1.0);
    figure.set(
        gpu.queue(),
        &Look { to_world: Mat4::IDENTITY, to_clip, color: vec3(0.8, 0.83, 0.87), radius: RADIUS },
        &all,
    );
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    tubes.encode(&mut encoder, &[&figure]);
    gpu.queue().submit([encoder.finish()]);
    labels
}
