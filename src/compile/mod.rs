//! From a graph to a plan: one file per pass, each a plain function.
//!
//! [`PASSES`] from graph to graph, then [`schedule`] → [`select`] → [`precision`] → [`launches`] → [`memory`]. Set
//! `LENSLET_TRACE=fuse` (or `narrow`, `pool`, `inline`, `schedule`, `select`, `precision`, `launch`, `memory`; several
//! with commas) to see the result of a pass on standard error.

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
mod text;
mod wrap;

use std::fmt::Display;

pub use autodiff::{gradients, pull_back};
pub use fuse::fuse;
pub use inline::inline;
pub use launch::{Launches, launches};
pub use memory::memory;
pub use narrow::narrow;
pub use pool::pool;
pub use precision::{halves, precision};
pub use schedule::schedule;
pub use select::{Choice, first, select};

use crate::graph::Graph;
use crate::kernel::Limits;
use crate::plan::Plan;
use crate::{Error, Result};

/// A pass from graph to graph. Nodes keep their numbers and types; those that are no longer needed stay, unread.
pub type Pass = fn(&Graph, &Limits) -> Graph;

/// The passes from graph to graph, in order, by the names that `LENSLET_TRACE` takes.
pub const PASSES: [(&str, Pass); 4] = [
    ("narrow", |graph, _| narrow(graph)),
    ("fuse", |graph, _| fuse(graph)),
    ("pool", |graph, _| pool(graph)),
    ("inline", inline),
];

/// The graph after those of the [passes](PASSES) that no device's limits affect: all but [`inline`].
pub fn merge(graph: &Graph) -> Graph {
    pool(&fuse(&narrow(graph)))
}

/// Compiles a step for a device with these limits, taking the first kernel candidate of each operation.
///
/// Errors: the graph is not [sound](Graph::verify); the step does not fit the limits, or they lack its
/// [precision](Graph::precision).
pub fn compile(graph: &Graph, limits: &Limits) -> Result<Plan> {
    compile_with(graph, limits, &first)
}

/// As [`compile`], with another choice among the candidates.
pub fn compile_with(graph: &Graph, limits: &Limits, choice: &Choice<'_>) -> Result<Plan> {
    compile_observed(graph, limits, choice, &mut trace)
}

/// As [`compile_with`], calling `observe` after each pass with its name and its result as text.
pub fn compile_observed(
    graph: &Graph,
    limits: &Limits,
    choice: &Choice<'_>,
    observe: &mut dyn FnMut(&'static str, &dyn Display),
) -> Result<Plan> {
    graph.precision().check("this device", limits.f16)?;
    // A tenth of the time that compiling LeNet's training step takes: cheap enough for every build.
    graph.verify().map_err(Error::Graph)?;
    let mut graph = graph.clone();
    for (name, pass) in PASSES {
        graph = pass(&graph, limits);
        debug_assert_eq!(graph.verify(), Ok(()), "after {name}");
        observe(name, &graph);
    }
    let order = schedule(&graph)?;
    observe("schedule", &text::order(&graph, &order));
    let mut kernels = select(&graph, &order, limits, choice)?;
    observe("select", &text::kernels(&graph, &order, &kernels));
    let halves = precision(&graph, &order, &mut kernels);
    observe("precision", &text::halves(&graph, &order, &halves));
    let launches = launches(&graph, &order, &kernels, limits);
    observe("launch", &text::launches(&graph, &order, &kernels, &launches));
    let plan = memory(&graph, &order, kernels, &launches, &halves);
    observe("memory", &plan);
    plan.check(limits)?;
    Ok(plan)
}

/// Prints the result of a pass if `LENSLET_TRACE` names it.
fn trace(pass: &'static str, result: &dyn Display) {
    if std::env::var("LENSLET_TRACE").is_ok_and(|passes| passes.split(',').any(|p| p == pass)) {
        eprintln!("after {pass}:\n{result}");
    }
}
