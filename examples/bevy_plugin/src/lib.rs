//! A bevy plugin that uses lenslet on bevy's own device.
//!
//! [`LensletPlugin`] trains LeNet-5 between frames. In each frame it draws the filters of the first convolution, and
//! their responses to a digit, to two images for sprites or materials.

use std::time::Duration;

use bevy::asset::RenderAssetUsages;
use bevy::core_pipeline::schedule::camera_driver;
use bevy::prelude::*;
use bevy::render::extract_resource::{ExtractResource, ExtractResourcePlugin};
use bevy::render::render_asset::RenderAssets;
use bevy::render::render_resource::{TextureFormat, TextureUsages};
use bevy::render::renderer::{RenderContext, RenderDevice, RenderGraph, RenderQueue};
use bevy::render::texture::GpuImage;
use bevy::render::{Render, RenderApp, RenderStartup, RenderSystems};
use lenslet::{FrameTrainer, Gpu, Predictor, TextureOutput, TextureWrite, Trainer};
use lenslet::{data::Mnist, gpu::texture::ValueRange, models, nn::Layout, optim::Sgd};

/// Training time per frame.
const BUDGET: Duration = Duration::from_millis(6);
/// Size of the images in texels: six tiles side by side, separated by transparent texels.
pub const SIZE: [u32; 2] = [6 * 112 + 5 * 8, 112];

/// Trains between frames and updates [`Images`].
pub struct LensletPlugin;

/// Images of the network, drawn entirely on the GPU.
#[derive(Resource, Clone, ExtractResource)]
#[extract_app(RenderApp)]
pub struct Images {
    /// The filters of the first convolution; negative weights are blue, positive ones red.
    pub filters: Handle<Image>,
    /// Their responses to a digit of MNIST's test set.
    pub responses: Handle<Image>,
}

/// The network, a resource of the render world.
#[derive(Resource)]
struct Network {
    trainer: FrameTrainer,
    predictor: Predictor,
    /// `None` until bevy has created the images' textures.
    outputs: Option<[TextureOutput; 2]>,
}

impl Plugin for LensletPlugin {
    fn build(&self, app: &mut App) {
        let mut assets = app.world_mut().resource_mut::<Assets<Image>>();
        let mut image = Image::new_target_texture(SIZE[0], SIZE[1], TextureFormat::Rgba8Unorm, None);
        image.asset_usage = RenderAssetUsages::RENDER_WORLD;
        image.texture_descriptor.usage =
            TextureUsages::STORAGE_BINDING | TextureUsages::TEXTURE_BINDING | TextureUsages::COPY_SRC;
        let images = Images { filters: assets.add(image.clone()), responses: assets.add(image) };
        app.insert_resource(images).add_plugins(ExtractResourcePlugin::<Images>::default());
        app.sub_app_mut(RenderApp)
            .add_systems(RenderStartup, begin)
            .add_systems(Render, prepare.in_set(RenderSystems::PrepareBindGroups))
            .add_systems(RenderGraph, draw.before(camera_driver))
            .add_systems(Render, train.in_set(RenderSystems::Cleanup));
    }
}

/// Uploads network and data to bevy's device.
fn begin(mut commands: Commands, device: Res<RenderDevice>, queue: Res<RenderQueue>) -> Result {
    let gpu = Gpu::from_wgpu(device.wgpu_device().clone(), (**queue).clone());
    let (mnist, model) = (Mnist::bundled()?, models::lenet5());
    let trainer = Trainer::new(&gpu, &model, Sgd::new(0.05).momentum(0.9))?.in_frames(&mnist.train, 5)?;
    let predictor = Predictor::new(&gpu, &model, &Layout::of(&model)?, 1, &["conv1"])?;
    let digit: Vec<f32> = mnist.test.image(0).iter().map(|byte| f32::from(*byte) / 255.0).collect();
    predictor.session().write(predictor.images(), digit.as_slice().into())?;
    commands.insert_resource(Network { trainer, predictor, outputs: None });
    Ok(())
}

/// Creates the outputs when the images' textures exist.
fn prepare(mut network: ResMut<Network>, images: Res<Images>, assets: Res<RenderAssets<GpuImage>>) -> Result {
    let found = [&images.filters, &images.responses].map(|image| assets.get(image));
    let ([Some(filters), Some(responses)], None) = (found, &network.outputs) else { return Ok(()) };
    let predictor = &network.predictor;
    let (range, shape) = predictor.filters("conv1")?;
    // Bevy interprets sampled values as linear light and encodes its output.
    let write = |write: TextureWrite| write.columns(6).gap(8).background([0.0; 4]).linear(true);
    let draw = |node, image: &GpuImage, how| TextureOutput::new(predictor.session(), node, &image.texture_view, &how);
    let outputs = [
        draw(predictor.parameters(), filters, write(TextureWrite::filters(range, shape)))?,
        draw(predictor.activation("conv1")?, responses, write(TextureWrite::maps().range(ValueRange::Whole)))?,
    ];
    network.outputs = Some(outputs);
    Ok(())
}

/// Encodes the network's part of a frame into bevy's encoder. Nothing is read back.
fn draw(network: Res<Network>, mut context: RenderContext) -> Result {
    let encoder = context.command_encoder();
    network.trainer.hand_over(encoder, &network.predictor)?;
    network.predictor.encode(encoder);
    network.outputs.iter().flatten().for_each(|output| output.encode(encoder));
    Ok(())
}

/// Trains between frames.
fn train(mut network: ResMut<Network>) -> Result {
    network.trainer.train_for(BUDGET)?;
    Ok(())
}
