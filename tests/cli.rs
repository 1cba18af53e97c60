//! The command line, from outside: what it prints and writes, and that whatever is wrong ends with one clear message.

mod common;
#[path = "common/pictures.rs"]
mod pictures;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lenslet::ShaderChecks;
use lenslet::nn::Layout;
use safetensors::SafeTensors;
use serde_json::Value;
use tempfile::TempDir;

const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

// ---- a place to work in -------------------------------------------------------------------------------------------

/// A folder of its own, with a small data set in `data`.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: TempDir::new().unwrap() };
        write_data(&place.path("data"));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command with these arguments, parted by spaces.
    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lenslet"));
        command.args(arguments.split_whitespace()).current_dir(self.folder.path()).stdin(Stdio::null());
        for variable in ["LENSLET_DEVICE", "LENSLET_ASSETS", "LENSLET_TRACE"] {
            command.env_remove(variable);
        }
        // Mesa complains on standard error without it.
        command.env("XDG_RUNTIME_DIR", self.folder.path());
        command.env("LENSLET_CACHE", self.path("cache"));
        command
    }

    fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that succeeds; standard output and standard error.
    fn succeeds(&self, arguments: &str) -> [String; 2] {
        succeeded(arguments, self.run(arguments))
    }

    /// Runs a command that succeeds and prints one JSON object a line.
    fn json(&self, arguments: &str) -> Vec<Value> {
        let [out, _] = self.succeeds(arguments);
        objects(&out)
    }

    /// Runs a command that is refused: exit status, one message with these parts, and every file as before.
    fn refuses(&self, arguments: &str, status: i32, parts: &[&str]) {
        let before = files(self.folder.path());
        self.refused(arguments, self.run(arguments), status, parts);
        assert!(files(self.folder.path()) == before, "{arguments}: files have changed");
    }

    fn refused(&self, arguments: &str, output: Output, status: i32, parts: &[&str]) {
        let [out, err] = texts(&output);
        assert_eq!(output.status.code(), Some(status), "{arguments}: {err}");
        assert!(out.is_empty(), "{arguments} prints {out}");
        assert!(!err.contains("panicked"), "{arguments}: {err}");
        assert_eq!(err.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{arguments}: {err}");
        for part in parts {
            assert!(err.contains(part), "{arguments}: {err:?} lacks {part:?}");
        }
    }
}

fn texts(output: &Output) -> [String; 2] {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8(bytes.clone()).unwrap())
}

fn succeeded(arguments: &str, output: Output) -> [String; 2] {
    let [out, err] = texts(&output);
    assert!(output.status.success(), "{arguments}: {:?} {err}", output.status.code());
    assert!(!err.contains("panicked"), "{arguments}: {err}");
    [out, err]
}

fn objects(out: &str) -> Vec<Value> {
    let object = |line: &str| match serde_json::from_str(line) {
        Ok(value @ Value::Object(_)) => value,
        other => panic!("{line:?} is no object: {other:?}"),
    };
    out.lines().map(object).collect()
}

fn has(object: &Value, fields: &[&str]) {
    fields.iter().for_each(|field| assert!(object.get(field).is_some(), "{object} lacks {field:?}"));
}

/// Every file below a folder with its content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
            all.insert(path, vec![]);
        } else {
            all.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    all
}

fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
    let magic = 0x0800 + dims.len() as u32;
    let header = [magic].iter().chain(dims).flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    [&header, data].concat()
}

/// The four files of a set of 320 pictures to learn from and 90 to measure with.
fn write_data(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (images, labels, count) in [(TRAIN_IMAGES, TRAIN_LABELS, 320), (TEST_IMAGES, TEST_LABELS, 90)] {
        let (pixels, classes) = pictures::pictures(count, [1, 28, 28], 10);
        fs::write(folder.join(images), idx(&[count as u32, 28, 28], &pixels)).unwrap();
        fs::write(folder.join(labels), idx(&[count as u32], &classes)).unwrap();
    }
}

// ---- train and evaluate -------------------------------------------------------------------------------------------

#[test]
fn a_run_leaves_a_folder_that_evaluates_to_the_same() {
    let place = Place::new();
    let [out, err] = place.succeeds("train --data data --device cpu --epochs 2 --batch-size 32 --lr 0.02 --out run");
    assert!(err.contains("device: CPU interpreter") && err.contains("61,706 parameters"), "{err}");
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
    assert!(table.contains("class  pictures  precision") && table.contains("confusion"), "{table}");
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
    has(&evaluated[0], &["loss"]);
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
    let mut told = vec![];
    while !told.iter().any(|line: &String| line.contains("\"step\"")) {
        told.push(lines.next().expect("a step comes before the end").unwrap());
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
    told.extend(lines.map(Result::unwrap));
    let output = child.wait_with_output().unwrap();
    done.send(()).unwrap();
    watchdog.join().unwrap();

    let [_, err] = succeeded(arguments, output);
    assert!(err.contains("stopped; the finished steps are saved in run"), "{err}");
    let told = objects(&told.join("\n"));
    let [.., epoch, end] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&epoch["event"], &end["event"]), (&"epoch".into(), &"end".into()));
    assert_eq!(epoch["weights_sha256"], end["weights_sha256"]);
    assert_eq!(place.json("evaluate run --device cpu --json")[0]["accuracy"], end["test_accuracy"]);
}

// ---- what the other commands print --------------------------------------------------------------------------------

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

    let text = &place.succeeds("plan lenet5 --batch-size 64 --device cpu --steps")[0];
    for part in ["dispatches", "activations", "lower bound", "parameters", "limits needed", "largest batch", "sgd"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_plan_over_the_limits_names_the_largest_batch() {
    let place = Place::new();
    let parts = ["\"conv1\"", "needs max", "the device has", "the largest batch that fits is "];
    place.refuses("plan convnet --batch-size 2000 --device cpu", 1, &parts);
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
    for command in ["", "devices ", "train ", "evaluate ", "summary ", "plan ", "doctor ", "diff "] {
        let [out, _] = place.succeeds(&format!("{command}--help"));
        assert!(out.contains("Examples:\n  lenslet "), "{out}");
    }
    for wrong in ["", "trian", "train --modle lenet5", "summary"] {
        let output = place.run(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
    }
}

// ---- devices that are not there -----------------------------------------------------------------------------------

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
    assert!(text.starts_with("no adapter: --device auto takes the CPU interpreter"), "{text}");
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

// ---- bad input ----------------------------------------------------------------------------------------------------

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
    train("--momentum 1", &["momentum", "below 1", "found 1"]);
    train("--weight-decay NaN", &["weight decay", "found NaN"]);
    train("--nesterov --momentum 0", &["momentum", "Nesterov"]);
    train("--nesterov --optimizer rmsprop", &["--nesterov", "--optimizer sgd", "rmsprop"]);
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
    let parts = ["data set", "pictures of [1, 28, 28] for lenet5", "found pictures of [1, 20, 24]"];
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
    place.refuses(&format!("{train} full"), 1, &["full", "new or empty folder", "--out"]);
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
    lenslet::weights::save(&weights, &layout, &layout.initial(1), &BTreeMap::new()).unwrap();
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
        (good.replace("lenet5", "lenet6"), ["lenet5, convnet", "found lenet6"]),
        (String::new(), ["missing field", "model"]),
    ] {
        fs::write(&config, bad).unwrap();
        place.refuses(evaluate, 1, &["config.toml", parts[0], parts[1]]);
    }
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
