//! Frames without a window: the images show filters, which change during training.

use std::time::{Duration, Instant};

use bevy::prelude::*;
use bevy::render::gpu_readback::{Readback, ReadbackComplete};
use bevy::render::pipelined_rendering::PipelinedRenderingPlugin;
use bevy::window::ExitCondition;
use bevy::winit::WinitPlugin;
use bevy_plugin::{LensletPlugin, Images, SIZE};

/// The latest bytes of the filters' image.
#[derive(Resource, Default)]
struct Seen(Vec<u8>);

#[test]
fn filters_are_drawn_and_change_while_the_network_learns() {
    let mut app = App::new();
    let window = WindowPlugin { primary_window: None, exit_condition: ExitCondition::DontExit, ..default() };
    let plugins = DefaultPlugins.set(window).disable::<WinitPlugin>().disable::<PipelinedRenderingPlugin>();
    app.add_plugins((plugins, LensletPlugin)).init_resource::<Seen>();
    let filters = app.world().resource::<Images>().filters.clone();
    let keep = |image: On<ReadbackComplete>, mut seen: ResMut<Seen>| seen.0 = image.data.clone();
    app.world_mut().spawn(Readback::texture(filters)).observe(keep);
    app.finish();
    app.cleanup();

    // Rows are padded as required for texture-to-buffer copies.
    let bytes = ((4 * SIZE[0]).next_multiple_of(256) * SIZE[1]) as usize;
    let begun = Instant::now();
    let mut first: Option<Vec<u8>> = None;
    let share = loop {
        app.update();
        let now = &app.world().resource::<Seen>().0;
        let is_drawn = now.len() == bytes && now.iter().any(|byte| *byte != now[0]);
        if is_drawn {
            let first = first.get_or_insert_with(|| now.clone());
            let changed = first.iter().zip(now).filter(|(a, b)| a != b).count() as f64 / now.len() as f64;
            if changed > 0.3 {
                break changed;
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(180), "drawn: {is_drawn}; nothing else changed");
    };
    println!("{:.0} % of the bytes changed in {:.1} s", 100.0 * share, begun.elapsed().as_secs_f64());
}
