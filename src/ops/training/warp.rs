//! What augmentation draws for a picture, and where the pixels of the warped one come from: in whole numbers, so that
//! all devices agree to the bit.
//!
//! **Units**: slopes, factors, pixels and tones in 2⁻¹⁶; angles in 2⁻³² turns · **Words** of the generator, in blocks of
//! four: shift in x and y, crop in x and y; angle, slope, zoom, flips; brightness, contrast.

use crate::ops::training::augment::Augment;

/// One, in 2⁻¹⁶.
const ONE: i64 = 1 << 16;

/// The most of each thing either way, as the shader has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::ops) struct Ranges {
    /// In 2⁻²⁴ turns.
    turn: u32,
    slope: u32,
    /// The least, and what may be added.
    zoom: [u32; 2],
    /// Along x and y.
    shift: [u32; 2],
    /// In pixels.
    crop: u32,
    /// Bit 0: from side to side; bit 1: upside down.
    flips: u32,
    brightness: u32,
    contrast: u32,
}

impl Ranges {
    /// Those of pictures of `h` by `w`.
    pub fn of(augment: &Augment, [h, w]: [usize; 2]) -> Self {
        let fixed = |v: f64| (v * ONE as f64).round() as u32;
        let [low, high] = augment.zoom.map(|v| fixed(f64::from(v)));
        Self {
            turn: (f64::from(augment.rotate) / 360.0 * 2f64.powi(24)).round() as u32,
            slope: fixed(f64::from(augment.shear).to_radians().tan()),
            zoom: [low, high - low],
            shift: [w, h].map(|size| fixed(f64::from(augment.shift) * size as f64)),
            crop: augment.crop,
            flips: augment.flip.bits(),
            brightness: fixed(f64::from(augment.brightness)),
            contrast: fixed(f64::from(augment.contrast)),
        }
    }

    /// By the names of the shader's constants.
    pub fn constants(&self) -> [(&'static str, usize); 10] {
        let [(zoom, zoom_span), (shift_x, shift_y)] = [self.zoom, self.shift].map(|[a, b]| (a, b));
        [
            ("TURN", self.turn),
            ("SLOPE", self.slope),
            ("ZOOM", zoom),
            ("ZOOM_SPAN", zoom_span),
            ("SHIFT_X", shift_x),
            ("SHIFT_Y", shift_y),
            ("CROP", self.crop),
            ("FLIPS", self.flips),
            ("BRIGHTNESS", self.brightness),
            ("CONTRAST", self.contrast),
        ]
        .map(|(name, value)| (name, value as usize))
    }

    /// No place that a pixel comes from is further from the picture's corner, in pixels.
    pub fn reach(&self, [h, w]: [usize; 2]) -> f64 {
        let [slope, zoom] = [self.slope, self.zoom[0]].map(|v| f64::from(v) / ONE as f64);
        let moved = f64::from(self.shift[0].max(self.shift[1])) / ONE as f64 + f64::from(self.crop);
        (h + w) as f64 * (1.0 + (1.0 + slope) / zoom) + moved
    }
}

/// What is drawn for a picture.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(super) struct Draw {
    pub shift: [i64; 2],
    pub angle: u32,
    pub slope: i64,
    pub zoom: i64,
    pub flips: u32,
    pub brightness: i64,
    pub contrast: i64,
}

impl Draw {
    /// From the words of each block.
    pub fn of(ranges: &Ranges, words: impl Fn(u32) -> [u32; 4]) -> Self {
        let ([x, y, crop_x, crop_y], [angle, slope, zoom, flips]) = (words(0), words(1));
        let [brightness, contrast, ..] = words(2);
        let shift = |word, most, crop| around_zero(word, most) + ONE * around_zero(crop, ranges.crop);
        Self {
            shift: [shift(x, ranges.shift[0], crop_x), shift(y, ranges.shift[1], crop_y)],
            angle: (around_zero(angle, ranges.turn) as u32) << 8,
            slope: around_zero(slope, ranges.slope),
            zoom: i64::from(ranges.zoom[0] + upper(zoom, ranges.zoom[1] + 1)),
            flips: flips & ranges.flips,
            brightness: around_zero(brightness, ranges.brightness),
            contrast: around_zero(contrast, ranges.contrast),
        }
    }
}

/// From a place in the warped picture to one in the picture: shifted, flipped, sheared along x, zoomed, turned clockwise
/// about the centre, read backwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Warp {
    /// Per column, per row and at the corner, of x and of y.
    place: [[i64; 3]; 2],
    /// What a value is multiplied by, and what is added.
    pub tone: [f32; 2],
}

impl Warp {
    /// Of a picture of `h` by `w`.
    pub fn of(draw: &Draw, [h, w]: [usize; 2]) -> Self {
        let [cos, sin] = direction(draw.angle);
        let inverse = (1 << 32) / draw.zoom;
        let of_y = [-times(sin, inverse), times(cos, inverse)];
        let of_x = [of_y[1] - times(draw.slope, of_y[0]), -of_y[0] - times(draw.slope, of_y[1])];
        let span = [w as i64 - 1, h as i64 - 1];
        let line = |axis: usize, per: [i64; 2]| {
            let [a, b] = if draw.flips >> axis & 1 == 1 { per.map(|v| -v) } else { per };
            // The centre stays where it is.
            let start = (span[axis] << 15) - ((a * span[0] + b * span[1]) >> 1) - draw.shift[axis];
            [a, b, start]
        };
        let gain = (ONE + draw.contrast) as f32 / ONE as f32;
        let offset = (2 * draw.brightness - draw.contrast) as f32 / (2 * ONE) as f32;
        Self { place: [line(0, of_x), line(1, of_y)], tone: [gain, offset] }
    }

    /// Where pixel (`column`, `row`) of the warped picture comes from: the pixel at or before that place along x and y,
    /// and how far behind it, in 2⁻¹⁶.
    pub fn source(&self, column: usize, row: usize) -> [(i64, u32); 2] {
        self.place.map(|[per_column, per_row, start]| {
            let at = per_column * column as i64 + per_row * row as i64 + start;
            (at >> 16, (at & (ONE - 1)) as u32)
        })
    }
}

/// The upper half of the 64-bit product.
fn upper(a: u32, b: u32) -> u32 {
    ((u64::from(a) * u64::from(b)) >> 32) as u32
}

/// A whole number from `−most` to `most`.
fn around_zero(word: u32, most: u32) -> i64 {
    i64::from(upper(word, 2 * most + 1)) - i64::from(most)
}

/// The product, towards 0.
fn times(a: i64, b: i64) -> i64 {
    a * b / ONE
}

/// Cosine and sine of an angle: Taylor's series up to an eighth of a turn, then symmetry.
fn direction(angle: u32) -> [i64; 2] {
    let part = angle & 0x3fff_ffff;
    let mirrored = part > 1 << 29;
    // π/4 in 2⁻³²; 2π would not fit.
    let r = upper(if mirrored { (1 << 30) - part } else { part } << 2, 3_373_259_426) << 1;
    let z = upper(r, r);
    // One over 2, 4!, 6! and 8!; over 3!, 5! and 7!.
    let c = upper(z, 2_147_483_648 - upper(z, 178_956_971 - upper(z, 5_965_232 - upper(z, 106_522))));
    let s = upper(r, upper(z, 715_827_883 - upper(z, 35_791_394 - upper(z, 852_176))));
    let (cos, sin) = (ONE - i64::from((c + 32_768) >> 16), i64::from((r - s + 32_768) >> 16));
    let [cos, sin] = if mirrored { [sin, cos] } else { [cos, sin] };
    match angle >> 30 {
        0 => [cos, sin],
        1 => [-sin, cos],
        2 => [-cos, -sin],
        _ => [sin, -cos],
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    const SIZE: [usize; 2] = [4, 6];

    fn still() -> Draw {
        Draw { zoom: ONE, ..Draw::default() }
    }

    /// Where each pixel of a warped picture of 4 by 6 comes from, whole pixels.
    fn sources(draw: Draw) -> Vec<[i64; 2]> {
        let warp = Warp::of(&draw, SIZE);
        let pixels = (0..SIZE[0]).flat_map(|row| (0..SIZE[1]).map(move |column| (column, row)));
        let whole = |(at, behind)| {
            assert_eq!(behind, 0, "{draw:?}");
            at
        };
        pixels.map(|(column, row)| warp.source(column, row).map(whole)).collect()
    }

    fn expected(from: impl Fn(i64, i64) -> [i64; 2]) -> Vec<[i64; 2]> {
        let from = &from;
        (0..SIZE[0] as i64).flat_map(|row| (0..SIZE[1] as i64).map(move |column| from(column, row))).collect()
    }

    #[test]
    fn directions_are_cosine_and_sine_to_the_last_digit() {
        for angle in (0..=u32::MAX).step_by(65_521 * 97).chain([0, 1 << 29, 1 << 30, 1 << 31, 3 << 30, u32::MAX]) {
            let radians = f64::from(angle) / 2f64.powi(32) * TAU;
            for (found, exact) in direction(angle).into_iter().zip([radians.cos(), radians.sin()]) {
                assert!((found as f64 - ONE as f64 * exact).abs() < 0.51, "{angle}: {found}, {exact}");
            }
        }
    }

    #[test]
    fn whole_warps_are_exact() {
        assert_eq!(sources(still()), expected(|x, y| [x, y]));
        assert_eq!(sources(Draw { shift: [2 * ONE, -ONE], ..still() }), expected(|x, y| [x - 2, y + 1]));
        assert_eq!(sources(Draw { flips: 1, ..still() }), expected(|x, y| [5 - x, y]));
        assert_eq!(sources(Draw { flips: 2, ..still() }), expected(|x, y| [x, 3 - y]));
        assert_eq!(sources(Draw { angle: 1 << 31, ..still() }), expected(|x, y| [5 - x, 3 - y]));
        // A quarter clockwise about the centre (2.5, 1.5): what was above comes to the right.
        assert_eq!(sources(Draw { angle: 1 << 30, ..still() }), expected(|x, y| [y + 1, 4 - x]));
        // Half as large: twice as far from the centre; along x by as much as y where the slope is 1.
        let half = Warp::of(&Draw { zoom: ONE / 2, ..still() }, SIZE);
        assert_eq!(half.source(0, 0), [(-3, 1 << 15), (-2, 1 << 15)]);
        let slope = Warp::of(&Draw { slope: ONE, ..still() }, SIZE);
        assert_eq!(slope.source(3, 3), [(1, 1 << 15), (3, 0)]);
    }

    #[test]
    fn tones_turn_about_the_middle() {
        let tone = |brightness, contrast| Warp::of(&Draw { brightness, contrast, ..still() }, SIZE).tone;
        assert_eq!(tone(0, 0), [1.0, 0.0]);
        assert_eq!(tone(ONE / 4, 0), [1.0, 0.25]);
        assert_eq!(tone(0, -ONE / 2), [0.5, 0.25]);
    }

    #[test]
    fn draws_reach_from_end_to_end() {
        for (word, expected) in [(0, -100), (u32::MAX, 100), (1 << 31, 0)] {
            assert_eq!(around_zero(word, 100), expected);
        }
        assert_eq!(around_zero(u32::MAX, 0), 0);
        assert_eq!(around_zero(u32::MAX, 1 << 23), 1 << 23);
    }
}
