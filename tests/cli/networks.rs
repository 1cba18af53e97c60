//! User-defined networks in files.

use std::fs;

use lenslet::ShaderChecks;
use lenslet::check::replay;
use lenslet::nn::Network;
use safetensors::serialize;
use safetensors::tensor::{Dtype, TensorView};

use crate::common;
use crate::place::Place;

const NET: &str = "
input = [1, 28, 28]
layer = [
    { kind = 'conv2d', name = 'stem', filters = 4, size = 3, stride = 2 },
    { kind = 'relu' },
    { kind = 'conv2d', filters = 4, size = 3, padding = 'same' },
    { kind = 'add', inputs = ['conv2', 'stem'] },
    { kind = 'flatten' },
    { kind = 'dense', units = 10 },
]";

#[test]
fn a_file_is_taken_where_a_name_is() {
    let place = Place::new();
    fs::create_dir(place.path("nets")).unwrap();
    fs::write(place.path("nets/small.toml"), NET).unwrap();
    let table = &place.succeeds("summary nets/small.toml")[0];
    assert!(table.starts_with("small, input 1x28x28\n") && table.contains("add of conv2, stem"), "{table}");
    let rows = place.json("summary nets/small.toml --json");
    assert_eq!(rows[3]["reads"], serde_json::json!(["conv2", "stem"]));
    assert_eq!(rows[6]["parameters"], 40 + 148 + 6770);
    let plan = &place.json("plan nets/small.toml --device cpu --json")[0];
    assert!(plan["largest_batch"].as_u64().unwrap() >= 64, "{plan}");
    let bench = &place.json("bench infer --model nets/small.toml --batch-size 8 --seconds 0.1 --device cpu --json")[0];
    assert_eq!([&plan["model"], &bench["model"]], ["small"; 2], "as the summary calls it");

    let [out, err] = place.succeeds("train --model nets/small.toml --data data --device cpu --steps 2 --validation 0");
    assert!(err.contains("training small (6,958 parameters)") && out.contains("run runs/small-1\n"), "{out}{err}");
    assert!(place.succeeds("evaluate runs/small-1 --device cpu")[0].contains("accuracy"));
}

/// A reproduction file as written by `lenslet diff` for a wrong kernel.
#[test]
fn a_reproduction_of_a_network_in_a_file_runs_without_the_file() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    let place = Place::new();
    let net = Network::from_toml("name = 'own'\ninput = [4]\nlayer = [{ kind = 'relu', name = 'gate' }]").unwrap();
    let values = [-1f32, 2.0, -3.0, 4.0].map(f32::to_le_bytes).concat();
    let write = |node: usize| {
        let x = TensorView::new(Dtype::F32, vec![1, 4], &values).unwrap();
        let node = node.to_string();
        let pairs = [("model", net.to_toml()), ("batch", "1".into()), ("seed", "1".into()), ("node", node)];
        let metadata = pairs.into_iter().chain([("direction", "forward".into())]).map(|(k, v)| (k.to_string(), v));
        fs::write(place.path("it.safetensors"), serialize([("input0", x)], Some(metadata.collect())).unwrap()).unwrap();
    };
    // The first node of the step that is computed.
    (0..9).find(|&node| {
        write(node);
        replay(&gpu, place.path("it.safetensors"), Network::from_toml).is_ok()
    });
    let lines = place.json("diff --replay it.safetensors --device gpu --json");
    assert_eq!([&lines[0]["layer"], &lines[0]["operation"]], ["gate", "relu"]);
    assert_eq!(lines[1]["passed"], true);
}

#[test]
fn a_network_of_other_classes_and_images_can_be_planned() {
    let place = Place::new();
    let net = "input = [3, 9, 9]\nlayer = [{ kind = 'flatten' }, { kind = 'dense', units = 2 }]";
    fs::write(place.path("two.toml"), net).unwrap();
    place.succeeds("plan two.toml --device cpu");
    let images = "[3, 9, 9]";
    place.refuses("train --model two.toml --data data --device cpu --out run", 2, &[images, "[1, 28, 28]"]);
}

#[test]
fn a_bad_file_is_refused_with_line_layer_and_key() {
    let place = Place::new();
    for (change, parts) in [
        (("filters = 4, size = 3, p", "filter = 4, size = 3, p"), ["net.toml:6: layer 3 (conv2d): ", "\"filters\""]),
        (("'stem', f", "'', f"), ["net.toml:4: layer \"\": name", "not empty"]),
        (("['conv2', 'stem']", "['conv2', 'steam']"), ["net.toml:7: layer \"add1\": input", "did you mean \"stem\""]),
        (("'flatten'", "'flat'"), ["net.toml:8: layer 5: unknown kind \"flat\"", "did you mean \"flatten\""]),
        (("'same'", "0"), ["net.toml:7: add \"add1\"", "broadcast"]),
        (("kind = 'relu' }", "kind = 'relu'"), ["net.toml:", "not TOML"]),
        (
            ("units = 10 },\n]", "units = 10 },\n]\n[augment]\nrotate = 999"),
            ["net.toml:12: augment: rotate", "0 to 180"],
        ),
    ] {
        fs::write(place.path("net.toml"), NET.replace(change.0, change.1)).unwrap();
        for command in
            ["summary net.toml", "plan net.toml", "train --model net.toml --data data --device cpu --out run"]
        {
            place.refuses(command, 1, &parts);
        }
    }
    place.refuses("summary nets/none.toml", 1, &["nets/none.toml: cannot read"]);
    place.refuses("summary lenet", 2, &["one of lenet5, ", "or a file", "found lenet"]);
}
