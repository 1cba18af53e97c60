//! Cases of scalar functions, standardization and broadcasting arithmetic.

use crate::ops::{ARITHMETIC, TABLE};

use crate::check::cases::{Case, Fill, MANY, case};

pub fn all() -> Vec<Case> {
    [scalars(), prelu(), arithmetic(), standardization()].into_iter().flatten().collect()
}

fn scalars() -> Vec<Case> {
    let mut cases = vec![];
    for row in TABLE {
        // Roots and logarithms have no derivative where they are undefined.
        let fill = if (row.f)(-1.0, 1.0).is_nan() { Fill::Positive } else { Fill::AwayFromZero };
        for shape in [&[][..], &[1], &[3, 7, 11]] {
            let name = format!("{} {shape:?}", row.name);
            cases.push(case(name, &[shape], |g, i| g.unary(row.name, i[0])).fill(fill));
        }
        cases
            .push(case(format!("{} special", row.name), &[&[257]], |g, i| g.unary(row.name, i[0])).fill(Fill::Special));
        cases.push(case(format!("{} large", row.name), &[&[257]], |g, i| g.unary(row.name, i[0])).fill(Fill::Large));
    }
    for (name, parameters) in [("leaky_relu", [0.0, 0.3]), ("elu", [0.0, 1.7]), ("huber", [0.25, 1.6])] {
        for a in parameters {
            let built = case(format!("{name} {a}"), &[&[5, 13]], move |g, i| g.unary_with(name, a, i[0]));
            cases.push(built.fill(Fill::AwayFromZero));
        }
    }
    let clamp = case("clamp", &[&[5, 13]], |g, i| g.clamp(i[0], 0.0, 6.0));
    cases.push(clamp.fill(Fill::AwayFromZero));
    let special = case("clamp special", &[&[257]], |g, i| g.clamp(i[0], -0.5, 0.25));
    cases.push(special.fill(Fill::Special).forward_only());
    cases.push(case("relu many workgroups", &[&[MANY]], |g, i| g.relu(i[0])).forward_only());
    cases
}

fn prelu() -> Vec<Case> {
    let shapes: [[&[usize]; 2]; 5] =
        [[&[], &[1]], [&[7], &[1]], [&[4, 3], &[3]], [&[2, 3, 5, 7], &[3]], [&[2, 1, 5, 7], &[1]]];
    let built = shapes.map(|pair| {
        let name = format!("prelu {:?} {:?}", pair[0], pair[1]);
        case(name, &pair, |g, i| g.prelu(i[0], i[1])).fill(Fill::AwayFromZero)
    });
    let special = case("prelu special", &[&[3, 4, 5], &[4]], |g, i| g.prelu(i[0], i[1])).fill(Fill::Special);
    built.into_iter().chain([special]).collect()
}

/// Standardization with one mean and standard std, and with one per channel.
fn standardization() -> Vec<Case> {
    let numbers = |n: usize, first: f32| (0..n).map(|c| first + 0.3 * c as f32).collect::<Vec<_>>();
    let of = |shape: &'static [usize], [means, stds]: [usize; 2]| {
        let name = format!("normalize {shape:?} by {means} {stds}");
        let (mean, std) = (numbers(means, -0.7), numbers(stds, 0.4));
        case(name, &[shape], move |g, i| g.normalize(i[0], &mean, &std))
    };
    let mut cases: Vec<Case> = [
        (&[][..], [1, 1]),
        (&[7], [1, 1]),
        (&[5, 3], [3, 1]),
        (&[2, 3, 5, 7], [1, 1]),
        (&[2, 3, 5, 7], [1, 3]),
        (&[3, 4, 65], [4, 4]),
        (&[1, 70, 1, 1], [70, 70]),
    ]
    .map(|(shape, numbers)| of(shape, numbers))
    .into();
    cases.push(of(&[3, 4, 65], [4, 4]).fill(Fill::Special));
    cases.push(of(&[1, 3, MANY], [3, 3]).forward_only());
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
