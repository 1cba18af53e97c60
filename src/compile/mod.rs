//! From a graph to a plan: one file per pass, each a plain function.
//!
//! `fuse` (`narrow` before, `pool` after it) → `inline` → `schedule` → `select` → `precision` → `launch` → `memory`. Set
//! `LENSLET_TRACE=fuse` (or `inline`, `memory`) to see the result of a pass on standard error.

mod autodiff;
mod fuse;
mod inline;
mod launch;
mod memory;
mod narrow;
mod pool;
mod precision;
mod schedule;
mod select;

pub use autodiff::{gradients, pull_back};
pub use fuse::fuse;
pub use inline::inline;
pub use launch::{Launches, launches};
pub use memory::memory;
pub use narrow::narrow;
pub use pool::pool;
pub use precision::halves;
pub use schedule::schedule;
pub use select::{Choice, first, select};

use std::collections::HashSet;

use crate::graph::{Graph, Precision};
use crate::kernel::Limits;
use crate::plan::Plan;
use crate::{Error, Result};

/// Fewest elements of a value that is stored in halves: smaller ones save nothing worth the rounding.
const LEAST_HALVES: usize = 1024;

/// Compiles a step for a device with these limits, taking the first kernel candidate of each operation.
///
/// Errors: the graph is not [sound](Graph::verify); the step does not fit the limits, or they lack its
/// [precision](Graph::precision).
pub fn compile(graph: &Graph, limits: &Limits) -> Result<Plan> {
    compile_with(graph, limits, &first)
}

/// As [`compile`], with another choice among the candidates.
pub fn compile_with(graph: &Graph, limits: &Limits, choice: &Choice<'_>) -> Result<Plan> {
    graph.precision().check("this device", limits.f16)?;
    let graph = fuse(graph);
    trace("fuse", &graph);
    let graph = inline(&graph, limits);
    trace("inline", &graph);
    // A tenth of the time that compiling LeNet's training step takes: cheap enough for every build.
    graph.verify().map_err(Error::Graph)?;
    let order = schedule(&graph)?;
    let mut kernels = select(&graph, &order, limits, choice)?;
    let halves = match graph.precision() {
        Precision::F32 => HashSet::new(),
        Precision::F16 => halves(&graph, &order, &mut kernels, LEAST_HALVES),
    };
    let launches = launches(&graph, &order, &kernels, limits);
    let plan = memory(&graph, &order, kernels, &launches, &halves);
    trace("memory", &plan);
    plan.check(limits)?;
    Ok(plan)
}

fn trace(pass: &str, result: &dyn std::fmt::Display) {
    if std::env::var("LENSLET_TRACE").is_ok_and(|passes| passes.split(',').any(|p| p == pass)) {
        eprintln!("after {pass}:\n{result}");
    }
}
