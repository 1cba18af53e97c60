//! `lenslet shapes`: what fits, what does not, and what to change.

use std::process::{Command, Output};

use serde_json::Value;

fn shapes(arguments: &str) -> Output {
    let command = env!("CARGO_BIN_EXE_lenslet");
    Command::new(command).arg("shapes").args(arguments.split_whitespace()).output().unwrap()
}

fn text(arguments: &str) -> String {
    let output = shapes(arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn lines(arguments: &str) -> Vec<Value> {
    text(&format!("{arguments} --json")).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Status 2, and all of these words on standard error.
fn refused(arguments: &str, words: &[&str]) {
    let output = shapes(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments}: {error}");
    assert!(words.iter().all(|word| error.contains(word)), "{arguments}: {error}");
}

#[test]
fn strides_and_padding_are_listed_with_their_outputs() {
    let rows = lines("--input 5 --window 3");
    let short = |row: &Value| (row["stride"].as_u64(), row["padding"][0].as_u64(), row["output"].as_u64());
    assert!(rows.iter().any(|row| short(row) == (Some(1), Some(0), Some(3))), "the border effect: {rows:?}");
    assert!(rows.iter().any(|row| short(row) == (Some(1), Some(1), Some(5))), "same: {rows:?}");
    assert_eq!(lines("--input 28 --window 5 --stride 2 --padding 1,2").len(), 1);
    assert!(text("--input 28 --window 3 --dilation 2").contains("dilation 2"));
}

#[test]
fn seven_under_three_to_four_needs_a_fractional_stride() {
    let table = text("--input 7 --window 3 --output 4");
    assert!(table.contains("4/3 = 1.33"), "{table}");
    let rows = lines("--input 7 --window 3 --output 4");
    let (end, ways) = rows.split_last().unwrap();
    assert_eq!((end["event"].as_str(), end["reached"].as_bool()), (Some("end"), Some(false)));
    assert!((end["stride"].as_f64().unwrap() - 4.0 / 3.0).abs() < 1e-12);
    let change = |what: &str| ways.iter().find(|row| row["change"] == what).unwrap_or_else(|| panic!("no {what}"));
    let padding = change("padding");
    assert_eq!((padding["stride"].as_u64(), &padding["padding"]), (Some(2), &serde_json::json!([1, 1])));
    let window = change("window");
    assert_eq!((window["window"].as_u64(), window["stride"].as_u64()), (Some(4), Some(1)));
    let outputs: Vec<_> =
        ways.iter().filter(|row| row["change"] == "output").map(|row| row["output"].as_u64()).collect();
    assert_eq!(outputs, [Some(5), Some(3)]);
}

#[test]
fn a_whole_stride_is_named() {
    let rows = lines("--input 9 --window 3 --output 4");
    assert_eq!((rows[0]["stride"].as_u64(), rows[1]["reached"].as_bool()), (Some(2), Some(true)));
    assert!(text("--input 9 --window 3 --output 4").contains("reached"));
    // Rounded up, the last window reaches over the end.
    let rows = lines("--input 6 --window 3 --stride 2 --output 3");
    assert!(rows.iter().any(|row| row["change"] == "ceil_mode" && row["ceil_mode"] == true), "{rows:?}");
}

#[test]
fn what_cannot_be_is_refused_with_a_way_out() {
    refused("--input 2 --window 5 --padding 0", &["does not fit", "at most 2", "1 + 2"]);
    refused("--input 7 --window 0", &["window", "1 to 32767", "0"]);
    refused("--input 7 --window 3 --stride 0", &["stride", "1 to"]);
    refused("--input 7 --window 3 --output 0", &["output", "1 to"]);
    refused("--input 7 --window 3 --padding x", &["whole number"]);
    refused("--input 99999999999999 --window 3", &["input", "32767"]);
    refused("--window 3", &["--input"]);
}
