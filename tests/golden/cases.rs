//! What stands in `assets/golden`: the cases, their inputs by the hash, PyTorch's values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lenslet::ops::IGNORE;
use safetensors::SafeTensors;
use serde_json::Value;

/// One operation or optimizer with its options, on given inputs.
pub struct Case {
    pub number: usize,
    /// The builder of the operation, the scalar function, or the optimizer.
    pub op: String,
    pub options: Options,
    pub inputs: Vec<Input>,
    /// The inputs that there are gradients for.
    pub wrt: Vec<usize>,
}

pub struct Input {
    pub shape: Vec<usize>,
    pub fill: String,
    /// Whether the operation replaces it.
    pub variable: bool,
}

/// The number of a case's seed that its upstream gradient has; its inputs have those before.
const UPSTREAM: usize = 15;

impl Case {
    /// The values of input `number`.
    pub fn input(&self, number: usize) -> Vec<f64> {
        fill(&self.inputs[number].shape, &self.inputs[number].fill, 16 * self.number + number)
    }

    /// The gradient that goes back from a result of this shape.
    pub fn upstream(&self, shape: &[usize]) -> Vec<f64> {
        fill(shape, "any", 16 * self.number + UPSTREAM)
    }

    /// The parameters of an optimizer before the first of its steps, or its gradients of step `at`, from 1.
    pub fn of_step(&self, at: usize) -> Vec<f32> {
        fill(&self.inputs[0].shape, "any", 16 * self.number + at).iter().map(|&v| v as f32).collect()
    }
}

impl Input {
    pub fn is_integer(&self) -> bool {
        self.fill.starts_with("below")
    }
}

/// The options of a case. What is asked for must be there.
pub struct Options(pub Value);

impl Options {
    pub fn has(&self, key: &str) -> bool {
        self.0.get(key).is_some()
    }

    pub fn flag(&self, key: &str) -> bool {
        self.0[key].as_bool().unwrap_or_else(|| panic!("{key} is no flag in {}", self.0))
    }

    pub fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_else(|| panic!("{key} is no text in {}", self.0))
    }

    pub fn float(&self, key: &str) -> f32 {
        self.0[key].as_f64().unwrap_or_else(|| panic!("{key} is no number in {}", self.0)) as f32
    }

    pub fn size(&self, key: &str) -> usize {
        size(&self.0[key])
    }

    pub fn sizes(&self, key: &str) -> Vec<usize> {
        sizes(&self.0[key])
    }

    pub fn array<const N: usize>(&self, key: &str) -> [usize; N] {
        self.sizes(key).try_into().unwrap_or_else(|v| panic!("{key} has not {N} numbers: {v:?}"))
    }

    /// A list of lists.
    pub fn rows<const N: usize>(&self, key: &str) -> Vec<[usize; N]> {
        let row = |v: &Value| sizes(v).try_into().unwrap_or_else(|v| panic!("{key} has not {N} numbers a row: {v:?}"));
        self.0[key].as_array().unwrap_or_else(|| panic!("{key} is no list in {}", self.0)).iter().map(row).collect()
    }

    pub fn floats(&self, key: &str) -> Vec<f32> {
        let list = self.0[key].as_array().unwrap_or_else(|| panic!("{key} is no list in {}", self.0));
        list.iter().map(|v| v.as_f64().expect("a number") as f32).collect()
    }
}

fn size(value: &Value) -> usize {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no size")) as usize
}

fn sizes(value: &Value) -> Vec<usize> {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list")).iter().map(size).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/golden")
}

/// Every case.
pub fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(folder().join("cases.jsonl")).expect("assets/golden/cases.jsonl");
    let input = |v: &Value| Input {
        shape: sizes(&v["shape"]),
        fill: v["fill"].as_str().expect("a fill").into(),
        variable: v["variable"].as_bool().unwrap_or(false),
    };
    let parse = |line: &str| {
        let v: Value = serde_json::from_str(line).expect("a line of JSON");
        Case {
            number: size(&v["case"]),
            op: v["op"].as_str().expect("an operation").into(),
            options: Options(v["options"].clone()),
            inputs: v["inputs"].as_array().expect("inputs").iter().map(input).collect(),
            wrt: sizes(&v["wrt"]),
        }
    };
    text.lines().map(parse).collect()
}

/// The case that `GOLDEN_CASE` names, or every one.
pub fn selected() -> Vec<Case> {
    let wanted: Option<usize> = std::env::var("GOLDEN_CASE").ok().map(|n| n.parse().expect("a case's number"));
    cases().into_iter().filter(|case| wanted.is_none_or(|n| n == case.number)).collect()
}

/// PyTorch's values, by case and result: `17.y`, `17.d0`.
pub struct Golden(BTreeMap<String, Vec<f32>>);

impl Golden {
    pub fn read() -> Self {
        let bytes = std::fs::read(folder().join("values.safetensors")).expect("assets/golden/values.safetensors");
        let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
        Self(file.tensors().into_iter().map(|(name, t)| (name, bytemuck::pod_collect_to_vec(t.data()))).collect())
    }

    pub fn of(&self, case: &Case, result: &str) -> &[f32] {
        let name = format!("{}.{result}", case.number);
        self.0.get(&name).unwrap_or_else(|| panic!("values.safetensors has no {name}"))
    }

    /// The results that the file has for a case.
    pub fn results<'a>(&'a self, case: &Case) -> impl Iterator<Item = &'a str> {
        let prefix = format!("{}.", case.number);
        self.0.keys().filter_map(move |name| name.strip_prefix(&prefix))
    }
}

/// Floats in [0, 1), exact in f32.
fn unit(count: usize, seed: usize) -> Vec<f64> {
    let one = |i: u32| {
        let mut x = i ^ (seed as u32).wrapping_mul(0x9E37_79B9);
        x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
        x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE35);
        f64::from((x ^ (x >> 16)) >> 8) / f64::from(1 << 24)
    };
    (0..count as u32).map(one).collect()
}

/// The values of an input; the same rules stand in `assets/golden/record.py`.
fn fill(shape: &[usize], kind: &str, seed: usize) -> Vec<f64> {
    let u = unit(shape.iter().product(), seed);
    let rounded = |f: fn(f64) -> f64| u.iter().map(|&u| f64::from(f(u) as f32)).collect();
    let (name, bound) = kind.split_once(':').unwrap_or((kind, "0"));
    let bound: f64 = bound.parse().expect("a number behind the colon");
    match name {
        "any" => rounded(|u| 4.0 * u - 2.0),
        "away" => rounded(|u| if u < 0.5 { -0.5 - 3.0 * u } else { 0.5 + 3.0 * (u - 0.5) }),
        "positive" => rounded(|u| 0.5 + 1.5 * u),
        "share" => rounded(|u| u),
        "bits" => rounded(|u| (2.0 * u).floor()),
        "wide" => rounded(|u| 80.0 * u - 40.0),
        "large" => rounded(|u| 20000.0 * u - 10000.0),
        "ties" => rounded(|u| (4.0 * u).floor() - 1.0),
        "spread" => {
            let mut order: Vec<usize> = (0..u.len()).collect();
            order.sort_by(|&a, &b| u[a].total_cmp(&u[b]));
            let middle = u.len() as f64 * 0.125;
            order.into_iter().map(|i| f64::from((i as f64 * 0.25 - middle) as f32)).collect()
        }
        "below" => u.iter().map(|u| (u * bound).floor()).collect(),
        "below_or_ignored" => {
            let label = |u: &f64| (u * (bound + 1.0)).floor();
            u.iter().map(label).map(|label| if label == bound { f64::from(IGNORE) } else { label }).collect()
        }
        _ => panic!("no fill is called {kind}"),
    }
}
