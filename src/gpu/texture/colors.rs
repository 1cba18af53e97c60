//! Color maps, and the sRGB transfer function.

use crate::kernel::Constant;

/// A color map from `[0, 1]` to colors. Colors between anchors are interpolated linearly in sRGB encoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ColorMap {
    /// From black to white.
    Gray,
    /// From dark violet over green to yellow, perceptually uniform and readable with any kind of color vision.
    ///
    /// Every 15th of the 256 colors of matplotlib's map (Smith and van der Walt 2015, CC0). Interpolated colors differ
    /// from the others by at most 5/255.
    #[default]
    Viridis,
    /// From blue over white to red, for values around zero, with
    /// [`ValueRange::Symmetric`](crate::gpu::texture::ValueRange::Symmetric).
    ///
    /// ColorBrewer's RdBu with eleven classes (Brewer 2013, colorbrewer2.org), reversed.
    Diverging,
}

const GRAY: &[u32] = &[0x000000, 0xffffff];
const VIRIDIS: &[u32] = &[
    0x440154, 0x481769, 0x472a7a, 0x433d84, 0x3d4e8a, 0x355e8d, 0x2e6d8e, 0x297b8e, 0x23898e, 0x1f978b, 0x21a585,
    0x2eb37c, 0x46c06f, 0x65cb5e, 0x89d548, 0xb0dd2f, 0xd8e219, 0xfde725,
];
const DIVERGING: &[u32] =
    &[0x053061, 0x2166ac, 0x4393c3, 0x92c5de, 0xd1e5f0, 0xf7f7f7, 0xfddbc7, 0xf4a582, 0xd6604d, 0xb2182b, 0x67001f];

impl ColorMap {
    /// Colors at equal steps from 0 to 1, as `0xrrggbb`.
    pub(super) fn anchors(self) -> &'static [u32] {
        match self {
            ColorMap::Gray => GRAY,
            ColorMap::Viridis => VIRIDIS,
            ColorMap::Diverging => DIVERGING,
        }
    }

    /// The anchors as a shader constant.
    pub(super) fn constant(self) -> Constant {
        Constant::List(self.anchors().to_vec())
    }

    /// The sRGB-encoded color at `share` from 0 to 1.
    pub fn color(self, share: f64) -> [f64; 3] {
        let anchors = self.anchors();
        let at = share.clamp(0.0, 1.0) * (anchors.len() - 1) as f64;
        let i = (at as usize).min(anchors.len() - 2);
        let far = at - i as f64;
        let part = |anchor: u32, shift: u32| f64::from(anchor >> shift & 255) / 255.0;
        [16, 8, 0].map(|shift| part(anchors[i], shift) * (1.0 - far) + part(anchors[i + 1], shift) * far)
    }
}

/// sRGB's encoding of linear light (IEC 61966-2-1): `12.92 v` up to 0.0031308, `1.055 v^(1/2.4) − 0.055` above.
pub fn encoded(v: f64) -> f64 {
    if v <= 0.0031308 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 }
}

/// The linear light of an sRGB-encoded value: `v / 12.92` up to 0.04045, `((v + 0.055) / 1.055)^2.4` above.
pub fn decoded(v: f64) -> f64 {
    if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_begin_and_end_as_published() {
        let byte = |map: ColorMap, share| map.color(share).map(|v| (v * 255.0).round() as u8);
        assert_eq!([0.0, 0.5, 1.0].map(|t| byte(ColorMap::Gray, t)[1]), [0, 128, 255]);
        assert_eq!(byte(ColorMap::Viridis, 0.0), [68, 1, 84]);
        assert_eq!(byte(ColorMap::Viridis, 1.0), [253, 231, 37]);
        // Entry 128 of the map's 256 is 20908d.
        let middle = byte(ColorMap::Viridis, 0.5);
        assert!(middle.iter().zip([0x20, 0x90, 0x8d]).all(|(a, b)| a.abs_diff(b) <= 5), "{middle:?}");
        assert_eq!(byte(ColorMap::Diverging, 0.5), [247; 3]);
    }

    #[test]
    fn encoding_and_decoding_are_inverse() {
        for v in [-0.5, 0.0, 0.001, 0.0031308, 0.2, 1.0, 7.0] {
            assert!((decoded(encoded(v)) - v).abs() < 1e-6, "{v}");
        }
        assert!((encoded(0.5) * 255.0 - 187.5).abs() < 0.1);
    }
}
