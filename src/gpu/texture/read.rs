//! What reading a texture means: as a formula, as dispatches, and on the CPU.

use wgpu::TextureFormat;

use crate::gpu::texture::LARGEST_SIDE;
use crate::gpu::texture::colours::{decoded, encoded};
use crate::gpu::texture::pass::{Bind, TexturePass};
use crate::kernel::{Dispatch, f32_literal};
use crate::shape::Shape;
use crate::{Error, Result, shader};

/// The formats that can be read: how many channels, and whether loading decodes sRGB.
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

/// Which numbers of a texture the network sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Light {
    /// Those stored: of a texture of bytes, `byte / 255`, also where the format is `-srgb`. What a picture file has on the
    /// CPU, and what networks are usually trained on.
    #[default]
    Stored,
    /// Linear light: the numbers are taken to be stored sRGB-encoded, and decoded.
    Linear,
    /// The numbers are taken to be stored as linear light, as render targets often are, and sRGB-encoded. Not for `-srgb`
    /// formats, which are stored so.
    Encoded,
}

/// How the channels of a texel become those of the network.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Channels {
    /// One of several: grey, by Rec. 601's weights 0.299, 0.587 and 0.114; of fewer than three, red. Two: red and green.
    /// Three: red, green and blue; of a texture of one channel, that three times. Four: red, green, blue and alpha.
    #[default]
    Natural,
    /// The sum of red, green and blue times these weights, in each channel.
    Grey([f32; 3]),
    /// That one of red (0), green (1), blue (2) and alpha (3), in each channel.
    Only(usize),
}

/// How a picture gets another size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sampling {
    /// Each value is the mean of the texels around it, weighted by a triangle as wide as two values where that is wider
    /// than two texels: bilinear where it grows, and free of aliasing where it shrinks.
    #[default]
    Triangle,
    /// The texel under the value's centre.
    Nearest,
}

/// How a texture is read.
///
/// The texels of the rectangle, w by h, become the values of `[C, H, W]`. With `s` the stored numbers of a texel as
/// [`Light`] takes them and `t[c]` what [`Channels`] make of it,
/// `y[c,p,q] = Σᵢⱼ a(p,i,h,H) a(q,j,w,W) t[c,i,j] / Σᵢⱼ a(p,i,h,H) a(q,j,w,W)` over the texels of the rectangle,
/// `a(p,i,n,N) = max(0, 1 − |(i + ½) N − (p + ½) n| / max(n, N))`: the triangle filter of Pillow and of the crate `image`,
/// with centres at halves and weights that add up to 1 at edges too. Then `1 − y` if inverted, and
/// `(y − mean[c]) / deviation[c]`.
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
    /// The whole texture, as stored, into the first picture of the batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Which picture of the batch it becomes.
    pub fn row(mut self, row: usize) -> Self {
        self.row = row;
        self
    }

    /// The texels to read: `[x, y, width, height]`, x to the right and y down. By default all of the view.
    pub fn rectangle(mut self, rectangle: [u32; 4]) -> Self {
        self.rectangle = Some(rectangle);
        self
    }

    /// The format of the view, where it is not the texture's.
    pub fn format(mut self, format: TextureFormat) -> Self {
        self.format = Some(format);
        self
    }

    /// How it gets another size.
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// Which numbers the network sees.
    pub fn light(mut self, light: Light) -> Self {
        self.light = light;
        self
    }

    /// What becomes of the channels.
    pub fn channels(mut self, channels: Channels) -> Self {
        self.channels = channels;
        self
    }

    /// Takes each value from 1: dark ink on white paper becomes MNIST's bright ink on black.
    pub fn inverted(mut self, inverted: bool) -> Self {
        self.inverted = inverted;
        self
    }

    /// What is taken off each channel, and what it is divided by: one number, or one for each channel.
    pub fn normalised(mut self, mean: impl Into<Vec<f32>>, deviation: impl Into<Vec<f32>>) -> Self {
        (self.mean, self.deviation) = (mean.into(), deviation.into());
        self
    }

    /// The dispatches that read a texture of `size` and `format` into a value of `[N, C, H, W]`: from the texture along its
    /// columns to a buffer of `f32[C, H, width]`, from there along rows.
    ///
    /// Errors: a format, channels, a size or a row that cannot be read so, with those that can.
    pub fn passes(&self, format: TextureFormat, size: [u32; 2], shape: &Shape) -> Result<[TexturePass; 2]> {
        let [n, c, h, w] = shape.nchw("what a texture is read into").map_err(|e| Error::option("shape", e, shape))?;
        if self.row >= n {
            return Err(Error::option("row", format!("below {n}, the pictures of the batch"), self.row));
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

    /// What a shader makes of the mean `v` of channel `c`.
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

    /// For each of `to` channels, which of a texel's count how much.
    fn terms(&self, from: usize, to: usize) -> Result<Vec<Vec<(usize, f32)>>> {
        let grey = |weights: [f32; 3]| weights.into_iter().enumerate().collect::<Vec<_>>();
        match self.channels {
            Channels::Only(channel) if channel < from => Ok(vec![vec![(channel, 1.0)]; to]),
            Channels::Only(channel) => {
                Err(Error::option("channel", format!("below {from}, the channels of the texture"), channel))
            }
            Channels::Grey(weights) if weights.iter().any(|w| !w.is_finite()) => {
                Err(Error::option("weights of grey", "finite numbers", format!("{weights:?}")))
            }
            Channels::Grey(weights) if from >= 3 => Ok(vec![grey(weights); to]),
            Channels::Natural if to == 1 && from >= 3 => Ok(vec![grey([0.299, 0.587, 0.114])]),
            Channels::Natural if from == 1 && to <= 3 => Ok(vec![vec![(0, 1.0)]; to]),
            Channels::Natural if from >= to => Ok((0..to).map(|c| vec![(c, 1.0)]).collect()),
            _ => {
                let expected = format!("Channels::Only for a network of {to} channels");
                Err(Error::option("channels", expected, format!("{:?} of a texture of {from}", self.channels)))
            }
        }
    }

    /// The same on the CPU: `[C, H, W]` of the texels of a picture of `size`, row by row, each with the red, green, blue and
    /// alpha that a texture of this format stores (`byte / 255`; 0 for colours it has not, 1 for alpha).
    ///
    /// Errors: as [`TextureRead::passes`]; texels of another number than the size says; a rectangle that is not within it.
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

    /// For each of `to` values the first of `from` texels that count and their weights, which add up to 1.
    fn weights(&self, from: u32, to: usize) -> Vec<(usize, Vec<f64>)> {
        let (n, m) = (f64::from(from), to as f64);
        let of = |p: usize| {
            if self.sampling == Sampling::Nearest {
                return ((2 * p + 1) * from as usize / (2 * to), vec![1.0]);
            }
            let centre = (p as f64 + 0.5) * n;
            let weight = |i: u32| 1.0 - ((f64::from(i) + 0.5) * m - centre).abs() / n.max(m);
            let counts: Vec<u32> = (0..from).filter(|&i| weight(i) > 0.0).collect();
            let sum: f64 = counts.iter().map(|&i| weight(i)).sum();
            (counts[0] as usize, counts.iter().map(|&i| weight(i) / sum).collect())
        };
        (0..to).map(of).collect()
    }
}

/// Channels of a texture, and whether loading decodes sRGB.
fn channels_of(format: TextureFormat) -> Result<(usize, bool)> {
    let found = FORMATS.iter().find(|(f, ..)| *f == format).map(|&(_, channels, decodes)| (channels, decodes));
    found.ok_or_else(|| {
        let names: Vec<String> = FORMATS.iter().map(|(f, ..)| format!("{f:?}")).collect();
        Error::option("texture format", format!("one of {}", names.join(", ")), format!("{format:?}"))
    })
}

/// Refuses what is empty or not within `size`.
pub(super) fn check_rectangle(rectangle: [u32; 4], size: [u32; 2]) -> Result<()> {
    let [x, y, width, height] = rectangle.map(u64::from);
    if width >= 1 && height >= 1 && x + width <= size[0].into() && y + height <= size[1].into() {
        return Ok(());
    }
    let expected = format!("[x, y, width, height] of at least one texel within {}x{}", size[0], size[1]);
    Err(Error::option("rectangle", expected, format!("{rectangle:?}")))
}
