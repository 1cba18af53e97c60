//! Output of `lenslet bench` and `lenslet tune`; the measured times are not checked.

use lenslet::bench::Training;
use lenslet::optim::Sgd;
use lenslet::{Device, Precision, ShaderChecks, models};

use super::common;
use super::place::{Place, has};

#[test]
fn training_and_inference_are_measured() {
    let place = Place::new();
    for (device, dispatches) in [("cpu", false), ("gpu", true)] {
        if dispatches && common::gpu(ShaderChecks::Trusted).is_none() {
            return;
        }
        for what in ["train", "infer"] {
            let command = format!("bench {what} --batch-size 8 --seconds 0.2 --device {device}");
            let lines = place.json(&format!("{command} --json"));
            let [line] = &lines[..] else { panic!("one line: {lines:?}") };
            has(line, &["model", "batch_size", "device", "backend", "ms_per_step", "host_us_per_step", "first_step_s"]);
            let start =
                ["adapter", "pipelines", "data", "first_step"].map(|part| line["start_s"][part].as_f64().unwrap());
            let sum = line["start_s"]["sum"].as_f64().unwrap();
            assert!((start.iter().sum::<f64>() - sum).abs() < 1e-9 && sum <= line["first_step_s"].as_f64().unwrap());
            let spread = &line["images_per_s"];
            let [min, median, max] = ["min", "median", "max"].map(|name| spread[name].as_f64().unwrap());
            assert!(0.0 < min && min <= median && median <= max, "{spread}");
            assert_eq!(line["dispatches_per_step"].is_u64(), dispatches, "{line}");
            let [text, _] = place.succeeds(&command);
            assert!(text.contains("images/s") && text.contains("min, median, max"), "{text}");
        }
    }
}

#[test]
fn frames_are_measured() {
    let place = Place::new();
    let command = "bench frames --seconds 0.3 --batch-size 8";
    place.refuses(&format!("{command} --device cpu"), 2, &["a GPU, for training between frames"]);
    place.refuses(&format!("{command} --width 0"), 2, &["--width", "1..=64"]);
    place.refuses(&format!("{command} --rate 0"), 2, &["--rate"]);
    if common::gpu(ShaderChecks::Trusted).is_none() {
        return;
    }
    place.refuses(
        &format!("{command} --budget-ms 20"),
        2,
        &["budget: expected at most a frame, 16.7 ms, found 20.0 ms"],
    );
    let lines = place.json(&format!("{command} --json"));
    let [line] = &lines[..] else { panic!("one line: {lines:?}") };
    has(line, &["event", "width", "batch_size", "budget_ms", "rate", "device", "submissions", "images_per_s"]);
    assert!(line["frames"].as_u64() > Some(1) && line["steps"].as_u64() > Some(0), "{line}");
    let [median, p99, max] = ["median", "p99", "max"].map(|name| line["ms"][name].as_f64().unwrap());
    assert!(0.0 < median && median <= p99 && p99 <= max, "{line}");
    let [text, _] = place.succeeds(command);
    assert!(text.contains("at the 99th percentile") && text.contains("images/s"), "{text}");
}

/// The work is the same in every engine: PyTorch gives these losses for the first and the 32nd step.
#[test]
fn losses_are_those_of_other_engines() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    for (batch, losses) in [(64, [2.30032, 2.23730]), (256, [2.30124, 2.21672])] {
        let optimizer = Sgd::new(0.05).momentum(0.9);
        let mut training =
            Training::new(&Device::Gpu(gpu.clone()), &models::lenet5(), &optimizer, batch, Precision::F32).unwrap();
        training.run(32).unwrap();
        for (step, loss) in [0, 31].into_iter().zip(losses) {
            let got = f64::from(training.losses[step]);
            assert!((got - loss).abs() < 2e-5, "step {} at batch {batch}: {got}, in PyTorch {loss}", step + 1);
        }
    }
}

#[test]
fn dispatches_and_kernels_are_measured() {
    let place = Place::new();
    place.refuses("bench train --profile --device cpu", 1, &["no dispatches"]);
    place.refuses("bench kernels --device cpu", 1, &["kernels run on a GPU"]);
    if common::gpu(ShaderChecks::Trusted).is_none() {
        return;
    }
    let lines = place.json("bench train --profile --batch-size 8 --json");
    let (end, rows) = lines.split_last().unwrap();
    rows.iter().for_each(|row| has(row, &["layer", "operation", "kernel", "ms", "share"]));
    let sum: f64 = rows.iter().map(|row| row["ms"].as_f64().unwrap()).sum();
    let [dispatches, between, step] =
        ["dispatches_ms", "between_ms", "step_ms"].map(|part| end[part].as_f64().unwrap());
    assert!((sum - dispatches).abs() < 1e-6 * sum && (dispatches + between - step).abs() < 1e-6 * step, "{end}");
    assert_eq!(end["dispatches"].as_u64(), Some(rows.len() as u64), "{end}");
    let [text, _] = place.succeeds("bench train --profile --batch-size 8");
    assert!(text.contains(&format!("{} dispatches", rows.len())) && text.contains("between dispatches"), "{text}");

    let lines = place.json("bench kernels dense --json");
    assert!(lines.len() > 3 && lines.iter().all(|line| line["case"].as_str().unwrap().starts_with("dense")));
    for line in &lines {
        has(line, &["kernel", "case", "ms", "gflops", "gbytes_per_s", "share_of_peak"]);
        assert!(line["ms"].as_f64().unwrap() > 0.0);
    }
    place.refuses("bench kernels nonsense", 2, &["part of a case's name, such as matmul", "nonsense"]);
}

#[test]
fn kernels_are_tuned_when_asked_for() {
    let place = Place::new();
    place.refuses("tune --model resnet", 2, &["lenet5"]);
    place.refuses("tune --seconds nothing", 2, &["a number of seconds above 0"]);
    place.refuses("tune --clear --batch-size 8", 2, &["cannot be used with"]);
    place.refuses("tune --device cpu", 1, &["kernels run on a GPU"]);
    let [help, _] = place.succeeds("tune --help");
    assert!(help.contains("tuned.toml") && help.contains("lenslet tune --model all"), "{help}");
    assert_eq!(place.json("tune --clear --json"), [serde_json::json!({ "event": "cleared", "record": null })]);
    if common::gpu(ShaderChecks::Trusted).is_none() {
        return;
    }
    place.refuses("tune --batch-size 0", 2, &["batch size: expected 1 to 8192, found 0"]);
    place.succeeds("bench train --batch-size 8 --seconds 0.1");
    assert!(!place.path("cache/tuned.toml").exists(), "nothing is measured unless asked for");
    let lines = place.json("tune --batch-size 8 --json");
    let (end, rows) = lines.split_last().unwrap();
    has(end, &["default_ms", "tuned_ms", "ratio"]);
    assert!(rows.iter().any(|row| row["operation"] == "conv2d"), "{rows:?}");
    for row in rows {
        has(row, &["layer", "inputs", "default"]);
        let least = row["ms"].as_object().unwrap().values().filter_map(|ms| ms.as_f64()).fold(f64::MAX, f64::min);
        assert_eq!(row["ms"][row["tuned"].as_str().unwrap()], least, "{row}");
        assert!(row["ratio"].as_f64().unwrap() >= 1.0, "{row}");
    }
    assert!(place.path("cache/tuned.toml").exists());
    let [text, err] = place.succeeds("tune --batch-size 8 --seconds 9");
    assert!(text.contains("by tuning") && text.contains("a step takes"), "{text}");
    assert!(err.contains("tuned.toml"), "{err}");
    place.succeeds("train --data data --epochs 1 --batch-size 8");
    let [text, _] = place.succeeds("tune --clear");
    assert!(text.contains("deleted") && !place.path("cache/tuned.toml").exists(), "{text}");
}

#[test]
fn bad_measurements_are_refused() {
    let place = Place::new();
    place.refuses("bench train --seconds 0 --device cpu", 2, &["a number of seconds above 0"]);
    place.refuses("bench train --batch-size 0 --device cpu", 2, &["batch size: expected 1 to 8192, found 0"]);
    place.refuses("bench infer --batch-size 8193 --device cpu", 2, &["batch size: expected 1 to 8192, found 8193"]);
    place.refuses("bench train --model resnet --device cpu", 2, &["lenet5"]);
}
