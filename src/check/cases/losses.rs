//! Cases of softmax, log-softmax and losses.

use crate::ops::{CrossEntropy, IGNORE};
use crate::{Graph, NodeId, Result, TensorType};

use crate::check::cases::{Case, Fill, Input, case};

pub fn all() -> Vec<Case> {
    [softmax(), options(), errors()].into_iter().flatten().collect()
}

fn softmax() -> Vec<Case> {
    let mut cases = vec![];
    for (x, axis) in [(&[1][..], 0), (&[64, 10], 1), (&[3, 5, 7], 1), (&[3, 5, 7], 0), (&[5, 1000], 1)] {
        let softmax =
            |what: &str| case(format!("softmax {x:?} along {axis}{what}"), &[x], move |g, i| g.softmax(i[0], axis));
        let small = x.iter().product::<usize>() < 200;
        cases.push(if small { softmax("") } else { softmax("").no_differences() });
        cases.push(softmax(", large").fill(Fill::Large));
        let log_softmax = |what: &str| {
            case(format!("log_softmax {x:?} along {axis}{what}"), &[x], move |g, i| g.log_softmax(i[0], axis))
        };
        cases.push(if small { log_softmax("") } else { log_softmax("").no_differences() });
        cases.push(log_softmax(", large").fill(Fill::Large));
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

/// Cross-entropy with label smoothing, class weights and soft targets.
fn options() -> Vec<Case> {
    let mut cases = vec![];
    for (n, c) in [(1, 1), (7, 5), (65, 3), (5, 1000)] {
        for (label_smoothing, weighted) in [(0.0, true), (0.1, false), (0.3, true), (1.0, true)] {
            let class_weights = weighted.then(|| (0..c).map(|i| (i % 4) as f32 * 0.5).collect());
            let options = CrossEntropy { label_smoothing, class_weights };
            let what = format!("{n}x{c}, smoothing {label_smoothing}{}", if weighted { ", weights" } else { "" });
            let small = n * c < 700;
            for (labels, fill) in [
                ("", Fill::Below(c as u32)),
                (", ignoring", Fill::BelowOrIgnore(c as u32)),
                (", all ignored", Fill::Only(IGNORE)),
                (", bad labels", Fill::Only(c as u32)),
            ] {
                let options = options.clone();
                let build = move |g: &mut Graph, i: &[NodeId]| g.softmax_cross_entropy_with(i[0], i[1], &options);
                let mut built = case(format!("softmax_cross_entropy_with {what}{labels}"), &[&[n, c]], build);
                built.inputs.push(Input { ty: TensorType::u32([n]), fill });
                built.differentiable = small && !matches!(fill, Fill::Only(_));
                cases.push(built);
            }
            let soft = move |g: &mut Graph, i: &[NodeId]| g.softmax_cross_entropy_soft(i[0], i[1], &options);
            let built = case(format!("softmax_cross_entropy_soft {what}"), &[&[n, c], &[n, c]], soft);
            cases.push(if small { built } else { built.no_differences() });
        }
    }
    cases
}

/// Regression losses and binary cross-entropy.
fn errors() -> Vec<Case> {
    type Build = fn(&mut Graph, &[NodeId]) -> Result<NodeId>;
    let losses: [(&str, Build); 5] = [
        ("mean_squared_error", |g, i| g.mean_squared_error(i[0], i[1])),
        ("mean_absolute_error", |g, i| g.mean_absolute_error(i[0], i[1])),
        ("huber_loss", |g, i| g.huber_loss(i[0], i[1], 1.0)),
        ("huber_loss narrow", |g, i| g.huber_loss(i[0], i[1], 0.125)),
        ("binary_cross_entropy", |g, i| g.binary_cross_entropy(i[0], i[1])),
    ];
    let mut cases = vec![];
    for (name, build) in losses {
        for shape in [&[][..], &[65], &[3, 4, 5]] {
            cases.push(case(format!("{name} {shape:?}"), &[shape, shape], build));
        }
        cases.push(case(format!("{name} large"), &[&[257], &[257]], build).fill(Fill::Large));
    }
    cases
}
