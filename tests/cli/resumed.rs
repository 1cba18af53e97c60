//! Runs that are stopped, by whatever, and go on.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use lenslet::ShaderChecks;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::common;
use crate::place::{Place, files};

/// Six epochs of 18 steps; 27 times a checkpoint inside one.
const RUN: &str = "--data data --batch-size 16 --checkpoint-steps 4 --epochs 6 --validation 32";

/// Whatever a run leaves that does not depend on the time it took.
fn results(place: &Place, run: &str) -> Vec<(String, Vec<u8>)> {
    let all = files(&place.path(run)).into_iter();
    let named = all.map(|(path, bytes)| (path.file_name().unwrap().to_str().unwrap().to_string(), bytes));
    named.filter(|(name, _)| name.ends_with(".safetensors") || name == "config.toml").map(without_times).collect()
}

/// A checkpoint keeps how long its epochs took, in the words before its values.
fn without_times((name, bytes): (String, Vec<u8>)) -> (String, Vec<u8>) {
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    match name.starts_with("checkpoint") {
        true => (name, bytes[8 + header..].to_vec()),
        false => (name, bytes),
    }
}

/// Kills runs at random moments until so many died; each that is left goes on to the same end.
#[cfg(unix)]
fn kill(place: &Place, device: &str, kills: usize, moments: std::ops::Range<u64>) {
    place.succeeds(&format!("train {RUN} --device {device} --out whole-{device}"));
    let whole = results(place, &format!("whole-{device}"));
    assert_eq!(whole.len(), 5, "best, configuration, model, two checkpoints");
    let mut random = ChaCha8Rng::seed_from_u64(6);
    let (mut killed, mut number) = (0, 0);
    while killed < kills {
        number += 1;
        let run = format!("run-{device}-{number}");
        loop {
            let begun = place.path(&run).join("config.toml").exists();
            let how = if begun { format!("--resume {run}") } else { format!("{RUN} --out {run}") };
            let mut command = place.command(&format!("train {how} --device {device}"));
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            if killed < kills {
                std::thread::sleep(Duration::from_millis(random.random_range(moments.clone())));
                child.kill().unwrap();
            }
            let output = child.wait_with_output().unwrap();
            if output.status.success() {
                break;
            }
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.code().is_none(), "not killed, but failed: {said}");
            killed += 1;
        }
        assert!(results(place, &run) == whole, "{run} differs from a run that was not killed");
        let of_epochs = |run: &str| {
            let log = fs::read_to_string(place.path(run).join("log.jsonl")).unwrap();
            let epoch =
                |line: &str| line.contains("weights_sha256").then(|| line.split("sha256").nth(1).unwrap().to_string());
            log.lines().filter_map(epoch).collect::<Vec<_>>()
        };
        assert_eq!(of_epochs(&run), of_epochs(&format!("whole-{device}")), "the log has every epoch once");
    }
}

#[cfg(unix)]
#[test]
fn killed_at_any_moment_a_run_goes_on_to_the_same_bytes() {
    kill(&Place::new(), "cpu", 40, 0..400);
}

#[cfg(unix)]
#[test]
fn killed_at_any_moment_a_run_on_the_gpu_goes_on_to_the_same_bytes() {
    if common::gpu(ShaderChecks::Trusted).is_some() {
        kill(&Place::new(), "gpu", 10, 300..3000);
    }
}

#[test]
fn a_finished_run_can_be_made_longer_and_a_resumed_one_keeps_its_settings() {
    let place = Place::new();
    place.succeeds("train --data data --device cpu --epochs 4 --schedule constant --batch-size 32 --out four");
    place.succeeds("train --data data --device cpu --epochs 2 --schedule constant --batch-size 32 --out two");
    let [_, err] = place.succeeds("train --resume two --device cpu --epochs 4");
    assert!(err.contains("resuming two after step 18") && err.contains("epoch 3: "), "{err}");
    assert!(results(&place, "two") == results(&place, "four"));
    let [out, err] = place.succeeds("train --resume two --device cpu");
    assert!(out.contains("test accuracy") && !err.contains("epoch 5"), "nothing is left to do: {err}");

    place.refuses("train --resume two --lr 0.1", 2, &["cannot be used with", "--lr"]);
    place.refuses("train --resume none", 1, &["none/config.toml: cannot read"]);
    place.refuses("train --resume data", 1, &["data/config.toml: cannot read"]);

    let config = fs::read_to_string(place.path("two/config.toml")).unwrap();
    let device = config.lines().find(|line| line.starts_with("device = ")).unwrap();
    fs::write(place.path("two/config.toml"), config.replace(device, "device = \"another GPU\"")).unwrap();
    let [_, err] = place.succeeds("train --resume two --device cpu");
    let note = "note: this run was started on another GPU; results will no longer be bit-identical to it\n";
    assert!(err.contains(note), "{err}");
}

/// An option of `train` with a valid value, and whether it may be given with `--resume`.
const OPTIONS: [(&str, &str, bool); 38] = [
    ("--model", "lenet5", false),
    ("--data", "mnist", false),
    ("--train", "10", false),
    ("--validation", "10", false),
    ("--test", "10", false),
    ("--resize", "crop", false),
    ("--background", "white", false),
    ("--skip-bad", "", false),
    ("--resident", "8", true),
    ("--epochs", "2", true),
    ("--steps", "2", true),
    ("--batch-size", "8", false),
    ("--optimizer", "adam", false),
    ("--lr", "0.1", false),
    ("--momentum", "0.5", false),
    ("--nesterov", "", false),
    ("--weight-decay", "0.1", false),
    ("--schedule", "constant", false),
    ("--clip", "value:1", false),
    ("--augment", "rotate:10", false),
    ("--normalize", "auto", false),
    ("--class-weights", "balanced", false),
    ("--accumulate", "2", false),
    ("--group", "*.bias:lr=2", false),
    ("--precision", "f32", false),
    ("--seed", "2", false),
    ("--early-stop", "3", false),
    ("--time-limit", "1h", true),
    ("--allow-nan", "", false),
    ("--checkpoint-steps", "5", false),
    ("--keep", "3", true),
    ("--csv", "run.csv", true),
    ("--tensorboard", "logs", true),
    ("--out", "other", false),
    ("--device", "cpu", true),
    ("--json", "", true),
    ("--resume", "none", true),
    ("--help", "", true),
];

#[test]
fn every_option_is_refused_beside_resume_unless_it_may_change() {
    let place = Place::new();
    let [help, _] = place.succeeds("train --help");
    let names = help.lines().filter_map(|line| {
        // Descriptions are indented further.
        let option = line.strip_prefix("      ").or(line.strip_prefix("  -h, "))?;
        option.starts_with("--").then(|| option.split_whitespace().next().unwrap())
    });
    let mut names: Vec<&str> = names.collect();
    let mut known: Vec<&str> = OPTIONS.iter().map(|(name, ..)| *name).collect();
    names.sort_unstable();
    known.sort_unstable();
    assert_eq!(names, known, "each option of `train --help` is in the table above");
    for (name, value, may_change) in OPTIONS.iter().filter(|(name, ..)| !["--resume", "--help"].contains(name)) {
        let arguments = format!("train --resume none {name} {value}");
        match may_change {
            true => place.refuses(&arguments, 1, &["none/config.toml: cannot read"]),
            false => place.refuses(&arguments, 2, &["--resume <RUN>", "cannot be used with", name]),
        }
    }
}

#[test]
fn damaged_checkpoints_are_refused_and_the_last_good_one_is_named() {
    let place = Place::new();
    place.succeeds("train --data data --device cpu --epochs 3 --batch-size 32 --out run");
    let last = place.path("run/checkpoint-00000027.safetensors");
    let mut bytes = fs::read(&last).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&last, bytes).unwrap();
    let parts =
        ["checkpoint-00000027.safetensors: damaged", "checkpoint-00000018.safetensors is whole: delete the other"];
    place.refuses("train --resume run --device cpu", 1, &parts);
    fs::remove_file(&last).unwrap();
    let [_, err] = place.succeeds("train --resume run --device cpu");
    assert!(err.contains("after step 18"), "{err}");
}

#[cfg(unix)]
#[test]
fn where_no_more_can_be_written_the_last_checkpoint_survives() {
    let place = Place::new();
    place.succeeds("train --data data --device cpu --epochs 4 --schedule constant --batch-size 32 --out four");
    place.succeeds("train --data data --device cpu --epochs 2 --schedule constant --batch-size 32 --out run");
    let before = results(&place, "run");
    // As on a full disk, from 100 kB on.
    let lenslet = env!("CARGO_BIN_EXE_lenslet");
    let resume = format!("trap '' XFSZ; ulimit -f 200; exec {lenslet} train --resume run --device cpu --epochs 4");
    let mut shell = std::process::Command::new("sh");
    let output = shell.args(["-c", &resume]).current_dir(place.folder.path()).output().unwrap();
    let message = ["the run ended early", "cannot write: ", "continue with: lenslet train --resume run"];
    place.refused("resume", output, 1, &message);
    let names = |results: &[(String, Vec<u8>)]| results.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let after = results(&place, "run");
    assert_eq!(names(&after), names(&before), "nothing is lost, and nothing half-written is left");
    assert!(after.iter().zip(&before).all(|(after, before)| after == before || after.0 == "config.toml"));
    place.succeeds("train --resume run --device cpu");
    assert!(results(&place, "run") == results(&place, "four"));
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_before_training() {
    let place = Place::new();
    fs::write(place.path("file"), "").unwrap();
    place.refuses("train --data data --device cpu --out file/run", 1, &["file/run: cannot create: "]);
}

#[cfg(unix)]
#[test]
fn two_processes_do_not_train_in_one_folder() {
    let place = Place::new();
    let long = "train --data data --device cpu --epochs 1000000 --out run";
    let mut first = place.command(long).stderr(Stdio::null()).spawn().unwrap();
    while !place.path("run/log.jsonl").exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = place.run("train --resume run --device cpu");
    first.kill().unwrap();
    first.wait().unwrap();
    place.refused("resume", output, 1, &["run: another process is training in this folder"]);
}

#[test]
fn a_run_stops_early_by_validation_and_by_the_clock() {
    let place = Place::new();
    let still =
        "train --data data --device cpu --lr 1e-30 --momentum 0 --epochs 50 --early-stop 2 --csv run.csv --out run";
    let [_, err] = place.succeeds(still);
    assert!(err.contains("epoch 3: ") && !err.contains("epoch 4: "), "{err}");
    assert!(err.contains("stopped early: validation no longer improves"), "{err}");
    assert_eq!(fs::read_to_string(place.path("run.csv")).unwrap().lines().count(), 4);
    let [_, err] = place.succeeds("train --resume run --device cpu");
    assert!(!err.contains("epoch 4: "), "where it stopped, it stops again: {err}");

    let limited = "train --data data --device cpu --epochs 100000 --time-limit 300ms --tensorboard logs --out short";
    let [_, err] = place.succeeds(limited);
    assert!(err.contains("stopped by the time limit") && err.contains("lenslet train --resume short"), "{err}");
    assert_eq!(fs::read_dir(place.path("logs")).unwrap().count(), 1);
    place.refuses("train --time-limit soon", 2, &["--time-limit", "soon"]);
    place.refuses("train --early-stop 0", 2, &["--early-stop", "expected EPOCHS"]);
}
