//! Matrix products and the dense layer.

use super::{Case, case};

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
    cases.push(case("dense differences", &[&[3, 4], &[4, 5], &[5]], |g, i| g.dense(i[0], i[1], Some(i[2]))));
    cases.push(
        case("matmul long", &[&[1, 40_001], &[40_001, 2]], |g, i| g.matmul(i[0], i[1], false, false)).forward_only(),
    );
    cases
}
