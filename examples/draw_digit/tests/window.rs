//! The app as a user sees it: on a virtual display (Xvfb), with mouse input and screenshots.

#![cfg(target_os = "linux")]

mod desk;

use std::time::Duration;

use desk::{Desk, Line, Place, differing};
use lenslet::formats::weights;
use lenslet::models;
use lenslet::nn::Layout;

/// Steps after which LeNet-5 classifies most digits correctly.
const ENOUGH: u64 = 250;

#[test]
fn digits_are_recognized_while_the_network_learns_them() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut desk) = Desk::start(folder.path()) else { return };
    desk.wait_for(60, "the first line", |_| true);
    // Fewer pixels, because a software device paints them.
    desk.resize([960, 700]);
    let before = desk.wait_for(10, "a smaller window", |line| line.place("layers").x < 600);
    assert!(before.text("message").contains("model.safetensors"), "a folder without weights is told of: {before:?}");
    let untrained = desk.look(before.place("layers"));
    assert!(untrained.colors() > 8, "filters of an untrained network show, in {} colors", untrained.colors());

    desk.click(before.place("train"));
    desk.draw(before.place("paper"), &zero());
    let trained = |line: &Line| line.number("step") >= ENOUGH as f64 && line.number("accuracy") > 0.85;
    let line = desk.wait_for(60, "a network that has learned", trained);
    println!("{line:?}");
    let mut maps = desk.recognizes(0);
    assert!(differing(&maps, &untrained) > 0.1, "filters and maps change in training");
    for (digit, strokes) in [(3, three()), (7, seven())] {
        desk.click(line.place("clear"));
        desk.draw(line.place("paper"), &strokes);
        let now = desk.recognizes(digit);
        assert!(differing(&maps, &now) > 0.05, "maps show what is drawn");
        maps = now;
    }

    desk.click(line.place("train"));
    let paused = desk.wait_for(10, "a pause", |line| !line.is("training"));
    desk.click(line.place("save"));
    let saved = desk.wait_for(10, "a file", |line| line.text("message").starts_with("Saved"));
    assert_eq!(saved.number("step"), paused.number("step"), "no step is made in a pause");
    let layout = Layout::of(&models::lenet5()).unwrap();
    weights::load(folder.path().join("model.safetensors"), &layout).unwrap();

    // Window managers may set any size.
    desk.resize([200, 150]);
    desk.rest(Duration::from_secs(1));
    desk.resize([1200, 800]);
    let larger = desk.wait_for(10, "a larger window", |now| now.place("layers").width > line.place("layers").width);
    let Place { x, y, width, height } = larger.place("layers");
    assert!(x + width <= 1200 && y + height <= 800, "all is in the window");
    desk.rest(Duration::from_secs(1));
    assert!(desk.look(larger.place("layers")).colors() > 20);
    desk.assert_alive();
}

#[test]
fn a_lost_device_is_replaced_and_training_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut desk) = Desk::start(folder.path()) else { return };
    desk.wait_for(60, "the first line", |_| true);
    desk.resize([960, 700]);
    let first = desk.wait_for(10, "a smaller window", |line| line.place("layers").x < 600);
    desk.click(first.place("train"));
    let before = desk.wait_for(60, "a network that has begun to learn", |line| line.number("step") >= 100.0);
    desk.lose_device();
    let lost = |line: &Line| line.text("message").starts_with("The device was lost");
    let after = desk.wait_for(60, "a new device", lost);
    println!("{before:?}\n{after:?}");
    let (_, step) = after.text("message").split_once("Goes on from step ").expect("a step that training goes on from");
    let step: f64 = step.parse().unwrap();
    assert!(step > 0.0 && step <= after.number("step") && after.is("training"), "{after:?}");

    // The losses are not those of an untrained network.
    let next = desk.wait_for(60, "another step", |line| line.number("step") > step);
    assert!(next.number("loss") < 1.5, "{next:?}");
    let learned = |line: &Line| line.number("step") >= ENOUGH as f64;
    desk.wait_for(60, "a network that has learned", learned);
    desk.draw(next.place("paper"), &zero());
    desk.recognizes(0);
    desk.assert_alive();
}

type Strokes = Vec<Vec<[f32; 2]>>;

/// Points on an arc around `middle`, by angles in turns, clockwise from the right.
fn arc(middle: [f32; 2], radius: [f32; 2], from: f32, to: f32) -> Vec<[f32; 2]> {
    let at = |i: u16| {
        let (sin, cos) = (std::f32::consts::TAU * (from + (to - from) * f32::from(i) / 40.0)).sin_cos();
        [middle[0] + radius[0] * cos, middle[1] + radius[1] * sin]
    };
    (0..=40).map(at).collect()
}

fn zero() -> Strokes {
    vec![arc([0.5, 0.5], [0.2, 0.32], -0.25, 0.75)]
}

fn three() -> Strokes {
    let mut stroke = arc([0.47, 0.33], [0.17, 0.15], -0.45, 0.25);
    stroke.extend(arc([0.47, 0.65], [0.19, 0.17], -0.25, 0.42));
    vec![stroke]
}

fn seven() -> Strokes {
    vec![vec![[0.3, 0.2], [0.7, 0.2], [0.45, 0.85]]]
}
