//! Training and evaluation.

use std::fs;
use std::process::{Command, Stdio};

use lenslet::ShaderChecks;
use safetensors::SafeTensors;

use crate::common;
use crate::place::{Place, has, objects, succeeded};

#[test]
fn a_run_leaves_a_folder_that_evaluates_to_the_same() {
    let place = Place::new();
    let [out, err] = place.succeeds("train --data data --device cpu --epochs 2 --batch-size 32 --lr 0.02 --out run");
    assert!(err.contains("device: CPU, ") && err.contains("61,706 parameters"), "{err}");
    assert!(err.contains("epoch 2: loss ") && err.contains("held out: loss "), "{err}");
    assert!(out.contains("test accuracy ") && out.contains(" images/s over ") && out.contains("run run\n"), "{out}");

    let config = fs::read_to_string(place.path("run/config.toml")).unwrap();
    for line in ["model = \"lenet5\"", "epochs = 2", "batch_size = 32", "validation = 32", "seed = 1"] {
        assert!(config.contains(line), "{config}");
    }
    let data = format!("data = {:?}", fs::canonicalize(place.path("data")).unwrap().display().to_string());
    assert!(config.contains(&data), "evaluate finds the data from anywhere: {config}");

    let log = objects(&fs::read_to_string(place.path("run/log.jsonl")).unwrap());
    let events: Vec<&str> = log.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["step", "epoch", "step", "epoch"], "288 pictures are 9 steps an epoch");
    has(&log[0], &["step", "epoch", "loss", "accuracy", "images_per_s", "learning_rate"]);
    has(&log[1], &["epoch", "loss", "accuracy", "validation_loss", "validation_accuracy", "weights_sha256"]);

    let table = place.succeeds("evaluate run --device cpu")[0].clone();
    assert!(table.contains("class  images  precision") && table.contains("confusion"), "{table}");
    assert!(out.contains(table.split(',').next().unwrap()), "{out} and {table}");
}

#[test]
fn weights_have_the_names_and_shapes_of_pytorch() {
    let place = Place::new();
    place.succeeds("train --data data --device cpu --steps 1 --validation 0 --out run");
    let bytes = fs::read(place.path("run/model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut found: Vec<_> = tensors.tensors().into_iter().map(|(name, t)| (name, t.shape().to_vec())).collect();
    found.sort();
    let expected = [
        ("conv1.bias", vec![6]),
        ("conv1.weight", vec![6, 1, 5, 5]),
        ("conv2.bias", vec![16]),
        ("conv2.weight", vec![16, 6, 5, 5]),
        ("fc1.bias", vec![120]),
        ("fc1.weight", vec![120, 400]),
        ("fc2.bias", vec![84]),
        ("fc2.weight", vec![84, 120]),
        ("fc3.bias", vec![10]),
        ("fc3.weight", vec![10, 84]),
    ];
    assert_eq!(found, expected.map(|(name, shape)| (name.to_string(), shape)));
}

#[test]
fn json_holds_the_promised_fields_and_nothing_else_is_on_standard_output() {
    let place = Place::new();
    let train = "train --data data --device cpu --epochs 1 --batch-size 5 --validation 20 --seed 3 --out run --json";
    let lines = place.json(train);
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["start", "step", "step", "epoch", "end"], "steps 50 and 60 of 60");
    let [start, step, last, epoch, end] = &lines[..] else { panic!() };
    has(start, &["model", "parameters", "device", "backend", "seed", "batch_size"]);
    assert_eq!((&start["parameters"], &start["seed"], &start["backend"]), (&61_706.into(), &3.into(), &"cpu".into()));
    has(step, &["step", "epoch", "loss", "accuracy", "images_per_s"]);
    assert_eq!((&step["step"], &last["step"]), (&50.into(), &60.into()));
    has(epoch, &["epoch", "loss", "accuracy", "validation_loss", "validation_accuracy", "seconds"]);
    has(end, &["test_loss", "test_accuracy", "seconds", "images_per_s", "weights_sha256", "run"]);
    assert_eq!((&end["weights_sha256"], &end["run"]), (&epoch["weights_sha256"], &"run".into()));

    let evaluated = place.json("evaluate run --device cpu --batch-size 64 --json");
    assert_eq!(evaluated.len(), 1);
    assert_eq!(evaluated[0]["accuracy"], end["test_accuracy"]);
    let counts = evaluated[0]["confusion"].as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap());
    assert_eq!(counts.map(|count| count.as_u64().unwrap()).sum::<u64>(), 90);
    has(&evaluated[0], &["loss", "top5"]);
    for of_classes in ["precision", "recall", "f1"] {
        assert_eq!(evaluated[0][of_classes].as_array().unwrap().len(), 10);
    }
}

#[test]
fn classes_groups_and_shared_updates_are_kept_with_the_run() {
    let place = Place::new();
    let options = "--class-weights balanced --accumulate 4 --group *.bias:lr=2,decay=0 --group conv1.*:freeze";
    let train = |end: &str| {
        place.succeeds(&format!("train --data data --device cpu --epochs 2 --batch-size 32 {options} {end}"));
    };
    train("--out whole");
    let config = fs::read_to_string(place.path("whole/config.toml")).unwrap();
    let lines = ["class_weights = \"balanced\"", "accumulate = 4", "\"*.bias:lr=2,decay=0\"", "\"conv1.*:freeze\""];
    assert!(lines.iter().all(|line| config.contains(line)), "{config}");
    // Nine steps an epoch, in updates of 4, 4 and 1: the run is left inside one.
    train("--steps 15 --schedule constant --out part");
    train("--steps 18 --schedule constant --out same");
    place.succeeds("train --resume part --device cpu --steps 18");
    let weights = |run: &str| fs::read(place.path(run).join("model.safetensors")).unwrap();
    assert!(weights("part") == weights("same") && weights("same") != weights("whole"));
    place.refuses("train --resume part --accumulate 2", 2, &["cannot be used with", "--accumulate"]);
}

#[test]
fn runs_without_a_name_are_numbered() {
    let place = Place::new();
    for number in 1..=2 {
        let out = &place.succeeds("train --data data --device cpu --steps 1")[0];
        assert!(out.contains(&format!("lenet5-{number}")), "{out}");
        assert!(place.path(&format!("runs/lenet5-{number}/model.safetensors")).is_file());
    }
}

#[test]
fn the_same_seed_gives_the_same_file_on_the_gpu_and_a_device_goes_by_number_and_name() {
    if common::gpu(ShaderChecks::Trusted).is_none() {
        return;
    }
    let place = Place::new();
    let adapters = place.json("devices --json");
    let name = adapters[0]["name"].as_str().unwrap().to_uppercase();
    let part = name.split_whitespace().next().unwrap();
    let mut weights = vec![];
    for (run, device) in ["gpu", "0", part].into_iter().enumerate() {
        let lines = place.json(&format!("train --data data --device {device} --epochs 1 --out run{run} --json"));
        assert_eq!(lines[0]["device"], adapters[0]["name"]);
        assert_ne!(lines[0]["backend"], "cpu");
        weights.push(fs::read(place.path(&format!("run{run}/model.safetensors"))).unwrap());
    }
    assert!(weights.iter().all(|bytes| *bytes == weights[0]));
    let end = &place.json("evaluate run0 --device cpu --json")[0];
    let same = &place.json("evaluate run0 --device gpu --json")[0];
    assert_eq!(end["confusion"], same["confusion"]);
}

/// Ends by itself within a minute, or the test does.
#[cfg(unix)]
#[test]
fn ctrl_c_finishes_the_step_and_saves_the_weights() {
    use std::io::{BufRead, BufReader};

    let place = Place::new();
    let arguments = "train --data data --device cpu --epochs 1000000 --out run --json";
    let mut child = place.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut printed = vec![];
    while !printed.iter().any(|line: &String| line.contains("\"step\"")) {
        printed.push(lines.next().expect("a step comes before the end").unwrap());
    }
    let interrupt = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
    let watched = child.id();
    let (done, wait) = std::sync::mpsc::channel();
    let watchdog = std::thread::spawn(move || {
        if wait.recv_timeout(std::time::Duration::from_secs(60)).is_err() {
            let _ = Command::new("sh").args(["-c", &format!("kill -KILL {watched}")]).status();
        }
    });
    printed.extend(lines.map(Result::unwrap));
    let output = child.wait_with_output().unwrap();
    done.send(()).unwrap();
    watchdog.join().unwrap();

    let [_, err] = succeeded(arguments, output);
    assert!(
        err.contains("stopped; the last checkpoints are in run; continue with: lenslet train --resume run"),
        "{err}"
    );
    let printed = objects(&printed.join("\n"));
    let [.., epoch, end] = &printed[..] else { panic!("{printed:?}") };
    assert_eq!((&epoch["event"], &end["event"]), (&"epoch".into(), &"end".into()));
    assert_eq!(epoch["weights_sha256"], end["weights_sha256"]);
    assert_eq!(place.json("evaluate run --device cpu --json")[0]["accuracy"], end["test_accuracy"]);
}

/// Ten classes of striped pictures.
fn write_pictures(place: &Place, count: u8) {
    for class in 0..10u8 {
        fs::create_dir_all(place.path(&format!("pictures/kind{class}"))).unwrap();
        for i in 0..count {
            let image = image::GrayImage::from_fn(40, 40, |x, _| {
                image::Luma([if x / 4 == u32::from(class) { 255 } else { i }])
            });
            image.save(place.path(&format!("pictures/kind{class}/{i}.png"))).unwrap();
        }
    }
}

#[test]
fn the_commands_of_the_guide_to_pictures_run() {
    let place = Place::new();
    write_pictures(&place, 40);
    let guide = include_str!("../../docs/your-pictures.md");
    let blocks = guide.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let commands: Vec<&str> = blocks.flat_map(str::lines).collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for command in commands {
        let arguments = command.strip_prefix("lenslet ").unwrap_or_else(|| panic!("{command}"));
        place.succeeds(&format!("{arguments} --device cpu --steps 1"));
    }
}

#[test]
fn a_folder_of_pictures_is_trained_on_and_evaluated() {
    let place = Place::new();
    write_pictures(&place, 12);
    let train = "train --data pictures --validation 1 --test 2 --device cpu --epochs 2 --batch-size 16 --json --out";
    let [out, err] = place.succeeds(&format!("{train} run"));
    assert!(err.contains("10 classes: 90 training, 10 validation and 20 test images\n"), "{err}");
    let lines = objects(&out);
    let end = lines.last().unwrap();
    let config = fs::read_to_string(place.path("run/config.toml")).unwrap();
    for line in ["validation = 0", "[pictures]", "validation = \"1\"", "test = \"2\"", "resize = \"stretch\""] {
        assert!(config.contains(line), "{config}");
    }
    let [evaluated, err] = place.succeeds("evaluate run --device cpu --json");
    assert!(err.contains("20 test images, from the cache\n"), "{err}");
    assert_eq!(objects(&evaluated)[0]["accuracy"], end["test_accuracy"]);
    // Window by window, to the same weights.
    let streamed = place.json(&format!("{train} streamed --resident 0"));
    assert_eq!(streamed.last().unwrap()["weights_sha256"], end["weights_sha256"]);

    fs::write(place.path("pictures/kind3/bad.png"), b"?").unwrap();
    let arguments = format!("{train} bad");
    place.refused(
        &arguments,
        place.run(&arguments),
        1,
        &["1 of 121 images", "kind3/bad.png: expected JPEG", "--skip-bad"],
    );
    place.refuses("train --data pictures/kind3", 1, &["the four IDX files", "no folders of images, one per class"]);
}
