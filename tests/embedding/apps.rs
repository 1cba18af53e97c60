//! An app's own device, and a small network to train on it.

use lenslet::data::{Augment, Dataset};
use lenslet::nn::Sequential;
use lenslet::optim::Sgd;
use lenslet::{Gpu, ShaderChecks, Trainer, wgpu};

use crate::adapter::adapter;
use crate::common;

/// A device as an app makes it that knows nothing of lenslet: WebGPU's default limits, no features. `None` where there is
/// no adapter.
pub fn device() -> Option<(wgpu::Device, wgpu::Queue)> {
    device_with(|_| wgpu::DeviceDescriptor::default())
}

/// A device that is asked of the adapter so.
pub fn device_with(
    descriptor: impl FnOnce(&wgpu::Adapter) -> wgpu::DeviceDescriptor<'static>,
) -> Option<(wgpu::Device, wgpu::Queue)> {
    common::gpu(ShaderChecks::Trusted)?;
    let adapter = adapter().expect("there is an adapter");
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor(&adapter))).unwrap();
    device.on_uncaptured_error(std::sync::Arc::new(|error| panic!("the app hears of an error: {error}")));
    Some((device, queue))
}

/// The same, lent to lenslet.
pub fn lent() -> Option<Gpu> {
    device().map(|(device, queue)| Gpu::from_wgpu(device, queue))
}

/// Values that look like noise, in `[0, 1)`.
pub fn noise(length: usize) -> Vec<f32> {
    (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32).collect()
}

/// 50 pictures of noise in 4 classes, each of which has a bright quarter of its own.
pub fn pictures() -> Dataset {
    let labels: Vec<u8> = (0..50).map(|i| i % 4).collect();
    let mut images: Vec<u8> = noise(50 * 144).iter().map(|v| (v * 127.0) as u8).collect();
    for (picture, label) in images.chunks_mut(144).zip(&labels) {
        let (top, left) = (usize::from(label / 2) * 6, usize::from(label % 2) * 6);
        (0..36).for_each(|i| picture[(top + i / 6) * 12 + left + i % 6] += 120);
    }
    Dataset::new(images, labels, [1, 12, 12], 4).unwrap()
}

/// A network with what a step keeps beside the trained parameters: running averages, and a frozen layer.
pub fn network() -> Sequential {
    let convolutions = Sequential::new([1, 12, 12]).conv2d(5, 3).padding(1).batch_norm().relu().max_pool2d(2);
    convolutions.conv2d(6, 3).trainable(false).relu().flatten().dense(4)
}

/// Trains it in batches of 8: 7 steps an epoch, the last one not full.
pub fn trainer<'m>(gpu: &Gpu, model: &'m Sequential) -> Trainer<'m> {
    let augment = Augment::default().rotate(10.0).crop(1);
    Trainer::new(gpu, model, Sgd::new(0.05).momentum(0.9)).unwrap().batch_size(8).seed(3).augment(augment)
}

pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}
