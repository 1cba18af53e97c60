//! Random parameters of augmentation for an image, and its source coordinates, in integers so that all devices agree
//! exactly.
//!
//! - **Units**: slopes, factors, pixels and tones in 2⁻¹⁶; angles in 2⁻³² turns.
//! - **Random words**, in blocks of four: shift in x and y, crop in x and y; angle, slope, zoom, flips; brightness,
//!   contrast.

use crate::ops::training::augment_options::Augment;

/// The number 1, in 2⁻¹⁶.
const ONE: i64 = 1 << 16;

/// Ranges of the random parameters, as constants of the shader.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::ops) struct Ranges {
    /// In 2⁻²⁴ turns.
    turn: u32,
    slope: u32,
    /// Minimum, and maximum less minimum.
    zoom: [u32; 2],
    /// Along x and y.
    shift: [u32; 2],
    /// In pixels.
    crop: u32,
    /// Bit 0: left-right; bit 1: top-bottom.
    flips: u32,
    brightness: u32,
    contrast: u32,
}

impl Ranges {
    /// The ranges for images of `h` by `w`.
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

    /// The constants of the shader, by name.
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

    /// Upper bound of the distance of source coordinates from the image's corner, in pixels.
    pub fn reach(&self, [h, w]: [usize; 2]) -> f64 {
        let [slope, zoom] = [self.slope, self.zoom[0]].map(|v| f64::from(v) / ONE as f64);
        let moved = f64::from(self.shift[0].max(self.shift[1])) / ONE as f64 + f64::from(self.crop);
        (h + w) as f64 * (1.0 + (1.0 + slope) / zoom) + moved
    }
}

/// Random parameters of one image.
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
    /// The parameters from the random words of each block.
    pub fn of(ranges: &Ranges, words: impl Fn(u32) -> [u32; 4]) -> Self {
        let ([x, y, crop_x, crop_y], [angle, slope, zoom, flips]) = (words(0), words(1));
        let [brightness, contrast, ..] = words(2);
        let shift = |word, most, crop| symmetric(word, most) + ONE * symmetric(crop, ranges.crop);
        Self {
            shift: [shift(x, ranges.shift[0], crop_x), shift(y, ranges.shift[1], crop_y)],
            angle: (symmetric(angle, ranges.turn) as u32) << 8,
            slope: symmetric(slope, ranges.slope),
            zoom: i64::from(ranges.zoom[0] + upper(zoom, ranges.zoom[1] + 1)),
            flips: flips & ranges.flips,
            brightness: symmetric(brightness, ranges.brightness),
            contrast: symmetric(contrast, ranges.contrast),
        }
    }
}

/// The map from output to source coordinates, the inverse of: shift, flip, shear along x, zoom, clockwise rotation
/// about the center.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Warp {
    /// For x and y: the coefficients of the column and the row, and the offset.
    coefficients: [[i64; 3]; 2],
    /// The factor and the offset of the tone.
    pub tone: [f32; 2],
}

impl Warp {
    /// The map for an image of `h` by `w`.
    pub fn of(draw: &Draw, [h, w]: [usize; 2]) -> Self {
        let [cos, sin] = direction(draw.angle);
        let inverse = (1 << 32) / draw.zoom;
        let of_y = [-times(sin, inverse), times(cos, inverse)];
        let of_x = [of_y[1] - times(draw.slope, of_y[0]), -of_y[0] - times(draw.slope, of_y[1])];
        let span = [w as i64 - 1, h as i64 - 1];
        let line = |axis: usize, per: [i64; 2]| {
            let [a, b] = if draw.flips >> axis & 1 == 1 { per.map(|v| -v) } else { per };
            // The center is the fixed point.
            let start = (span[axis] << 15) - ((a * span[0] + b * span[1]) >> 1) - draw.shift[axis];
            [a, b, start]
        };
        let gain = (ONE + draw.contrast) as f32 / ONE as f32;
        let offset = (2 * draw.brightness - draw.contrast) as f32 / (2 * ONE) as f32;
        Self { coefficients: [line(0, of_x), line(1, of_y)], tone: [gain, offset] }
    }

    /// The source of output pixel (`column`, `row`): the pixel at or before it along x and y, and the fraction beyond
    /// it in 2⁻¹⁶.
    pub fn source(&self, column: usize, row: usize) -> [(i64, u32); 2] {
        self.coefficients.map(|[per_column, per_row, start]| {
            let at = per_column * column as i64 + per_row * row as i64 + start;
            (at >> 16, (at & (ONE - 1)) as u32)
        })
    }
}

/// The upper 32 bits of the 64-bit product.
fn upper(a: u32, b: u32) -> u32 {
    ((u64::from(a) * u64::from(b)) >> 32) as u32
}

/// A random integer from `−most` to `most`.
fn symmetric(word: u32, most: u32) -> i64 {
    i64::from(upper(word, 2 * most + 1)) - i64::from(most)
}

/// The product of 2⁻¹⁶ numbers, rounded toward 0.
fn times(a: i64, b: i64) -> i64 {
    a * b / ONE
}

/// Cosine and sine of an angle: a Taylor series up to an eighth of a turn, then symmetry.
fn direction(angle: u32) -> [i64; 2] {
    let part = angle & 0x3fff_ffff;
    let mirrored = part > 1 << 29;
    // π/4 in 2⁻³²; 2π would overflow.
    let r = upper(if mirrored { (1 << 30) - part } else { part } << 2, 3_373_259_426) << 1;
    let z = upper(r, r);
    // 1/2, 1/4!, 1/6! and 1/8!; 1/3!, 1/5! and 1/7!.
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

    fn identity() -> Draw {
        Draw { zoom: ONE, ..Draw::default() }
    }

    /// The source pixels of a transformed image of 4 by 6.
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
    fn warps_by_whole_pixels_are_exact() {
        assert_eq!(sources(identity()), expected(|x, y| [x, y]));
        assert_eq!(sources(Draw { shift: [2 * ONE, -ONE], ..identity() }), expected(|x, y| [x - 2, y + 1]));
        assert_eq!(sources(Draw { flips: 1, ..identity() }), expected(|x, y| [5 - x, y]));
        assert_eq!(sources(Draw { flips: 2, ..identity() }), expected(|x, y| [x, 3 - y]));
        assert_eq!(sources(Draw { angle: 1 << 31, ..identity() }), expected(|x, y| [5 - x, 3 - y]));
        // A quarter turn clockwise about the center (2.5, 1.5): the top moves to the right.
        assert_eq!(sources(Draw { angle: 1 << 30, ..identity() }), expected(|x, y| [y + 1, 4 - x]));
        // Half the size: twice as far from the center; with slope 1, x moves by y.
        let half = Warp::of(&Draw { zoom: ONE / 2, ..identity() }, SIZE);
        assert_eq!(half.source(0, 0), [(-3, 1 << 15), (-2, 1 << 15)]);
        let slope = Warp::of(&Draw { slope: ONE, ..identity() }, SIZE);
        assert_eq!(slope.source(3, 3), [(1, 1 << 15), (3, 0)]);
    }

    #[test]
    fn contrast_keeps_middle_gray() {
        let tone = |brightness, contrast| Warp::of(&Draw { brightness, contrast, ..identity() }, SIZE).tone;
        assert_eq!(tone(0, 0), [1.0, 0.0]);
        assert_eq!(tone(ONE / 4, 0), [1.0, 0.25]);
        assert_eq!(tone(0, -ONE / 2), [0.5, 0.25]);
    }

    #[test]
    fn random_parameters_cover_their_ranges() {
        for (word, expected) in [(0, -100), (u32::MAX, 100), (1 << 31, 0)] {
            assert_eq!(symmetric(word, 100), expected);
        }
        assert_eq!(symmetric(u32::MAX, 0), 0);
        assert_eq!(symmetric(u32::MAX, 1 << 23), 1 << 23);
    }
}
