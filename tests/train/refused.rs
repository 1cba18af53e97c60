//! What cannot be trained.

use lenslet::nn::Sequential;
use lenslet::optim::{AnyOptimizer, RmsProp, Sgd};
use lenslet::train::{Fit, Trainer};
use lenslet::{Device, Error, Gpu, ShaderChecks, wgpu};

use crate::adapter::adapter;
use crate::common;
use crate::fixture::{CLASSES, SHAPE, dataset, devices, network, sgd, trainer};

#[test]
fn jobs_that_make_no_sense_are_refused_before_they_run() {
    let data = dataset(30);
    let model = network();
    let larger = Sequential::new([1, 14, 14]).flatten().dense(CLASSES);
    let more = Sequential::new(SHAPE).flatten().dense(CLASSES + 1);
    let whole = Fit::from(1);
    let held_out = |validation| Fit { validation, ..whole };
    for device in devices() {
        for (model, batch, fit, parts) in [
            (&model, 0, whole, ["batch size", "1 to 30", "found 0"]),
            (&model, 31, whole, ["batch size", "1 to 30", "found 31"]),
            (&model, 16, held_out(20), ["batch size", "1 to 10", "found 16"]),
            (&model, 1, held_out(30), ["validation", "below the 30", "found 30"]),
            (&larger, 5, whole, ["data set", "[1, 14, 14]", "[1, 12, 12]"]),
            (&more, 5, whole, ["output", "5 classes", "[5, 6]"]),
        ] {
            let mut trainer = trainer(&device, model, sgd()).batch_size(batch);
            let check = trainer.check(&data, fit).unwrap_err().to_string();
            let told = trainer.fit(&data, fit).unwrap_err().to_string();
            assert_eq!(check, told);
            assert!(parts.iter().all(|part| told.contains(part)), "{told:?} lacks one of {parts:?}");
            assert!(trainer.is_untrained());
        }
        let trainer = trainer(&device, &larger, sgd());
        assert!(trainer.evaluate(&data).unwrap_err().to_string().contains("[1, 14, 14]"));
    }
    let refused = |optimizer: AnyOptimizer| match Trainer::boxed(Device::Cpu, &model, optimizer.boxed()) {
        Ok(_) => panic!("{optimizer:?} is taken"),
        Err(error) => error.to_string(),
    };
    for rate in [f32::NAN, f32::INFINITY, 0.0, -0.1] {
        assert!(refused(AnyOptimizer::Sgd(Sgd::new(rate))).contains("learning rate"));
        assert!(refused(AnyOptimizer::RmsProp(RmsProp::new(rate))).contains("learning rate"));
    }
    assert!(refused(AnyOptimizer::Sgd(Sgd::new(0.1).momentum(f32::NAN))).contains("momentum"));
    assert!(refused(AnyOptimizer::Sgd(Sgd::new(0.1).weight_decay(-1.0))).contains("weight decay"));
}

#[test]
fn a_batch_too_large_for_the_device_is_refused_before_anything_is_made() {
    if common::gpu(ShaderChecks::Trusted).is_none() {
        return;
    }
    let adapter = adapter().unwrap();
    let required_limits = wgpu::Limits { max_storage_buffer_binding_size: 1 << 14, ..wgpu::Limits::default() };
    let descriptor = wgpu::DeviceDescriptor { required_limits, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    let device = Device::Gpu(Gpu::from_wgpu(device, queue));

    let (model, data) = (network(), dataset(80));
    // Four maps of 5x5 floats: 6400 bytes for 16 pictures, 25,600 for 64.
    trainer(&device, &model, sgd()).check(&data, 1).unwrap();
    let mut large = trainer(&device, &model, sgd()).batch_size(64);
    for error in [large.check(&data, 1).unwrap_err(), large.fit(&data, 1).unwrap_err()] {
        let told = error.to_string();
        for part in ["conv2d \"conv1\"", "maxStorageBufferBindingSize of 25600", "has 16384", "smaller batch"] {
            assert!(told.contains(part), "{told:?} lacks {part:?}");
        }
    }
}

#[test]
fn windows_that_do_not_fit_are_refused_with_their_layer() {
    let image = || Sequential::new(SHAPE);
    for (model, parts) in [
        (image().conv2d(4, 15).padding(1), ["conv2d \"conv1\"", "15 rows", "1 + 1"]),
        (image().conv2d(4, 3).stride(0), ["conv2d \"conv1\"", "stride", "0x0"]),
        (image().max_pool2d(2).max_pool2d(7), ["max_pool2d \"pool2\"", "7 rows", "6 rows"]),
        (image().avg_pool2d(2).stride([1, 0]), ["avg_pool2d \"pool1\"", "stride", "1x0"]),
    ] {
        let error = Trainer::new(Device::Cpu, &model, Sgd::new(0.1)).err().unwrap();
        assert!(matches!(error, Error::Shape { .. }));
        let told = error.to_string();
        assert!(parts.iter().all(|part| told.contains(part)), "{told:?} lacks one of {parts:?}");
    }
}
