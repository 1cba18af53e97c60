//! Which operations PyTorch has had a say in, and why not in the others.

use std::collections::BTreeSet;
use std::path::Path;

use lenslet::check::Built as Tried;
use lenslet::check::cases::all;
use lenslet::ops::{ARITHMETIC, TABLE};
use lenslet::{Graph, Result};

use crate::cases::{Case, cases};
use crate::operation::Built;
use crate::trajectory::{Update, optimizer};

/// Builders and operations without a golden case, and the reason.
const OURS_ALONE: &[(&str, &str)] = &[
    ("accumulate", "adds up over steps: tests/train compares with one large batch"),
    ("augment", "what it does is drawn by our own generator; tests/train/augmented.rs looks at its pictures"),
    ("binary", "its rows have cases by their own names"),
    ("clamp", "relu6 with other bounds; tests/layers.rs compares it with a few lines"),
    ("clamp_grad", "that of relu6 with other bounds; tests/layers.rs compares it with central differences"),
    ("clock", "counts steps: no arithmetic of PyTorch's"),
    ("dropout", "the mask is of our own generator"),
    ("gather_images", "takes a batch from a resident set: no arithmetic of PyTorch's"),
    ("gather_labels", "takes a batch from a resident set: no arithmetic of PyTorch's"),
    ("record", "keeps a run's history, of what softmax_cross_entropy and count_correct compute"),
    ("tally", "counts what a classifier says: no arithmetic"),
    (
        "normalize",
        "a difference over a number, as sub and div; tests/train/normalised.rs does it to the pictures by hand",
    ),
    ("store", "keeps a value: no arithmetic"),
    ("spatial_dropout", "the mask is of our own generator"),
    ("update_clock", "counts updates: no arithmetic of PyTorch's"),
    ("unary", "its rows have cases by their own names"),
    ("unary_with", "its rows have cases by their own names"),
];

fn is_ours_alone(name: &str) -> bool {
    OURS_ALONE.iter().any(|(listed, _)| *listed == name)
}

/// The names of the operations in a graph.
fn operations(graph: &Graph) -> impl Iterator<Item = String> {
    graph.ids().filter_map(|id| Some(graph.node(id).op()?.name().to_string()))
}

fn graph(case: &Case) -> Result<Graph> {
    match optimizer(case) {
        Some(rule) => Ok(Update::of(case, rule.as_ref())?.graph),
        None => Ok(Built::of(case)?.graph),
    }
}

/// Methods of [`Graph`] that append an operation: public, of `&mut self`, in `src/ops`.
fn builders() -> BTreeSet<String> {
    let mut builders = BTreeSet::new();
    let mut paths = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops")];
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths
                .extend(std::fs::read_dir(&path).expect("a folder of operations").map(|e| e.expect("an entry").path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a source file");
        for method in text.split("\n    pub fn ").skip(1) {
            let (name, rest) = method.split_once(['(', '<']).expect("a method");
            if rest.trim_start().starts_with("&mut self") {
                builders.insert(name.to_string());
            }
        }
    }
    builders
}

/// Every builder, scalar function, arithmetic, and every operation that a case of the table makes, forward or backward,
/// is in a golden case or says why not.
pub fn check() {
    let (mut named, mut golden) = (BTreeSet::new(), BTreeSet::new());
    for case in cases() {
        let graph = graph(&case).unwrap_or_else(|e| panic!("case {}: {e}", case.number));
        golden.extend(operations(&graph));
        named.insert(case.op);
    }
    let rows = TABLE.iter().map(|row| row.name).chain(ARITHMETIC.iter().map(|row| row.name)).map(String::from);
    let mut missing: BTreeSet<String> =
        builders().into_iter().chain(rows).filter(|name| !named.contains(name)).collect();
    for case in all() {
        let mut tried = Tried::of(&case).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        if case.backward {
            tried.differentiate(&case).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        }
        missing.extend(operations(&tried.graph).filter(|name| !golden.contains(name)));
    }
    let forgotten: Vec<_> = missing.iter().filter(|name| !is_ours_alone(name)).collect();
    assert!(
        forgotten.is_empty(),
        "no golden case has {forgotten:?}: add some in assets/golden/families, or the reason to OURS_ALONE"
    );
    let stale: Vec<_> = OURS_ALONE.iter().filter(|(name, _)| !missing.contains(*name)).collect();
    assert!(stale.is_empty(), "these have golden cases, or are gone: {stale:?}");
}
