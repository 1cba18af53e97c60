//! Waiting under an app's executor, and a device that goes away.

use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use lenslet::infer::Predictor;
use lenslet::nn::Layout;
use lenslet::train::{Event, StepReport};
use lenslet::{Error, Gpu};

use crate::apps::{bits, device, lent, network, noise, pictures, trainer};

/// An executor of a few lines that sleeps until it is woken, and knows nothing of devices. Returns how often it slept.
fn run<T>(future: impl Future<Output = T>) -> (T, usize) {
    struct Woken(std::thread::Thread, AtomicUsize);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.1.fetch_add(1, Ordering::SeqCst);
            self.0.unpark();
        }
    }
    let woken = Arc::new(Woken(std::thread::current(), AtomicUsize::new(0)));
    let waker = Waker::from(woken.clone());
    let mut future: Pin<&mut _> = pin!(future);
    let mut slept = 0;
    loop {
        let seen = woken.1.load(Ordering::SeqCst);
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return (output, slept);
        }
        slept += 1;
        let patience = Instant::now() + Duration::from_secs(20);
        while woken.1.load(Ordering::SeqCst) == seen {
            assert!(Instant::now() < patience, "nobody woke the executor in 20 s");
            std::thread::park_timeout(Duration::from_secs(1));
        }
    }
}

/// What an executor of several threads may move between them.
fn movable<F: Future + Send>(future: F) -> F {
    future
}

#[test]
fn whatever_waits_has_a_form_for_any_executor() {
    let Some(gpu) = lent() else { return };
    let model = network();
    let (learnt, slept) = run(async {
        let mut whole = trainer(&gpu, &model);
        let report = whole.fit_async(&pictures(), 2, |_| ControlFlow::Continue(())).await.unwrap();
        let evaluation = whole.evaluate_async(&pictures()).await.unwrap();
        let mut frames = trainer(&gpu, &model).in_frames_async(&pictures(), 2).await.unwrap();
        while !movable(frames.train_for_async(Duration::from_millis(3))).await.unwrap().is_finished {}
        let snapshot = movable(frames.snapshot_async()).await.unwrap().clone();
        assert_eq!(bits(&snapshot.parameters), bits(&whole.parameters()));
        let predictor = movable(Predictor::new_async(&gpu, &model, whole.layout(), 1, &[])).await.unwrap();
        predictor.set_parameters(&whole.parameters()).unwrap();
        let answer = movable(predictor.predict_async(&noise(144))).await.unwrap();
        movable(gpu.wait_async()).await.unwrap();
        frames.rebuild_async(&gpu, &pictures()).await.unwrap();
        (report.epochs[1].weights_sha256.clone(), evaluation, answer)
    });
    assert!(slept > 10, "it waited {slept} times without holding up the executor");
    let mut blocking = trainer(&gpu, &model);
    let report = blocking.fit(&pictures(), 2).unwrap();
    assert_eq!(learnt.0, report.epochs[1].weights_sha256);
    assert_eq!(learnt.1, blocking.evaluate(&pictures()).unwrap());
}

#[test]
fn a_device_that_is_lost_in_a_step_is_named_and_training_goes_on_elsewhere_with_the_same_losses() {
    let Some(gpu) = lent() else { return };
    let model = network();
    let losses = |frames: &mut lenslet::FrameTrainer, upto: u64| {
        let mut losses = vec![];
        while frames.steps() < upto {
            losses.extend(frames.train_for(Duration::ZERO).unwrap().steps.iter().map(|s| (s.step, s.loss.to_bits())));
        }
        losses
    };
    let unbroken = losses(&mut trainer(&gpu, &model).in_frames(&pictures(), 3).unwrap(), 21);

    let folder = tempfile::tempdir().unwrap();
    // At the middle of an epoch, and where one ends.
    for at in [10, 14] {
        let (device, queue) = device().unwrap();
        let app = Gpu::from_wgpu(device.clone(), queue);
        let mut frames = trainer(&app, &model).in_frames(&pictures(), 3).unwrap();
        losses(&mut frames, at);
        assert_eq!(frames.snapshot().unwrap().steps(), at);
        // Some steps more, and the middle of one.
        losses(&mut frames, at + 2);
        frames.train_for(Duration::ZERO).unwrap();
        device.destroy();
        let error = (0..40).find_map(|_| frames.train_for(Duration::ZERO).err()).expect("the loss shows");
        assert!(matches!(error, Error::DeviceLost(_)), "{error}");
        assert!(error.to_string().contains("go on from the last snapshot"), "{error}");
        assert!(matches!(frames.snapshot().unwrap_err(), Error::DeviceLost(_)));
        assert!(matches!(frames.rebuild(&app, &pictures()).unwrap_err(), Error::DeviceLost(_)), "the same device");
        assert_eq!(frames.last_snapshot().steps(), at);
        let checkpoint = frames.last_checkpoint();

        let Some(new) = lent() else { return };
        frames.rebuild(&new, &pictures()).unwrap();
        assert_eq!(losses(&mut frames, 21), unbroken[at as usize..]);

        // In another process too.
        let file = folder.path().join("checkpoint.safetensors");
        checkpoint.save(&file, frames.layout()).unwrap();
        let mut other = trainer(&new, &model);
        other.resume(other.read_checkpoint(&file).unwrap()).unwrap();
        assert_eq!(losses(&mut other.in_frames(&pictures(), 3).unwrap(), 21), unbroken[at as usize..]);
    }
}

#[test]
fn every_way_to_use_a_lost_device_says_so() {
    let Some((device, queue)) = device() else { return };
    let gpu = Gpu::from_wgpu(device.clone(), queue);
    let model = network();
    let layout = Layout::of(&model).unwrap();
    let predictor = Predictor::new(&gpu, &model, &layout, 1, &[]).unwrap();
    let mut whole = trainer(&gpu, &model);
    whole.fit(&pictures(), 1).unwrap();
    let kept = bits(&whole.parameters());
    gpu.check_lost().unwrap();
    device.destroy();
    assert!(matches!(gpu.check_lost(), Err(Error::DeviceLost(_))));
    assert!(matches!(predictor.predict(&noise(144)), Err(Error::DeviceLost(_))));
    assert!(matches!(Predictor::new(&gpu, &model, &layout, 2, &[]), Err(Error::DeviceLost(_))));
    assert!(matches!(whole.fit(&pictures(), 1), Err(Error::DeviceLost(_))));
    assert!(matches!(whole.evaluate(&pictures()), Err(Error::DeviceLost(_))));
    assert_eq!(bits(&whole.parameters()), kept, "those of the last finished epoch");

    // And in the middle of an epoch. On another device it goes on as if nothing had happened.
    let (Some((device, queue)), Some(other)) = (crate::apps::device(), lent()) else { return };
    let mut whole = trainer(&Gpu::from_wgpu(device.clone(), queue), &model);
    let error = whole.fit_with(&pictures(), 3, |event| {
        if matches!(event, Event::Step(StepReport { step: 10, .. })) {
            device.destroy();
        }
        ControlFlow::Continue(())
    });
    assert!(matches!(error, Err(Error::DeviceLost(_))));
    whole.set_device(&other);
    whole.fit(&pictures(), 2).unwrap();
    let mut unbroken = trainer(&other, &model);
    unbroken.fit(&pictures(), 3).unwrap();
    assert_eq!(bits(&whole.parameters()), bits(&unbroken.parameters()));
}
