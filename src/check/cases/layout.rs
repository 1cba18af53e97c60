//! Cases of operations that move values without changing them.

use crate::ops::{Cut, Upsampling};

use crate::check::cases::{Case, case};

pub fn all() -> Vec<Case> {
    [views(), parts(), upsampling()].into_iter().flatten().collect()
}

fn views() -> Vec<Case> {
    let mut cases = vec![
        case("reshape", &[&[2, 3, 4]], |g, i| g.reshape(i[0], [6, 4])),
        case("flatten", &[&[2, 3, 4]], |g, i| g.flatten(i[0])),
        case("copy", &[&[2, 3, 4]], |g, i| g.copy(i[0])),
        case("pack", &[&[3], &[2, 2], &[1]], |g, i| g.pack(i, &[0, 64, 128], 192)).forward_only(),
    ];
    for (x, axes) in
        [(&[7][..], &[0][..]), (&[3, 5], &[1, 0]), (&[2, 3, 5], &[2, 0, 1]), (&[2, 1, 3, 4, 5, 2], &[5, 3, 4, 1, 0, 2])]
    {
        let built = case(format!("transpose {x:?} {axes:?}"), &[x], move |g, i| g.transpose(i[0], axes));
        cases.push(if x.len() > 3 { built.no_differences() } else { built });
    }
    for (x, to) in [(&[][..], &[3][..]), (&[3, 1], &[2, 3, 4]), (&[2, 1, 3, 1, 5, 1], &[2, 3, 3, 2, 5, 7])] {
        let built = case(format!("broadcast_to {x:?} {to:?}"), &[x], move |g, i| g.broadcast_to(i[0], to));
        cases.push(if x.len() > 3 { built.no_differences() } else { built });
    }
    cases
}

/// Slices, padding and concatenation.
fn parts() -> Vec<Case> {
    let cut = |axis, range, step| Cut::new(axis, range).step(step);
    let slices: [(&[usize], Vec<Cut>); 6] = [
        (&[], vec![]),
        (&[7], vec![cut(0, 2..7, 3)]),
        (&[7], vec![cut(0, 6..7, 9)]),
        (&[4, 5], vec![cut(1, 1..4, 1)]),
        (&[3, 4, 5, 7], vec![cut(3, 0..7, 2), cut(1, 1..4, 2), cut(2, 4..5, 1)]),
        (&[2, 3, 2, 5, 1, 4], vec![cut(1, 1..3, 1), cut(3, 0..5, 4)]),
    ];
    let mut cases = vec![];
    for (x, cuts) in slices {
        let name = format!("slice {x:?} {:?}", cuts.iter().map(|c| (c.axis, &c.range, c.step)).collect::<Vec<_>>());
        cases.push(case(name, &[x], move |g, i| g.slice(i[0], &cuts)));
    }
    let pads: [(&[usize], &[[usize; 2]]); 5] = [
        (&[], &[]),
        (&[3], &[[0, 0]]),
        (&[3], &[[2, 1]]),
        (&[2, 3, 4], &[[0, 1], [2, 0], [3, 5]]),
        (&[2, 3, 4, 5], &[[0, 0], [0, 0], [1, 2], [2, 1]]),
    ];
    for (x, sides) in pads {
        for value in [0.0, -1.5, f32::NEG_INFINITY, f32::NAN] {
            let built = case(format!("pad {x:?} {sides:?} with {value}"), &[x], move |g, i| g.pad(i[0], sides, value));
            cases.push(if value.is_finite() { built } else { built.no_differences() });
        }
    }
    let concats: [(&[&[usize]], usize); 5] = [
        (&[&[3]], 0),
        (&[&[3], &[1], &[65]], 0),
        (&[&[2, 3], &[1, 3]], 0),
        (&[&[2, 3, 4], &[2, 1, 4], &[2, 5, 4]], 1),
        (&[&[2, 1], &[2, 2], &[2, 3], &[2, 4], &[2, 5], &[2, 6], &[2, 7], &[2, 8], &[2, 9], &[2, 10]], 1),
    ];
    for (parts, axis) in concats {
        cases.push(case(format!("concat {parts:?} along {axis}"), parts, move |g, i| g.concat(i, axis)));
    }
    cases.push(case("concat of a value with itself", &[&[2, 3]], |g, i| g.concat(&[i[0], i[0]], 1)));
    cases
}

fn upsampling() -> Vec<Case> {
    let mut cases = vec![];
    for how in [Upsampling::Nearest, Upsampling::Bilinear] {
        for (x, to) in [
            ([1, 1, 1, 1], [1, 4]),
            ([2, 3, 1, 4], [7, 4]),
            ([2, 3, 4, 5], [8, 15]),
            ([1, 2, 4, 5], [7, 3]),
            ([1, 1, 7, 11], [3, 64]),
            ([1, 2, 13, 9], [1, 1]),
            ([1, 1, 2, 3], [700, 2]),
        ] {
            let built = case(format!("upsample {how:?} {x:?} {to:?}"), &[&x], move |g, i| g.upsample(i[0], to, how));
            cases.push(if to[0] > 100 { built.no_differences() } else { built });
        }
        cases
            .push(case(format!("upsample_by {how:?}"), &[&[2, 2, 3, 3]], move |g, i| g.upsample_by(i[0], [3, 2], how)));
    }
    cases
}
