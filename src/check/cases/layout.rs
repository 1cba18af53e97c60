//! Operations that move values without changing them.

use super::{Case, case};

pub fn all() -> Vec<Case> {
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
