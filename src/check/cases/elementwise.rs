//! Scalar functions and broadcasting arithmetic.

use crate::ops::{ARITHMETIC, TABLE};

use super::{Case, Fill, MANY, case};

pub fn all() -> Vec<Case> {
    [scalars(), arithmetic()].into_iter().flatten().collect()
}

fn scalars() -> Vec<Case> {
    let mut cases = vec![];
    for row in TABLE {
        for shape in [&[][..], &[1], &[3, 7, 11]] {
            let name = format!("{} {shape:?}", row.name);
            cases.push(case(name, &[shape], |g, i| g.unary(row.name, i[0])).fill(Fill::AwayFromZero));
        }
        cases
            .push(case(format!("{} special", row.name), &[&[257]], |g, i| g.unary(row.name, i[0])).fill(Fill::Special));
        cases.push(case(format!("{} large", row.name), &[&[257]], |g, i| g.unary(row.name, i[0])).fill(Fill::Large));
    }
    cases.push(case("relu many workgroups", &[&[MANY]], |g, i| g.relu(i[0])).forward_only());
    cases
}

fn arithmetic() -> Vec<Case> {
    let shapes: [[&[usize]; 2]; 9] = [
        [&[], &[]],
        [&[7], &[7]],
        [&[7], &[1]],
        [&[], &[2, 3]],
        [&[3, 1, 5], &[4, 1]],
        [&[2, 3, 5, 7], &[3, 1, 1]],
        [&[3, 1, 1], &[2, 3, 5, 7]],
        [&[2, 1, 3, 1, 5, 1], &[1, 2, 1, 3, 1, 2]],
        [&[64, 120], &[120]],
    ];
    let mut cases = vec![];
    for row in ARITHMETIC {
        for pair in shapes {
            let name = format!("{} {:?} {:?}", row.name, pair[0], pair[1]);
            let mut built = case(name, &pair, |g, i| g.binary(row.name, i[0], i[1]));
            built.inputs.iter_mut().for_each(|i| i.fill = Fill::AwayFromZero);
            cases.push(if pair[0].iter().product::<usize>() > 1000 { built.no_differences() } else { built });
        }
    }
    cases.push(case("mul of a value by itself", &[&[3, 5]], |g, i| g.mul(i[0], i[0])));
    cases.push(case("add many workgroups", &[&[MANY], &[1]], |g, i| g.add(i[0], i[1])).forward_only());
    cases.push(case("scale", &[&[3, 5]], |g, i| g.scale(i[0], -0.3)));
    cases
}
