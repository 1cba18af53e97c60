//! Filters and responses of a network in training, on two sprites: `cargo run --release`.

use bevy::prelude::*;
use bevy_plugin::{LensletPlugin, Images, SIZE};

fn main() {
    App::new()
        .add_plugins((DefaultPlugins, LensletPlugin))
        .insert_resource(ClearColor(Color::srgb(0.08, 0.085, 0.1)))
        .add_systems(Startup, show)
        .add_systems(Update, sway)
        .run();
}

fn show(mut commands: Commands, images: Res<Images>) {
    commands.spawn(Camera2d);
    let size = Vec2::from(SIZE.map(|side| 1.5 * side as f32));
    for (image, y) in [(&images.filters, 110.0), (&images.responses, -110.0)] {
        let sprite = Sprite { image: image.clone(), custom_size: Some(size), ..default() };
        commands.spawn((sprite, Transform::from_xyz(0.0, y, 0.0)));
    }
}

/// Shows that the game keeps running during training.
fn sway(time: Res<Time>, mut sprites: Query<&mut Transform, With<Sprite>>) {
    for mut transform in &mut sprites {
        transform.rotation = Quat::from_rotation_z(0.03 * time.elapsed_secs().sin());
    }
}
