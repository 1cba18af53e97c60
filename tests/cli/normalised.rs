//! Runs whose pictures are normalised: told once, kept in the network.

use std::fs;

use image::{Rgb, RgbImage};
use lenslet::data::Mnist;

use crate::place::{Place, has};

const NET: &str = "name = \"small\"\ninput = [3, 8, 8]\nlayer = [{ kind = \"conv2d\", filters = 4, size = 3 }, { kind = \
                   \"relu\" }, { kind = \"flatten\" }, { kind = \"dense\", units = 2 }]\n";

/// A coloured network, and pictures of two classes in `pictures`.
fn coloured() -> Place {
    let place = Place::new();
    fs::write(place.path("small.toml"), NET).unwrap();
    for i in 0..60u8 {
        let class = ["warm", "cold"][usize::from(i % 2)];
        fs::create_dir_all(place.path(&format!("pictures/{class}"))).unwrap();
        let pixel = |x: u32, y: u32| {
            let noise = ((u32::from(i) * 31 + x * 7 + y * 13) % 50) as u8;
            if i % 2 == 0 { Rgb([180 + noise, 90 + noise, 30]) } else { Rgb([40 + noise, 60, 170 + noise]) }
        };
        RgbImage::from_fn(8, 8, pixel).save(place.path(&format!("pictures/{class}/{i}.png"))).unwrap();
    }
    place
}

/// The numbers that a run says its pictures are normalised by.
fn told(err: &str) -> String {
    let line = err.lines().find_map(|line| line.strip_prefix("images are normalized by mean and standard deviation, "));
    line.unwrap_or_else(|| panic!("{err}")).to_string()
}

#[test]
fn a_run_that_finds_the_numbers_is_the_run_that_is_given_them() {
    let place = Place::new();
    let train = "train --data data --device cpu --epochs 1 --batch-size 32 --validation 40";
    let output = place.run(&format!("{train} --normalize auto --out found --json"));
    let [out, err] = crate::place::texts(&output);
    let numbers = told(&err);
    // Of what is trained on: all but the pictures held out, which are as the others are.
    let all = Mnist::from_dir(place.path("data")).unwrap().train;
    let [mean, deviation] = all.moments(&(0..320).collect::<Vec<_>>()).unwrap()[0];
    let (found_mean, found_deviation) = numbers.split_once(':').unwrap();
    for (found, of_all) in [(found_mean, mean), (found_deviation, deviation)] {
        let found: f64 = found.parse().unwrap();
        assert!((found - of_all).abs() < 0.01 && found != f64::from(of_all as f32), "{numbers}: {mean}, {deviation}");
    }
    let model = fs::read_to_string(place.path("found/model.toml")).unwrap();
    let layer =
        format!("kind = \"normalize\", name = \"normalize\", mean = {found_mean}, deviation = {found_deviation}");
    assert!(model.contains(&layer), "{model}");

    let given = place.json(&format!("{train} --normalize {numbers} --out given --json"));
    let found = crate::place::objects(&out);
    let (found, given) = (found.last().unwrap(), given.last().unwrap());
    has(found, &["weights_sha256", "test_accuracy"]);
    assert_eq!(found["weights_sha256"], given["weights_sha256"]);
    let plain = place.json(&format!("{train} --out plain --json"));
    assert_ne!(found["weights_sha256"], plain.last().unwrap()["weights_sha256"]);

    // Nothing else is told twice.
    let evaluated = &place.json("evaluate found --device cpu --json")[0];
    assert_eq!(evaluated["accuracy"], found["test_accuracy"]);
    place.succeeds("train --resume found --epochs 2 --device cpu");
    place.refuses("train --resume found --normalize auto", 2, &["--resume", "cannot be used with", "--normalize"]);
    let again = "train --data data --model found/model.toml --normalize auto --device cpu --out again";
    place.refuses(again, 2, &["layer \"normalize\"", "does not begin with normalize"]);
}

#[test]
fn coloured_pictures_are_normalised_channel_by_channel() {
    let place = coloured();
    let train = "train --data pictures --model small.toml --device cpu --epochs 2 --batch-size 8 --normalize auto";
    let end = |options: &str| place.json(&format!("{train} {options} --json")).last().unwrap().clone();
    let whole = end("--out run --augment shift:0.1,fill:0");
    let model = fs::read_to_string(place.path("run/model.toml")).unwrap();
    assert!(model.contains("mean = [0.") && model.contains("deviation = [0."), "{model}");
    // Of a set that comes window by window too.
    let streamed = end("--out streamed --augment shift:0.1,fill:0 --resident 0");
    assert_eq!(streamed["weights_sha256"], whole["weights_sha256"]);
    assert_eq!(fs::read_to_string(place.path("streamed/model.toml")).unwrap(), model);

    place.succeeds("view run augmented --device cpu --out augmented.png");
    place.succeeds("view run responses --device cpu --image pictures/cold/1.png --out maps.png");
    let lines = place.json("predict run pictures/warm/0.png pictures/cold/1.png --device cpu --json");
    let classes: Vec<&str> = lines.iter().map(|line| line["classes"][0]["class"].as_str().unwrap()).collect();
    assert_eq!(classes, ["warm", "cold"]);

    // A channel that is alike everywhere cannot be brought to any deviation.
    for class in ["warm", "cold"] {
        fs::create_dir_all(place.path(&format!("flat/{class}"))).unwrap();
        for i in 0..10u8 {
            let picture = RgbImage::from_pixel(8, 8, Rgb([20 * i, 5, 9 * i]));
            picture.save(place.path(&format!("flat/{class}/{i}.png"))).unwrap();
        }
    }
    let flat =
        "train --data flat --model small.toml --validation 2 --test 2 --normalize auto --device cpu --out flat-run";
    let parts = ["normalize auto: channel 2 of 3", "different pixel values", "found 5 of 255 in every pixel"];
    place.refused(flat, place.run(flat), 2, &parts);
}
