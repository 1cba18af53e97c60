//! The loop drawing to a texture, checked after the training.

use std::process::Command;
use std::time::{Duration, Instant};

use image::{GenericImageView as _, RgbaImage};
use lenslet::gpu::texture::ColorMap;
use render_loop::{App, BARS, Canvas, Graphics, STAY, STEPS};

#[test]
fn each_digit_of_the_scene_is_recognized() {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let Some(graphics) = graphics(&instance) else { return };
    let format = wgpu::TextureFormat::Rgba8Unorm;
    let (mut app, canvas) = (App::new(&graphics, format).unwrap(), Canvas::new(&graphics.device, format));
    let begun = Instant::now();
    for frame in 0.. {
        app.frame(frame as f32 / 60.0, &canvas.texture).unwrap();
        app.wait().unwrap();
        app.train().unwrap();
        if app.steps() >= STEPS {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{} steps after {frame} frames", app.steps());
    }
    println!("{}", app.summary());
    let mut answers = vec![];
    // Three times of each digit, with different positions and rotations.
    for (digit, moment) in (0..10).flat_map(|digit| [0.3, 0.6, 0.9].map(|moment| (digit, moment))) {
        app.frame((digit as f32 + moment) * STAY, &canvas.texture).unwrap();
        let image = canvas.image(&graphics).unwrap();
        assert_shows_a_digit(&image);
        let bars = lengths(&image);
        let longest = (0..10).max_by_key(|class| bars[*class]).unwrap();
        answers.push((digit, longest));
    }
    let right = answers.iter().filter(|(digit, longest)| digit == longest).count();
    println!("{right} of {} right", answers.len());
    // Devices round differently, so their training results differ.
    assert!(10 * right >= 9 * answers.len(), "digits and what the network took them for: {answers:?}");
}

#[test]
fn the_command_saves_the_last_frame() {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    if graphics(&instance).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("last.png");
    let mut command = Command::new(env!("CARGO_BIN_EXE_render_loop"));
    let output = command.args(["--headless", "--frames", "3", "--image"]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_shows_a_digit(&image::open(&path).unwrap().to_rgba8());
}

/// A device; `None` if there is no adapter, which is a failure if REQUIRE_GPU is set.
fn graphics(instance: &wgpu::Instance) -> Option<Graphics> {
    let graphics = Graphics::new(instance, None);
    if let Err(error) = &graphics {
        assert!(std::env::var_os("REQUIRE_GPU").is_none(), "no GPU: {error}");
        eprintln!("skipped: {error}");
    }
    graphics.ok()
}

/// Bright strokes cover a small part of the scene.
fn assert_shows_a_digit(image: &RgbaImage) {
    let scene = image.view(32, 32, 576, 576);
    let bright = scene.pixels().filter(|(.., pixel)| pixel.0[0] > 120).count() as f64 / f64::from(576 * 576);
    assert!((0.02..0.3).contains(&bright), "{bright} of the scene is bright");
}

/// The length of each bar in texels, measured in the middle of its row by the color map's color of 0.
fn lengths(image: &RgbaImage) -> [usize; 10] {
    let [x, y, width, height] = BARS;
    let nothing = ColorMap::Viridis.color(0.0).map(|v| (255.0 * v).round() as u8);
    std::array::from_fn(|class| {
        let row = y + (2 * class as u32 + 1) * height / 20;
        (x..x + width).filter(|x| image.get_pixel(*x, row).0[..3] != nothing).count()
    })
}
