//! Files changed at random: a network or a clear error, never a panic.

use lenslet::models;
use lenslet::nn::Network;
use proptest::prelude::*;

const BRANCHES: &str = r#"
name = "branches"
input = [3, 16, 16]
layer = [
    { kind = "normalize", mean = [0.5, 0.25, 1], deviation = 0.125 },
    { kind = "conv2d", name = "stem", filters = 8, size = 3, padding = "same", init = { rule = "normal", std = 0.1 } },
    { kind = "batch_norm", momentum = 0.2 },
    { kind = "leaky_relu", slope = 0.1 },
    { kind = "conv2d", filters = 8, size = [1, 3], padding = [0, 1], groups = "depthwise" },
    { kind = "add", name = "sum", inputs = ["conv1", "stem"] },
    { kind = "upsample", factor = 2, mode = "bilinear" },
    { kind = "conv_transpose2d", filters = 4, size = 2, stride = 2, output_padding = 1 },
    { kind = "max_pool2d", size = 3, stride = 2, ceil_mode = true },
    { kind = "adaptive_avg_pool2d", output = [2, 3] },
    { kind = "flatten" },
    { kind = "dense", units = 5, bias = false },
]
[augment]
flip = "both"
"#;

/// What a change puts in.
const WORDS: [&str; 30] = [
    "0",
    "1",
    "-1",
    "7",
    "65536",
    "4294967295",
    "18446744073709551615",
    "1e38",
    "nan",
    "inf",
    "\"same\"",
    "\"input\"",
    "\"conv1\"",
    "true",
    "[",
    "]",
    "{",
    "}",
    "[1, 2, 3, 4]",
    "=",
    ",",
    "\n",
    "#",
    "\"",
    "1979-05-27",
    "conv2d",
    "add",
    "concat",
    "inputs",
    "[[layer]]",
];

fn text() -> impl Strategy<Value = String> {
    let whole: Vec<String> =
        models::NAMES.iter().map(|name| models::by_name(name).unwrap().to_toml()).chain([BRANCHES.into()]).collect();
    let change = (any::<prop::sample::Index>(), 0usize..12, prop::sample::select(&WORDS[..]));
    (prop::sample::select(whole), prop::collection::vec(change, 1..6)).prop_map(|(mut text, changes)| {
        for (at, cut, word) in changes {
            // All of it is ASCII.
            let at = at.index(text.len() + 1);
            let end = (at + cut).min(text.len());
            text.replace_range(at..end, word);
        }
        text
    })
}

/// Values alone changed, so that more comes through to the layers.
fn numbers() -> impl Strategy<Value = String> {
    let number = prop_oneof![0usize..40, Just(65_535usize), Just(1 << 31), Just(1 << 40), Just(i64::MAX as usize)];
    prop::collection::vec((any::<prop::sample::Index>(), number), 1..4).prop_map(|changes| {
        let mut parts: Vec<String> =
            BRANCHES.split_inclusive(|c: char| !c.is_ascii_digit()).map(String::from).collect();
        let at: Vec<usize> = (0..parts.len()).filter(|&i| parts[i].starts_with(|c: char| c.is_ascii_digit())).collect();
        for (index, number) in changes {
            let part = &mut parts[*index.get(&at)];
            let rest = part.trim_start_matches(|c: char| c.is_ascii_digit()).to_string();
            *part = format!("{number}{rest}");
        }
        parts.concat()
    })
}

fn holds(text: &str) -> Result<(), TestCaseError> {
    match Network::from_toml(text) {
        Ok(net) => prop_assert_eq!(&Network::from_toml(&net.to_toml()).unwrap(), &net),
        Err(error) => {
            let message = error.to_string();
            let line = message.strip_prefix("line ").and_then(|rest| rest.split(':').next()?.parse().ok());
            prop_assert!(line.is_some_and(|line: usize| (1..=text.lines().count() + 1).contains(&line)), "{}", message);
            prop_assert!(!message.contains('\n') && message.len() < 1200, "{}", message);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn files_changed_at_random(text in text()) {
        holds(&text)?;
    }

    #[test]
    fn files_with_other_numbers(text in numbers()) {
        holds(&text)?;
    }
}
