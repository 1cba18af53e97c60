//! Reading of a texture into a tensor: formula, dispatches, and CPU equivalent.

use wgpu::TextureFormat;

use crate::gpu::texture::LARGEST_SIDE;
use crate::gpu::texture::colors::{decoded, encoded};
use crate::gpu::texture::pass::{Bind, TexturePass};
use crate::kernel::{Dispatch, f32_literal};
use crate::shape::Shape;
use crate::{Error, Result, shader};

/// Supported formats: the number of channels, and whether loading decodes sRGB.
const FORMATS: [(TextureFormat, usize, bool); 12] = [
    (TextureFormat::R8Unorm, 1, false),
    (TextureFormat::Rg8Unorm, 2, false),
    (TextureFormat::Rgba8Unorm, 4, false),
    (TextureFormat::Rgba8UnormSrgb, 4, true),
    (TextureFormat::Bgra8Unorm, 4, false),
    (TextureFormat::Bgra8UnormSrgb, 4, true),
    (TextureFormat::Rgb10a2Unorm, 4, false),
    (TextureFormat::R16Float, 1, false),
    (TextureFormat::Rg16Float, 2, false),
    (TextureFormat::Rgba16Float, 4, false),
    (TextureFormat::R32Float, 1, false),
    (TextureFormat::Rgba32Float, 4, false),
];

/// The transfer function applied to texels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Light {
    /// The stored values: `byte / 255` for 8-bit textures, also for `-srgb` formats. These are the values of image
    /// files on the CPU, on which networks are usually trained.
    #[default]
    Stored,
    /// Linear light: the stored values are sRGB-encoded and are decoded.
    Linear,
    /// sRGB encoding: the stored values are linear light, as in many render targets, and are encoded. Not for `-srgb`
    /// formats, which are already encoded.
    Encoded,
}

/// The mapping of a texel's channels to the network's channels.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Channels {
    /// By the network's number of channels. One: grayscale by Rec. 601 (0.299 R + 0.587 G + 0.114 B), or red if the
    /// texture has fewer than three channels. Two: red and green. Three: red, green and blue; a texture of one channel
    /// is repeated. Four: red, green, blue and alpha.
    #[default]
    Natural,
    /// The weighted sum of red, green and blue, in every channel.
    Gray([f32; 3]),
    /// A single channel, red (0), green (1), blue (2) or alpha (3), in every channel.
    Only(usize),
}

/// The method of resizing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sampling {
    /// A triangle filter over the texels around each value, two values wide but at least two texels: bilinear
    /// interpolation for enlargement, antialiased for reduction.
    #[default]
    Triangle,
    /// The texel at the center of the value (nearest neighbor).
    Nearest,
}

/// The conversion of a texture to a tensor.
///
/// The w by h texels of the rectangle become values `[C, H, W]`. With `s` the texel values after [`Light`] and `t[c]`
/// the channels by [`Channels`], `y[c,p,q] = Σᵢⱼ a(p,i,h,H) a(q,j,w,W) t[c,i,j] / Σᵢⱼ a(p,i,h,H) a(q,j,w,W)` over the
/// texels of the rectangle, `a(p,i,n,N) = max(0, 1 − |(i + ½) N − (p + ½) n| / max(n, N))`: the triangle filter of
/// Pillow and of the crate `image`, with half-pixel centers and weights that are renormalized at edges. Then `1 − y` if
/// inverted, and `(y − mean[c]) / deviation[c]`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct TextureRead {
    pub(super) row: usize,
    pub(super) rectangle: Option<[u32; 4]>,
    pub(super) format: Option<TextureFormat>,
    sampling: Sampling,
    light: Light,
    channels: Channels,
    inverted: bool,
    mean: Vec<f32>,
    deviation: Vec<f32>,
}

impl TextureRead {
    /// The whole texture with stored values, into the first image of the batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the index in the batch.
    pub fn row(mut self, row: usize) -> Self {
        self.row = row;
        self
    }

    /// Sets the rectangle of texels to read: `[x, y, width, height]`, x to the right and y down. Default: the whole
    /// view.
    pub fn rectangle(mut self, rectangle: [u32; 4]) -> Self {
        self.rectangle = Some(rectangle);
        self
    }

    /// Sets the format of the view if it differs from the texture's.
    pub fn format(mut self, format: TextureFormat) -> Self {
        self.format = Some(format);
        self
    }

    /// Sets the method of resizing.
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// Sets the transfer function.
    pub fn light(mut self, light: Light) -> Self {
        self.light = light;
        self
    }

    /// Sets the mapping of channels.
    pub fn channels(mut self, channels: Channels) -> Self {
        self.channels = channels;
        self
    }

    /// Sets whether values v are replaced by 1 - v: dark ink on white paper becomes bright ink on black, as in MNIST.
    pub fn inverted(mut self, inverted: bool) -> Self {
        self.inverted = inverted;
        self
    }

    /// Sets the mean to subtract and the standard deviation to divide by: one number, or one per channel.
    pub fn normalized(mut self, mean: impl Into<Vec<f32>>, deviation: impl Into<Vec<f32>>) -> Self {
        (self.mean, self.deviation) = (mean.into(), deviation.into());
        self
    }

    /// The dispatches that read a texture of `size` and `format` into a value `[N, C, H, W]`: first along columns into
    /// a buffer `f32[C, H, width]`, then along rows.
    ///
    /// Errors: an unsupported format, channel mapping, size or row; the message lists the supported ones.
    pub fn passes(&self, format: TextureFormat, size: [u32; 2], shape: &Shape) -> Result<[TexturePass; 2]> {
        let [n, c, h, w] = shape.nchw("what a texture is read into").map_err(|e| Error::option("shape", e, shape))?;
        if self.row >= n {
            return Err(Error::option("row", format!("below {n}, the images of the batch"), self.row));
        }
        self.check([c, h, w])?;
        let (channels, decodes) = channels_of(format)?;
        let terms = self.terms(channels, c)?;
        let product = |&(channel, weight): &(usize, f32)| match weight {
            1.0 => format!("t.{}", ["x", "y", "z", "w"][channel]),
            weight => format!("{} * t.{}", f32_literal(weight), ["x", "y", "z", "w"][channel]),
        };
        let sum = |terms: &Vec<(usize, f32)>| terms.iter().map(product).collect::<Vec<_>>().join(" + ");
        let mut chosen: Vec<String> = terms.iter().map(sum).collect();
        chosen.resize(4, "0.0".into());
        let stored = match (self.light, decodes) {
            (Light::Encoded, true) => {
                let expected = "Light::Stored: textures of this format are stored encoded";
                return Err(Error::option("light", expected, format!("Light::Encoded for {format:?}")));
            }
            (Light::Stored, true) => "bytes_of(t)",
            (Light::Stored, false) | (Light::Linear, true) => "t",
            (Light::Linear, false) => "decoded_rgb(t)",
            (Light::Encoded, false) => "encoded_rgb(t)",
        };
        let nearest = usize::from(self.sampling == Sampling::Nearest);
        let width = size[0] as usize;
        let columns = Dispatch::new(shader!("textures/texture_columns"))
            .constants([("C", c), ("H", h), ("WIDTH", width), ("NEAREST", nearest)])
            .function("stored", stored)
            .function("chosen", format!("vec4<f32>({})", chosen.join(", ")))
            .invocations(h * width, 64);
        let rows = Dispatch::new(shader!("textures/texture_rows"))
            .constants([("C", c), ("H", h), ("W", w), ("WIDTH", width), ("NEAREST", nearest)])
            .constant("OFFSET", self.row * c * h * w)
            .function("finish", self.finish(c))
            .invocations(c * h * w, 64);
        Ok([
            TexturePass { dispatch: columns, binds: vec![Bind::Loads, Bind::Uniform, Bind::Writes] },
            TexturePass { dispatch: rows, binds: vec![Bind::Loads, Bind::Uniform, Bind::Reads, Bind::Writes] },
        ])
    }

    /// The WGSL expression of the final value from the mean `v` of channel `c`.
    fn finish(&self, channels: usize) -> String {
        let v = if self.inverted { "(1.0 - v)" } else { "v" };
        if self.mean.is_empty() && self.deviation.is_empty() {
            return v.into();
        }
        let list = |of: fn(&Self, usize) -> f32| {
            let items: Vec<_> = (0..4).map(|c| f32_literal(of(self, c.min(channels - 1)))).collect();
            format!("vec4<f32>({})[c]", items.join(", "))
        };
        format!("({v} - {}) / {}", list(Self::mean), list(Self::deviation))
    }

    fn mean(&self, c: usize) -> f32 {
        self.mean.get(c).or(self.mean.first()).copied().unwrap_or(0.0)
    }

    fn deviation(&self, c: usize) -> f32 {
        self.deviation.get(c).or(self.deviation.first()).copied().unwrap_or(1.0)
    }

    fn check(&self, [c, h, w]: [usize; 3]) -> Result<()> {
        let sides = 1..=LARGEST_SIDE as usize;
        if !(1..=4).contains(&c) || !sides.contains(&h) || !sides.contains(&w) {
            let expected = format!("[N, C, H, W] with C from 1 to 4, H and W from 1 to {LARGEST_SIDE}");
            return Err(Error::option("shape that a texture is read into", expected, format!("[{c}, {h}, {w}]")));
        }
        for (name, list) in [("mean", &self.mean), ("deviation", &self.deviation)] {
            let fits = [0, 1, c].contains(&list.len());
            if !fits || list.iter().any(|v| !v.is_finite() || name == "deviation" && *v == 0.0) {
                let expected = format!("one finite number, or {c}, and no deviation of 0");
                return Err(Error::option(name, expected, format!("{list:?}")));
            }
        }
        Ok(())
    }

    /// For each of `to` output channels, the texture channels and their weights.
    fn terms(&self, from: usize, to: usize) -> Result<Vec<Vec<(usize, f32)>>> {
        let gray = |weights: [f32; 3]| weights.into_iter().enumerate().collect::<Vec<_>>();
        match self.channels {
            Channels::Only(channel) if channel < from => Ok(vec![vec![(channel, 1.0)]; to]),
            Channels::Only(channel) => {
                Err(Error::option("channel", format!("below {from}, the channels of the texture"), channel))
            }
            Channels::Gray(weights) if weights.iter().any(|w| !w.is_finite()) => {
                Err(Error::option("weights of gray", "finite numbers", format!("{weights:?}")))
            }
            Channels::Gray(weights) if from >= 3 => Ok(vec![gray(weights); to]),
            Channels::Natural if to == 1 && from >= 3 => Ok(vec![gray([0.299, 0.587, 0.114])]),
            Channels::Natural if from == 1 && to <= 3 => Ok(vec![vec![(0, 1.0)]; to]),
            Channels::Natural if from >= to => Ok((0..to).map(|c| vec![(c, 1.0)]).collect()),
            _ => {
                let expected = format!("Channels::Only for a network of {to} channels");
                Err(Error::option("channels", expected, format!("{:?} of a texture of {from}", self.channels)))
            }
        }
    }

    /// Computes the same on the CPU: values `[C, H, W]` from the texels of an image of `size`, row by row. Each texel
    /// has the red, green, blue and alpha that a texture of this format stores (`byte / 255`; 0 for missing colors, 1
    /// for missing alpha).
    ///
    /// Errors: those of [`TextureRead::passes`]; a number of texels that differs from the size; a rectangle outside the
    /// image.
    pub fn apply(&self, format: TextureFormat, texels: &[[f32; 4]], size: [u32; 2], shape: &Shape) -> Result<Vec<f32>> {
        let sizes = <[usize; 3]>::try_from(&shape[..]);
        let [c, h, w] = sizes.map_err(|_| Error::option("shape", "[C, H, W]", shape))?;
        let batch = Shape::from([self.row + 1, c, h, w]);
        self.passes(format, size, &batch)?;
        if texels.len() as u64 != u64::from(size[0]) * u64::from(size[1]) {
            return Err(Error::option("texels", format!("{} times {}", size[0], size[1]), texels.len()));
        }
        let [x, y, width, height] = self.rectangle.unwrap_or([0, 0, size[0], size[1]]);
        check_rectangle([x, y, width, height], size)?;
        let (channels, _) = channels_of(format)?;
        let terms = self.terms(channels, c)?;
        let light = |channel: usize, v: f32| match self.light {
            _ if channel == 3 => f64::from(v),
            Light::Stored => v.into(),
            Light::Linear => decoded(v.into()),
            Light::Encoded => encoded(v.into()),
        };
        let mix = |texel: &[f32; 4], terms: &[(usize, f32)]| -> f64 {
            terms.iter().map(|&(channel, weight)| f64::from(weight) * light(channel, texel[channel])).sum()
        };
        let (rows, columns) = (self.weights(height, h), self.weights(width, w));
        let mut values = Vec::with_capacity(c * h * w);
        for (channel, terms) in terms.iter().enumerate() {
            for (first, weights) in &rows {
                let line = |u: usize| -> f64 {
                    let texel = |i: usize| &texels[(y as usize + first + i) * size[0] as usize + x as usize + u];
                    weights.iter().enumerate().map(|(i, weight)| weight * mix(texel(i), terms)).sum()
                };
                let line: Vec<f64> = (0..width as usize).map(line).collect();
                for (first, weights) in &columns {
                    let v: f64 = weights.iter().zip(&line[*first..]).map(|(weight, v)| weight * v).sum();
                    let v = if self.inverted { 1.0 - v } else { v };
                    let v = (v - f64::from(self.mean(channel))) / f64::from(self.deviation(channel));
                    values.push(v as f32);
                }
            }
        }
        Ok(values)
    }

    /// For each of `to` values, the first contributing of `from` texels and the normalized weights.
    fn weights(&self, from: u32, to: usize) -> Vec<(usize, Vec<f64>)> {
        let (n, m) = (f64::from(from), to as f64);
        let of = |p: usize| {
            if self.sampling == Sampling::Nearest {
                return ((2 * p + 1) * from as usize / (2 * to), vec![1.0]);
            }
            let center = (p as f64 + 0.5) * n;
            let weight = |i: u32| 1.0 - ((f64::from(i) + 0.5) * m - center).abs() / n.max(m);
            let counts: Vec<u32> = (0..from).filter(|&i| weight(i) > 0.0).collect();
            let sum: f64 = counts.iter().map(|&i| weight(i)).sum();
            (counts[0] as usize, counts.iter().map(|&i| weight(i) / sum).collect())
        };
        (0..to).map(of).collect()
    }
}

/// The number of channels of a texture format, and whether loading decodes sRGB.
fn channels_of(format: TextureFormat) -> Result<(usize, bool)> {
    let found = FORMATS.iter().find(|(f, ..)| *f == format).map(|&(_, channels, decodes)| (channels, decodes));
    found.ok_or_else(|| {
        let names: Vec<String> = FORMATS.iter().map(|(f, ..)| format!("{f:?}")).collect();
        Error::option("texture format", format!("one of {}", names.join(", ")), format!("{format:?}"))
    })
}

/// Refuses a rectangle that is empty or outside `size`.
pub(super) fn check_rectangle(rectangle: [u32; 4], size: [u32; 2]) -> Result<()> {
    let [x, y, width, height] = rectangle.map(u64::from);
    if width >= 1 && height >= 1 && x + width <= size[0].into() && y + height <= size[1].into() {
        return Ok(());
    }
    let expected = format!("[x, y, width, height] of at least one texel within {}x{}", size[0], size[1]);
    Err(Error::option("rectangle", expected, format!("{rectangle:?}")))
}
