//! Devices that are not there, and bad input.

use std::collections::BTreeMap;
use std::fs;

use lenslet::nn::Layout;

use crate::pictures;
use crate::place::{Place, TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, idx, succeeded};

#[test]
fn an_unknown_device_is_refused_with_those_found() {
    let place = Place::new();
    for command in ["train --data data", "plan lenet5"] {
        place.refuses(&format!("{command} --device no-such-card"), 1, &["\"no-such-card\"", "found "]);
        place.refuses(&format!("{command} --device 99"), 1, &["\"99\"", "found "]);
    }
    let mut command = place.command("train --data data");
    let output = command.env("LENSLET_DEVICE", "no-such-card").output().unwrap();
    place.refused("LENSLET_DEVICE", output, 1, &["\"no-such-card\""]);
}

/// Elsewhere adapters do not come from files that a variable names.
#[cfg(target_os = "linux")]
#[test]
fn without_an_adapter_gpu_is_refused_and_auto_takes_the_cpu() {
    let place = Place::new();
    let without = |arguments: &str| {
        let mut command = place.command(arguments);
        command.env("VK_ICD_FILENAMES", "/no/driver.json").env("VK_DRIVER_FILES", "/no/driver.json").output().unwrap()
    };
    let [text, _] = succeeded("devices", without("devices"));
    assert!(text.starts_with("no adapter: --device auto takes the CPU"), "{text}");
    assert!(text.contains("mesa-vulkan-drivers"), "{text}");
    assert_eq!(succeeded("devices --json", without("devices --json"))[0], "");

    let gpu = "train --data data --device gpu --out run";
    place.refused(gpu, without(gpu), 1, &["no GPU device", "found none", "mesa-vulkan-drivers"]);
    assert!(!place.path("run").exists());

    let auto = "train --data data --steps 1 --out run";
    let [_, err] = succeeded(auto, without(auto));
    let device: Vec<&str> = err.lines().filter(|line| line.starts_with("device: ")).collect();
    assert!(device.len() == 1 && device[0].contains("CPU") && device[0].contains("mesa-vulkan-drivers"), "{err}");
}

#[test]
fn options_out_of_range_are_refused() {
    let place = Place::new();
    let train = |options: &str, parts: &[&str]| {
        place.refuses(&format!("train --data data --device cpu --out run {options}"), 2, parts);
    };
    train("--model lenet6", &["model", "lenet5, convnet", "found lenet6"]);
    train("--batch-size 0", &["batch size", "1 to 288", "found 0"]);
    train("--batch-size 289", &["batch size", "1 to 288", "found 289"]);
    train("--batch-size many", &["--batch-size", "many"]);
    train("--validation 320", &["validation", "below the 320", "found 320"]);
    for (given, found) in [("NaN", "NaN"), ("0", "0"), ("-0.1", "-0.1"), ("inf", "inf"), ("-inf", "-inf")] {
        train(&format!("--lr={given}"), &["learning rate", "a finite number above 0", &format!("found {found}")]);
        train(&format!("--optimizer rmsprop --lr={given}"), &["learning rate", &format!("found {found}")]);
    }
    train("--lr -0.1", &["learning rate", "found -0.1"]);
    train("--precision f64", &["--precision", "f32 or f16", "found f64"]);
    train("--precision f16", &["precision", "f32 on the CPU", "lenslet devices", "found f16"]);
    train("--momentum 1", &["momentum", "below 1", "found 1"]);
    train("--weight-decay NaN", &["weight decay", "found NaN"]);
    train("--nesterov --momentum 0", &["momentum", "Nesterov"]);
    train("--nesterov --optimizer rmsprop", &["--nesterov", "--optimizer sgd", "rmsprop"]);
    train("--normalize 0.5", &["--normalize", "auto, or MEAN:DEVIATION", "found 0.5"]);
    train("--normalize 0.5:0", &["layer \"normalize\": deviation", "above 0", "found 0"]);
    train("--normalize -0.5:inf", &["layer \"normalize\": deviation", "found inf"]);
    train("--normalize 0.1,0.2,0.3:1", &["layer \"normalize\": mean", "1 number for all channels", "found 3"]);
    train("--normalize auto --validation 320", &["validation", "below the 320", "found 320"]);
    train("--class-weights 1,2,3", &["class weights", "10 finite numbers from 0", "found 3 numbers"]);
    train("--class-weights even", &["--class-weights", "balanced, or a number from 0", "found even"]);
    train("--accumulate 0", &["--accumulate", "0"]);
    train("--group *.bias", &["--group", "PATTERN:SETTINGS", "lr=FACTOR"]);
    train("--group *.bias:lr=0", &["--group", "rate factor of group", "found 0"]);
    train("--group dense*:freeze", &["group", "conv1.weight", "found \"dense*\""]);
    train("--optimizer lion", &["--optimizer", "lion", "sgd, rmsprop"]);
    train("--epochs 0", &["--epochs", "0"]);
    train("--steps 0", &["--steps", "0"]);
    place.refuses("summary lenet6", 2, &["model", "lenet5, convnet", "found lenet6"]);
    place.refuses("plan lenet6 --device cpu", 2, &["model", "found lenet6"]);
    place.refuses("plan lenet5 --batch-size 0", 2, &["--batch-size", "0"]);
    place.refuses("evaluate run --batch-size 0", 2, &["--batch-size", "0"]);
}

#[test]
fn bad_data_is_refused_with_the_file_expected_and_found() {
    let place = Place::new();
    place.succeeds("train --data data --device cpu --steps 1 --out good");
    let refuses = |parts: &[&str]| {
        place.refuses("train --data data --device cpu --out run", 1, parts);
        place.refuses("evaluate good --device cpu", 1, parts);
    };
    let damage = |name: &str, change: fn(&mut Vec<u8>), parts: &[&str]| {
        let path = place.path("data").join(name);
        let intact = fs::read(&path).unwrap();
        let mut bytes = intact.clone();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
        refuses(&[&[name], parts].concat());
        fs::write(&path, intact).unwrap();
    };
    damage(TRAIN_IMAGES, |bytes| bytes.truncate(1000), &["truncated", "expected 250880 bytes", "found 984"]);
    damage(TRAIN_IMAGES, |bytes| bytes.truncate(7), &["truncated header", "expected 16 bytes", "found 7"]);
    damage(TEST_LABELS, Vec::clear, &["empty file", "expected", "found 0"]);
    damage(TRAIN_LABELS, |bytes| bytes[3] = 3, &["expected magic 0x00000801", "found 0x00000803"]);
    damage(TEST_IMAGES, |bytes| bytes[..4].copy_from_slice(b"%PDF"), &["expected magic", "not an IDX file"]);
    damage(TRAIN_LABELS, |bytes| bytes[8 + 5] = 10, &["label 5", "expected 0 to 9", "found 10"]);
    let shorter = |bytes: &mut Vec<u8>| {
        bytes.pop();
        bytes[7] -= 1;
    };
    damage(TEST_LABELS, shorter, &["expected 90 labels", "found 89"]);
    damage(TEST_IMAGES, |bytes| bytes.push(0), &["trailing bytes"]);

    fs::remove_file(place.path("data").join(TEST_LABELS)).unwrap();
    refuses(&["data", "expected a folder with the four IDX files", "found no t10k-labels-idx1-ubyte"]);
    place.refuses("train --data nowhere --device cpu --out run", 1, &["nowhere", "found no such folder"]);
    place.refuses("train --data good/config.toml --device cpu --out run", 1, &["config.toml", "found a file"]);
}

#[test]
fn pictures_of_another_size_are_refused() {
    let place = Place::new();
    for (images, count) in [(TRAIN_IMAGES, 320u32), (TEST_IMAGES, 90)] {
        let (pixels, _) = pictures::pictures(count as usize, [1, 20, 24], 10);
        fs::write(place.path("data").join(images), idx(&[count, 20, 24], &pixels)).unwrap();
    }
    let parts = ["data set", "images of [1, 28, 28] for lenet5", "found images of [1, 20, 24]"];
    place.refuses("train --data data --device cpu --out run", 2, &parts);
}

#[test]
fn an_output_folder_that_cannot_be_used_is_refused() {
    let place = Place::new();
    fs::write(place.path("file"), "precious").unwrap();
    fs::create_dir(place.path("full")).unwrap();
    fs::write(place.path("full/notes.txt"), "precious").unwrap();
    let train = "train --data data --device cpu --steps 1 --out";
    place.refuses(&format!("{train} file/run"), 1, &["file/run: cannot create"]);
    place.refuses(&format!("{train} file"), 1, &["file: cannot create"]);
    place.refuses(
        &format!("{train} full"),
        1,
        &["full", "new or empty folder, found files in it", "--out", "--resume"],
    );
}

#[test]
fn damaged_runs_are_refused() {
    let place = Place::new();
    place.succeeds("train --data data --device cpu --steps 1 --out run");
    let evaluate = "evaluate run --device cpu";
    let weights = place.path("run/model.safetensors");
    let intact = fs::read(&weights).unwrap();

    let convnet = lenslet::models::convnet();
    let layout = Layout::of(&convnet).unwrap();
    lenslet::formats::weights::save(&weights, &layout, &layout.initial(1), &BTreeMap::new()).unwrap();
    let shapes = "conv1.weight: expected F32 [6, 1, 5, 5], found F32 [32, 1, 3, 3]";
    place.refuses(evaluate, 1, &["model.safetensors", "not the weights of this model", shapes]);
    for length in [0, 7, 100, intact.len() - 1] {
        fs::write(&weights, &intact[..length]).unwrap();
        place.refuses(evaluate, 1, &["model.safetensors", "damaged", &format!("{length} bytes")]);
    }
    fs::remove_file(&weights).unwrap();
    place.refuses(evaluate, 1, &["model.safetensors: cannot read"]);
    fs::write(&weights, &intact).unwrap();

    let config = place.path("run/config.toml");
    let good = fs::read_to_string(&config).unwrap();
    for (bad, parts) in [
        (good.replace("seed = 1", "seed = one"), ["line ", "seed = one"]),
        (good.replace("batch_size", "batchsize"), ["batchsize", "unknown field"]),
        (String::new(), ["missing field", "model"]),
    ] {
        fs::write(&config, bad).unwrap();
        place.refuses(evaluate, 1, &["config.toml", parts[0], parts[1]]);
    }
    fs::write(&config, good.replace("lenet5", "lenet6")).unwrap();
    fs::write(place.path("run/model.toml"), "name = \"lenet6\"").unwrap();
    place.refuses(evaluate, 1, &["model.toml:1: ", "input"]);
    fs::remove_file(place.path("run/model.toml")).unwrap();
    place.refuses(evaluate, 1, &["config.toml", "lenet5, convnet", "found lenet6"]);
    fs::remove_file(&config).unwrap();
    place.refuses(evaluate, 1, &["config.toml: cannot read"]);
    place.refuses("evaluate nowhere", 1, &["nowhere", "cannot read"]);
}

#[test]
fn a_run_that_diverges_says_where_and_keeps_what_was_finished() {
    let place = Place::new();
    let arguments = "train --data data --device cpu --lr 1e38 --momentum 0 --epochs 2 --out run";
    place.refused(arguments, place.run(arguments), 1, &["step ", "epoch 1", "learning rate"]);
    assert!(place.path("run/config.toml").is_file() && !place.path("run/model.safetensors").exists());
}
