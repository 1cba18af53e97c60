//! Sums, means and maxima along axes.

use lenslet::check::Case;
use lenslet::{Graph, NodeId, Result};
use proptest::prelude::*;
use proptest::sample::subsequence;

use super::{Operation, filled, shape};
use crate::line::{Fields, Line, Value, flag, tensor};

pub fn all() -> Vec<Operation> {
    vec![
        Operation { name: "sum", draw: || reductions(&["any"]), build: |line| reduce(line, Graph::sum) },
        Operation { name: "mean", draw: || reductions(&["any"]), build: |line| reduce(line, Graph::mean) },
        Operation {
            name: "max",
            draw: || reductions(&["any", "ties", "special"]),
            build: |line| reduce(line, Graph::max),
        },
    ]
}

fn reductions(fills: &'static [&'static str]) -> BoxedStrategy<Fields> {
    let some = shape(0..6).prop_flat_map(|x| {
        let axes: Vec<usize> = (0..x.len()).collect();
        (Just(x), subsequence(axes.clone(), 0..=axes.len()).prop_shuffle(), any::<bool>())
    });
    let fields =
        some.prop_map(|(x, axes, keep)| vec![("x", tensor(x)), ("axes", Value::List(axes)), ("keep", flag(keep))]);
    filled(fields, fills)
}

fn reduce(line: &Line, over: fn(&mut Graph, NodeId, &[usize], bool) -> Result<NodeId>) -> Case {
    let (axes, keep) = (line.numbers("axes").to_vec(), line.flag("keep"));
    line.case(move |g, i| over(g, i[0], &axes, keep))
}
