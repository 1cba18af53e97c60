//! Cases of matrix products and the dense layer.

use crate::check::cases::{Case, case};

pub fn all() -> Vec<Case> {
    let mut cases = vec![];
    for [m, k, n] in [[1, 1, 1], [3, 5, 7], [9, 4, 5], [8, 8, 8], [17, 3, 33], [64, 400, 120], [2, 2311, 3]] {
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            let a = if ta { [k, m] } else { [m, k] };
            let b = if tb { [n, k] } else { [k, n] };
            let name = format!("matmul {m}x{k}x{n}{}{}", if ta { " aT" } else { "" }, if tb { " bT" } else { "" });
            let built = case(name, &[&a, &b], move |g, i| g.matmul(i[0], i[1], ta, tb));
            cases.push(if m * k * n > 2000 { built.no_differences() } else { built });
        }
        let shapes: [&[usize]; 3] = [&[m, k], &[k, n], &[n]];
        let name = format!("dense {m}x{k}x{n}");
        cases.push(case(name, &shapes, |g, i| g.dense(i[0], i[1], Some(i[2]))).no_differences());
    }
    // Sums over many rows, in parts, with weights that fill whole blocks.
    let many = case("dense of many rows", &[&[2100, 64], &[64, 12], &[12]], |g, i| g.dense(i[0], i[1], Some(i[2])));
    cases.push(many.no_differences());
    cases.push(case("dense differences", &[&[3, 4], &[4, 5], &[5]], |g, i| g.dense(i[0], i[1], Some(i[2]))));
    cases.push(
        case("matmul long", &[&[1, 40_001], &[40_001, 2]], |g, i| g.matmul(i[0], i[1], false, false)).forward_only(),
    );
    cases.extend(batches());
    cases
}

/// Batches of matrices whose leading axes broadcast.
fn batches() -> Vec<Case> {
    let mut cases = vec![];
    let [m, k, n] = [3, 4, 2];
    let leads: [(&str, &[usize], &[usize]); 8] = [
        ("one axis", &[5], &[5]),
        ("two axes", &[2, 3], &[2, 3]),
        ("left repeated", &[], &[4]),
        ("right repeated", &[2, 3], &[]),
        ("right repeated, in ones", &[2], &[1, 1]),
        ("both repeated", &[3, 1], &[2]),
        ("inner axis repeated", &[2, 1, 2], &[2, 3, 2]),
        ("apart", &[2, 1, 2, 1], &[1, 3, 1, 2]),
    ];
    for (what, lead_a, lead_b) in leads {
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            let (left, right) = (if ta { [k, m] } else { [m, k] }, if tb { [n, k] } else { [k, n] });
            let (a, b) = ([lead_a, &left].concat(), [lead_b, &right].concat());
            let name = format!("matmul batch, {what}{}{}", if ta { " aT" } else { "" }, if tb { " bT" } else { "" });
            cases.push(case(name, &[&a, &b], move |g, i| g.matmul(i[0], i[1], ta, tb)));
        }
    }
    let mut large = |what: &str, a: &[usize], b: &[usize]| {
        let name = format!("matmul batch, {what}");
        cases.push(case(name, &[a, b], |g, i| g.matmul(i[0], i[1], false, false)).no_differences());
    };
    large("over a tile", &[7, 17, 9], &[7, 9, 13]);
    large("long", &[2, 1, 3, 2311], &[3, 2311, 2]);
    large("tall", &[40, 33, 20], &[20, 6]);
    large("many", &[300, 1, 5, 3], &[70, 3, 4]);
    cases.extend(blocks());
    cases.push(case("dense of a stack", &[&[2, 3, 4], &[4, 5], &[5]], |g, i| g.dense(i[0], i[1], Some(i[2]))));
    cases
}

/// Each block size of the kernels through workgroup memory, whole and cut off, and K in slices and parts.
fn blocks() -> Vec<Case> {
    let stack = |[pairs, m, k, n]: [usize; 4], ta: bool, tb: bool| {
        let (left, right) = (if ta { [k, m] } else { [m, k] }, if tb { [n, k] } else { [k, n] });
        let (a, b) = ([1, left[0], left[1]], [pairs, right[0], right[1]]);
        let name = format!("matmul blocks, {pairs} of {m}x{k}x{n}");
        case(name, &[&a, &b], move |g, i| g.matmul(i[0], i[1], ta, tb)).forward_only()
    };
    vec![
        stack([1030, 64, 3, 64], false, false),
        stack([260, 60, 32, 64], true, false),
        stack([260, 61, 35, 63], false, true),
        stack([257, 30, 70, 31], true, true),
        stack([1, 60, 4100, 33], false, false),
    ]
}
