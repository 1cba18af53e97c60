//! Softmax and cross-entropy.

use crate::ops::IGNORE;
use crate::{Graph, NodeId, Result, TensorType};

use super::{Case, Fill, Input, case};

pub fn all() -> Vec<Case> {
    let mut cases = vec![];
    for (x, axis) in [(&[1][..], 0), (&[64, 10], 1), (&[3, 5, 7], 1), (&[3, 5, 7], 0), (&[5, 1000], 1)] {
        let softmax =
            |what: &str| case(format!("softmax {x:?} along {axis}{what}"), &[x], move |g, i| g.softmax(i[0], axis));
        let small = x.iter().product::<usize>() < 200;
        cases.push(if small { softmax("") } else { softmax("").no_differences() });
        cases.push(softmax(", large").fill(Fill::Large));
    }
    for (n, c) in [(1, 1), (1, 10), (64, 10), (65, 3), (5, 1000)] {
        for (what, fill) in [
            ("", Fill::Below(c)),
            (", ignoring", Fill::BelowOrIgnore(c)),
            (", all ignored", Fill::Only(IGNORE)),
            (", bad labels", Fill::Only(c)),
        ] {
            let with_labels = |name: &str, build: fn(&mut Graph, &[NodeId]) -> Result<NodeId>| {
                let mut built = case(format!("{name} {n}x{c}{what}"), &[&[n, c as usize]], build);
                built.inputs.push(Input { ty: TensorType::u32([n]), fill });
                built.differentiable = n * (c as usize) < 700 && !matches!(fill, Fill::Only(_));
                built
            };
            let loss = |g: &mut Graph, i: &[NodeId]| g.softmax_cross_entropy(i[0], i[1]);
            cases.push(with_labels("softmax_cross_entropy", loss));
            cases.push(with_labels("softmax_cross_entropy large", loss).fill(Fill::Large));
            cases.push(with_labels("count_correct", |g, i| g.count_correct(i[0], i[1])).forward_only());
            cases.push(
                with_labels("count_correct ties", |g, i| g.count_correct(i[0], i[1])).fill(Fill::Ties).forward_only(),
            );
        }
    }
    cases
}
