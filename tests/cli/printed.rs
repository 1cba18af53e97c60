//! Output of the other commands.

use lenslet::ShaderChecks;

use crate::common;
use crate::place::{Place, files, has};

#[test]
fn summary_shows_the_layers_and_their_parameters() {
    let place = Place::new();
    let table = &place.succeeds("summary convnet")[0];
    let rows: Vec<&str> = table.lines().collect();
    let parameters = ["320", "0", "18,496", "0", "36,928", "0", "36,928", "650"];
    for (row, parameters) in rows[3..].iter().zip(parameters) {
        assert!(row.split_whitespace().any(|cell| cell == parameters), "{row:?} lacks {parameters}");
    }
    assert!(rows.iter().any(|row| row.starts_with("total") && row.contains("93,322")), "{table}");

    let lines = place.json("summary convnet --json");
    let (total, layers) = lines.split_last().unwrap();
    for layer in layers {
        has(layer, &["layer", "kind", "output", "parameters", "receptive_field", "multiply_adds"]);
    }
    let found: Vec<u64> = layers.iter().map(|layer| layer["parameters"].as_u64().unwrap()).collect();
    assert_eq!(found, [320, 0, 18_496, 0, 36_928, 0, 36_928, 650]);
    assert_eq!((&total["event"], &total["parameters"]), (&"total".into(), &93_322.into()));
    has(total, &["trainable"]);

    let flat = &place.succeeds("summary convnet-no-pool")[0];
    assert!(flat.contains("30,976") && flat.contains("64x22x22") && flat.contains("7x7"), "{flat}");
}

#[test]
fn plan_shows_the_memory_of_a_step() {
    let place = Place::new();
    let plan = &place.json("plan lenet5 --batch-size 64 --device cpu --json")[0];
    has(plan, &["dispatches_per_step", "slots", "bytes_naive", "bytes_planned", "bytes_lower_bound"]);
    has(plan, &["bytes_parameters", "largest_batch"]);
    let number = |field: &str| plan[field].as_u64().unwrap();
    assert!(number("bytes_planned") * 10 <= number("bytes_lower_bound") * 12, "{plan}");
    assert!(number("bytes_lower_bound") <= number("bytes_planned") && number("bytes_planned") < number("bytes_naive"));
    assert!(number("largest_batch") >= 64);
    let shared = &place.json("plan lenet5 --batch-size 64 --accumulate 4 --device cpu --json")[0];
    assert_eq!(shared["accumulate"], 4);
    let more = shared["bytes_total"].as_u64().unwrap() - number("bytes_total");
    assert!(more >= number("bytes_parameters"), "gradients between steps take {more} bytes");

    let text = &place.succeeds("plan lenet5 --batch-size 64 --device cpu --dispatches")[0];
    for part in ["dispatches", "activations", "lower bound", "parameters", "limits needed", "largest batch", "sgd"] {
        assert!(text.contains(part), "{text}");
    }
    let [former, note] = place.succeeds("plan lenet5 --batch-size 64 --device cpu --steps");
    assert_eq!(&former, text);
    assert!(note.contains("note: --steps of plan is now --dispatches"), "{note}");
}

#[test]
fn plan_writes_the_text_of_every_kernel() {
    let place = Place::new();
    place.succeeds("plan lenet5 --device cpu --shaders wgsl");
    let written = files(&place.path("wgsl"));
    let plan = &place.json("plan lenet5 --device cpu --json")[0];
    assert_eq!(written.len() as u64, plan["kernels_per_step"].as_u64().unwrap());
    assert!(plan["dispatches_per_step"].as_u64() < plan["kernels_per_step"].as_u64(), "some run side by side: {plan}");
    for (file, text) in written {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let kernel = name.rsplit('-').next().unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(&format!("fn {kernel}(")) && !text.contains("// unroll"), "{name}: {text}");
    }
    place.refuses("plan lenet5 --device cpu --shaders wgsl/000-batch-copy.wgsl", 1, &["cannot create the folder"]);
}

#[test]
fn a_plan_over_the_limits_names_the_largest_batch() {
    let place = Place::new();
    let parts = ["\"conv1\"", "needs max", "the device has", "the largest batch that fits is "];
    place.refuses("plan convnet --batch-size 20000 --device cpu", 1, &parts);
}

#[test]
fn devices_says_what_auto_takes() {
    let place = Place::new();
    let [text, _] = place.succeeds("devices");
    let adapters = place.json("devices --json");
    match adapters.first() {
        Some(first) => {
            has(first, &["number", "name", "type", "backend", "driver", "auto", "features", "limits"]);
            assert_eq!(first["auto"], true);
            assert!(text.contains(&format!("--device auto takes {}", first["name"].as_str().unwrap())), "{text}");
        }
        None => assert!(text.contains("no adapter"), "{text}"),
    }
}

#[test]
fn doctor_and_diff_tell_of_every_kernel_and_layer() {
    let place = Place::new();
    for command in ["doctor --device cpu", "diff lenet5 --device cpu"] {
        place.refuses(command, 1, &["there is no GPU", "mesa-vulkan-drivers"]);
    }
    if common::gpu(ShaderChecks::Trusted).is_none() {
        return;
    }
    let lines = place.json("doctor --device gpu --json");
    let (end, cases) = lines.split_last().unwrap();
    cases.iter().for_each(|case| has(case, &["operation", "case", "kernel", "error", "budget", "passed"]));
    has(end, &["event", "passed", "failed", "device"]);
    assert_eq!((end["passed"].as_u64(), &end["failed"]), (Some(cases.len() as u64), &0.into()));

    let lines = place.json("diff lenet5 --device gpu --json");
    let (end, layers) = lines.split_last().unwrap();
    layers.iter().for_each(|layer| has(layer, &["layer", "operation", "direction", "error", "budget", "passed"]));
    assert_eq!((&end["event"], &end["passed"]), (&"end".into(), &true.into()));
}

#[test]
fn help_has_examples() {
    let place = Place::new();
    for command in ["", "devices ", "train ", "evaluate ", "summary ", "plan ", "doctor ", "diff ", "bench "] {
        let [out, _] = place.succeeds(&format!("{command}--help"));
        assert!(out.contains("Examples:\n  lenslet "), "{out}");
    }
    for wrong in ["", "trian", "train --modle lenet5", "summary"] {
        let output = place.run(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
    }
}
