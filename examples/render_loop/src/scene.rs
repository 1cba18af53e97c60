//! The scene: a digit made of tubes that turns and drifts, and is morphed into the next one every few seconds.

use glam::camera::rh::proj::directx::perspective;
use glam::{EulerRot, Mat4, Vec2, Vec4, vec2, vec3};

use crate::digits::{PIECES, RADIUS, REACH, corners, pieces};
use crate::figure::{Figure, Look, Tubes};
use crate::{DARK, texture};

/// Width and height of the render target.
pub const SIDE: u32 = 576;
/// Seconds per digit, including the morph.
pub const STAY: f32 = 3.0;
const CHANGE: f32 = 0.6;
/// The camera's distance from the digit, and half the visible height there.
const DISTANCE: f32 = 9.0;
const VIEW: f32 = 2.4;

/// The render target and its figures.
pub struct Scene {
    pub target: wgpu::Texture,
    tubes: Tubes,
    digits: [[Vec4; PIECES]; 10],
    digit: Figure,
    finder: Figure,
}

impl Scene {
    pub fn new(device: &wgpu::Device) -> Self {
        let usage = wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::TEXTURE_BINDING;
        let target = texture(device, [SIDE; 2], wgpu::TextureFormat::Rgba8Unorm, usage);
        let tubes = Tubes::new(device, &target, DARK);
        let (digit, finder) = (tubes.figure(device, PIECES), tubes.figure(device, 8));
        Self { target, tubes, digits: std::array::from_fn(pieces), digit, finder }
    }

    /// The digit at `time` seconds after the start.
    pub fn digit_at(time: f32) -> usize {
        (time / STAY) as usize % 10
    }

    /// Appends the drawing of the scene at `time`. Returns the rectangle of the render target centered at the digit, as
    /// the network's input.
    pub fn encode(&mut self, queue: &wgpu::Queue, encoder: &mut wgpu::CommandEncoder, time: f32) -> [u32; 4] {
        let (digit, share) = (Self::digit_at(time), (time % STAY / CHANGE).min(1.0));
        let share = share * share * (3.0 - 2.0 * share);
        let (from, to) = (self.digits[(digit + 9) % 10], self.digits[digit]);
        let shape: [Vec4; PIECES] = std::array::from_fn(|i| from[i].lerp(to[i], share));

        let place = vec2(0.85 * (0.53 * time).sin(), 0.8 * (0.41 * time).sin());
        let (yaw, pitch, roll) = (0.45 * (0.9 * time).sin(), 0.25 * (0.7 * time).cos(), 0.08 * (1.1 * time).sin());
        let turn = Mat4::from_euler(EulerRot::YXZ, yaw, pitch, roll);
        let near = perspective(2.0 * (VIEW / DISTANCE).atan(), 1.0, 1.0, 20.0);
        let to_clip = near * Mat4::from_translation(vec3(0.0, 0.0, -DISTANCE));
        let to_world = Mat4::from_translation(place.extend(0.0)) * turn;
        let look = Look { to_world, to_clip, color: vec3(1.0, 0.98, 0.93), radius: RADIUS };
        self.digit.set(queue, &look, &shape);
        // Outside the network's rectangle.
        let color = vec3(0.2, 0.75, 0.75);
        let look = Look { to_world: Mat4::IDENTITY, to_clip, color, radius: 0.012 };
        self.finder.set(queue, &look, &corners(place, REACH + 0.04));
        self.tubes.encode(encoder, &[&self.digit, &self.finder]);
        rectangle(place)
    }
}

/// A square in texels.
fn rectangle(middle: Vec2) -> [u32; 4] {
    let scale = SIDE as f32 / (2.0 * VIEW);
    let corner = |v: f32| ((v - REACH + VIEW) * scale).round().max(0.0) as u32;
    let side = (2.0 * REACH * scale) as u32;
    [corner(middle.x), corner(-middle.y), side, side]
}
