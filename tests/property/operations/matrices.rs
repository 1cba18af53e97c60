//! Matrix products and the dense layer.

use lenslet::check::Case;
use proptest::prelude::*;

use super::Operation;
use crate::line::{Fields, Line, flag, tensor};

pub fn all() -> Vec<Operation> {
    vec![
        Operation { name: "matmul", draw: products, build: matmul },
        Operation { name: "dense", draw: denses, build: dense },
    ]
}

/// Rows, terms and columns, including extents around tile sizes.
fn extents() -> impl Strategy<Value = [usize; 3]> {
    prop_oneof![3 => [1usize..9, 1usize..9, 1usize..9], 1 => [1usize..40, 1usize..70, 1usize..40]]
}

/// Leading axes that broadcast: each may be absent, or repeated on one side.
fn leads() -> impl Strategy<Value = [Vec<usize>; 2]> {
    let axis = (1usize..4, 0usize..3);
    (proptest::collection::vec(axis, 0..3), [0usize..3, 0usize..3]).prop_map(|(axes, dropped)| {
        let side = |own: usize| {
            let stretched = axes.iter().map(|&(extent, who)| if who == own { 1 } else { extent });
            stretched.skip(dropped[own]).collect()
        };
        [side(0), side(1)]
    })
}

fn products() -> BoxedStrategy<Fields> {
    let fields = |([m, k, n], [a, b], [ta, tb]): ([usize; 3], [Vec<usize>; 2], [bool; 2])| {
        let left = if ta { [k, m] } else { [m, k] };
        let right = if tb { [n, k] } else { [k, n] };
        vec![
            ("a", tensor([a, left.into()].concat())),
            ("b", tensor([b, right.into()].concat())),
            ("transpose_a", flag(ta)),
            ("transpose_b", flag(tb)),
        ]
    };
    (extents(), leads(), [any::<bool>(), any::<bool>()]).prop_map(fields).boxed()
}

fn matmul(line: &Line) -> Case {
    let (ta, tb) = (line.flag("transpose_a"), line.flag("transpose_b"));
    line.case(move |g, i| g.matmul(i[0], i[1], ta, tb))
}

fn denses() -> BoxedStrategy<Fields> {
    let fields = |([m, k, n], lead, bias): ([usize; 3], Vec<usize>, bool)| {
        let mut fields = vec![("x", tensor([lead, vec![m, k]].concat())), ("w", tensor([k, n]))];
        fields.extend(bias.then(|| ("b", tensor([n]))));
        fields
    };
    (extents(), proptest::collection::vec(1usize..4, 0..2), any::<bool>()).prop_map(fields).boxed()
}

fn dense(line: &Line) -> Case {
    line.case(|g, i| g.dense(i[0], i[1], i.get(2).copied()))
}
