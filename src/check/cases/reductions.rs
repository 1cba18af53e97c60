//! Cases of sums, means and maxima over axes.

use crate::check::cases::{Case, Fill, MANY, case};

pub fn all() -> Vec<Case> {
    let shapes: [(&[usize], &[usize]); 9] = [
        (&[], &[]),
        (&[1], &[0]),
        (&[7], &[]),
        (&[65], &[0]),
        (&[4097], &[0]),
        (&[2, 3, 5, 7], &[1, 3]),
        (&[2, 3, 5, 7], &[0, 2, 3]),
        (&[131, 5], &[0]),
        (&[3, 67, 2, 71], &[1, 3]),
    ];
    let mut cases = vec![];
    for (x, axes) in shapes {
        let small = x.iter().product::<usize>() < 300;
        for keep in [false, true] {
            let name = |kind: &str| format!("{kind} {x:?} over {axes:?}{}", if keep { ", kept" } else { "" });
            let built = [
                case(name("sum"), &[x], move |g, i| g.sum(i[0], axes, keep)),
                case(name("mean"), &[x], move |g, i| g.mean(i[0], axes, keep)),
                case(name("max"), &[x], move |g, i| g.max(i[0], axes, keep)),
            ];
            cases.extend(built.into_iter().map(|c| if small { c } else { c.no_differences() }));
            cases.push(case(name("max ties"), &[x], move |g, i| g.max(i[0], axes, keep)).fill(Fill::Ties));
            cases.push(case(name("max special"), &[x], move |g, i| g.max(i[0], axes, keep)).fill(Fill::Special));
        }
    }
    cases.push(case("sum many", &[&[MANY]], |g, i| g.sum(i[0], &[], false)).forward_only());
    cases.push(case("sum_to", &[&[2, 3, 4]], |g, i| g.sum_to(i[0], [3, 1])));
    cases
}
