//! The ten digits as strokes, as in handwriting.

use std::f32::consts::TAU;

use glam::{Vec2, Vec4, vec2};

/// Straight segments per digit, so that one digit can be morphed into another.
pub const PIECES: usize = 60;
/// Half the width of a stroke. Digits are 2 high: MNIST's strokes are about a seventh of a digit's height.
pub const RADIUS: f32 = 0.14;
/// Half the side of the square with MNIST's proportions, where digits fill 20 of 28 pixels.
pub const REACH: f32 = 1.4;

type Stroke = Vec<Vec2>;

/// Points on an arc, by angles in turns, counterclockwise from the right.
fn arc(middle: [f32; 2], radii: [f32; 2], from: f32, to: f32) -> Stroke {
    let at = |i: u16| Vec2::from_angle(TAU * (from + (to - from) * f32::from(i) / 40.0));
    (0..=40).map(|i| Vec2::from(middle) + Vec2::from(radii) * at(i)).collect()
}

fn line<const N: usize>(points: [[f32; 2]; N]) -> Stroke {
    points.map(Vec2::from).to_vec()
}

/// The strokes of a digit, y up.
fn strokes(digit: usize) -> Vec<Stroke> {
    match digit {
        0 => vec![arc([0.0, 0.0], [0.52, 0.86], 0.25, 1.25)],
        1 => vec![line([[-0.12, -0.86], [0.12, 0.86]])],
        2 => vec![[arc([0.0, 0.4], [0.48, 0.46], 0.44, -0.08), line([[-0.5, -0.84], [0.56, -0.84]])].concat()],
        3 => vec![
            [arc([-0.04, 0.43], [0.44, 0.43], 0.42, -0.25), arc([-0.04, -0.43], [0.5, 0.43], 0.25, -0.42)].concat(),
        ],
        4 => vec![line([[-0.42, 0.84], [-0.5, 0.02], [0.5, 0.06]]), line([[0.46, 0.8], [0.3, -0.86]])],
        5 => vec![
            line([[0.5, 0.84], [-0.34, 0.84]]),
            [line([[-0.34, 0.84], [-0.42, 0.02]]), arc([-0.02, -0.34], [0.5, 0.52], 0.38, -0.4)].concat(),
        ],
        6 => vec![[arc([0.45, -0.36], [0.95, 1.22], 0.27, 0.5), arc([0.0, -0.36], [0.5, 0.5], 0.5, 1.5)].concat()],
        7 => vec![line([[-0.5, 0.82], [0.5, 0.82], [-0.1, -0.86]])],
        8 => vec![arc([0.0, 0.44], [0.4, 0.42], -0.25, 0.75), arc([0.0, -0.42], [0.46, 0.44], 0.25, 1.25)],
        _ => vec![[arc([0.0, 0.4], [0.46, 0.44], 0.0, 1.0), line([[0.46, 0.4], [0.3, -0.86]])].concat()],
    }
}

/// A digit as segments, from (x, y) to (z, w), with its center of mass at 0 as in MNIST.
pub fn pieces(digit: usize) -> [Vec4; PIECES] {
    let strokes = strokes(digit % 10);
    let lengths: Vec<f32> = strokes.iter().map(|stroke| length(stroke)).collect();
    let all: f32 = lengths.iter().sum();
    let (mut pieces, mut end, mut begun) = (vec![], 0.0, 0);
    for (stroke, long) in strokes.iter().zip(lengths) {
        end += long / all;
        let ended = (end * PIECES as f32).round() as usize;
        let count = (ended - begun) as f32;
        let at = |i: usize| along(stroke, long * (i as f32 / count));
        pieces.extend((0..ended - begun).map(|i| (at(i), at(i + 1))));
        begun = ended;
    }
    let middle = pieces.iter().map(|(a, b)| (a + b) / 2.0).sum::<Vec2>() / PIECES as f32;
    let centered = |i: usize| {
        let (a, b) = (pieces[i].0 - middle, pieces[i].1 - middle);
        a.extend(b.x).extend(b.y)
    };
    std::array::from_fn(centered)
}

fn length(stroke: &[Vec2]) -> f32 {
    stroke.windows(2).map(|ends| ends[0].distance(ends[1])).sum()
}

/// The point at distance `far` along a stroke.
fn along(stroke: &[Vec2], mut far: f32) -> Vec2 {
    for ends in stroke.windows(2) {
        let long = ends[0].distance(ends[1]);
        if far <= long && long > 0.0 {
            return ends[0].lerp(ends[1], far / long);
        }
        far -= long;
    }
    stroke.last().copied().unwrap_or_default()
}

/// The corner marks of a square, as in a viewfinder.
pub fn corners(middle: Vec2, reach: f32) -> Vec<Vec4> {
    let corner = |x: f32, y: f32| {
        let at = middle + reach * vec2(x, y);
        let arm = |to: Vec2| at.extend((at + to).x).extend((at + to).y);
        [arm(vec2(-0.25 * x, 0.0)), arm(vec2(0.0, -0.25 * y))]
    };
    [(-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0)].iter().flat_map(|&(x, y)| corner(x, y)).collect()
}
