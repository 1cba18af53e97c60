//! Initial values of parameters.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::nn::layer::setting::{Form, RuleForm, Slot, Value};
use crate::{Error, Result};

/// A rule for initial values.
///
/// The scaled rules keep the variance of activations (fan in) or of activations and gradients (both) from growing or
/// shrinking from layer to layer. *Fan in* is the number of inputs one output sums over, *fan out* the number of
/// outputs one input reaches: `C/groups·R·S` and `K/groups·R·S` for a convolution, `in` and `out` for a dense layer.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Init {
    /// 0: biases.
    Zeros,
    /// One value everywhere.
    Constant(f32),
    /// Uniform from `low` to `high`.
    Uniform {
        /// Bound below.
        low: f32,
        /// Bound above.
        high: f32,
    },
    /// Normal.
    Normal {
        /// Centre.
        mean: f32,
        /// Standard deviation.
        std: f32,
    },
    /// Normal, drawn again until within two standard deviations of the centre.
    TruncatedNormal {
        /// Centre.
        mean: f32,
        /// Standard deviation before truncation.
        std: f32,
    },
    /// Uniform in `±sqrt(6 / (fan_in + fan_out))`: tanh and sigmoid. Glorot and Bengio 2010, equation 16.
    GlorotUniform,
    /// Normal with deviation `sqrt(2 / (fan_in + fan_out))`. Glorot and Bengio 2010.
    GlorotNormal,
    /// Uniform in `±sqrt(6 / fan_in)`: ReLU, and the default of weights. He et al. 2015 (arXiv:1502.01852), section 2.2.
    #[default]
    HeUniform,
    /// Normal with deviation `sqrt(2 / fan_in)`. He et al. 2015, equation 10.
    HeNormal,
    /// Uniform in `±sqrt(6 / fan_out)`: keeps the variance of gradients instead. He et al. 2015, equation 14.
    HeUniformFanOut,
    /// Normal with deviation `sqrt(2 / fan_out)`. He et al. 2015, equation 14.
    HeNormalFanOut,
    /// Uniform in `±sqrt(3 / fan_in)`. LeCun et al. 1998, *Efficient BackProp*, section 4.6.
    LeCunUniform,
    /// Normal with deviation `sqrt(1 / fan_in)`. LeCun et al. 1998, *Efficient BackProp*, section 4.6.
    LeCunNormal,
    /// `gain` times a random matrix of the first axis by the others whose rows, or columns if those are fewer, are
    /// orthonormal. Saxe et al. 2014 (arXiv:1312.6120). The cost grows with the square of the smaller extent.
    Orthogonal {
        /// The length of each row or column.
        gain: f32,
    },
}

/// The names of the rules, with the keys of their numbers.
const RULES: [RuleForm; 14] = [
    ("zeros", &[]),
    ("constant", &[("value", None)]),
    ("uniform", &[("low", None), ("high", None)]),
    ("normal", &[("mean", Some(0.0)), ("std", None)]),
    ("truncated_normal", &[("mean", Some(0.0)), ("std", None)]),
    ("glorot_uniform", &[]),
    ("glorot_normal", &[]),
    ("he_uniform", &[]),
    ("he_normal", &[]),
    ("he_uniform_fan_out", &[]),
    ("he_normal_fan_out", &[]),
    ("lecun_uniform", &[]),
    ("lecun_normal", &[]),
    ("orthogonal", &[("gain", Some(1.0))]),
];

impl From<Init> for Value {
    fn from(init: Init) -> Self {
        let (name, numbers) = match init {
            Init::Zeros => ("zeros", vec![]),
            Init::Constant(value) => ("constant", vec![("value", value)]),
            Init::Uniform { low, high } => ("uniform", vec![("low", low), ("high", high)]),
            Init::Normal { mean, std } => ("normal", vec![("mean", mean), ("std", std)]),
            Init::TruncatedNormal { mean, std } => ("truncated_normal", vec![("mean", mean), ("std", std)]),
            Init::GlorotUniform => ("glorot_uniform", vec![]),
            Init::GlorotNormal => ("glorot_normal", vec![]),
            Init::HeUniform => ("he_uniform", vec![]),
            Init::HeNormal => ("he_normal", vec![]),
            Init::HeUniformFanOut => ("he_uniform_fan_out", vec![]),
            Init::HeNormalFanOut => ("he_normal_fan_out", vec![]),
            Init::LeCunUniform => ("lecun_uniform", vec![]),
            Init::LeCunNormal => ("lecun_normal", vec![]),
            Init::Orthogonal { gain } => ("orthogonal", vec![("gain", gain)]),
        };
        let usual = |key: &str| {
            let (_, keys) = RULES.iter().find(|(rule, _)| *rule == name)?;
            keys.iter().find(|(known, _)| *known == key)?.1
        };
        Value::Rule(name, numbers.into_iter().filter(|(key, value)| usual(key) != Some(*value)).collect())
    }
}

impl Slot for Init {
    fn form(&self) -> Form {
        Form::Rule(&RULES)
    }

    fn get(&self) -> Option<Value> {
        Some((*self).into())
    }

    fn set(&mut self, value: Value) -> bool {
        let Value::Rule(name, numbers) = value else { return false };
        let number = |key: &str| {
            let given = numbers.iter().find(|(known, _)| *known == key).map(|(_, value)| *value);
            given.unwrap_or(if key == "gain" { 1.0 } else { 0.0 })
        };
        *self = match name {
            "zeros" => Init::Zeros,
            "constant" => Init::Constant(number("value")),
            "uniform" => Init::Uniform { low: number("low"), high: number("high") },
            "normal" => Init::Normal { mean: number("mean"), std: number("std") },
            "truncated_normal" => Init::TruncatedNormal { mean: number("mean"), std: number("std") },
            "glorot_uniform" => Init::GlorotUniform,
            "glorot_normal" => Init::GlorotNormal,
            "he_uniform" => Init::HeUniform,
            "he_normal" => Init::HeNormal,
            "he_uniform_fan_out" => Init::HeUniformFanOut,
            "he_normal_fan_out" => Init::HeNormalFanOut,
            "lecun_uniform" => Init::LeCunUniform,
            "lecun_normal" => Init::LeCunNormal,
            "orthogonal" => Init::Orthogonal { gain: number("gain") },
            _ => return false,
        };
        true
    }
}

/// A rule with its fans put in.
enum Distribution {
    Constant(f64),
    Uniform { low: f64, high: f64 },
    Normal { mean: f64, std: f64, within: f64 },
    Orthogonal { gain: f64 },
}

impl Init {
    /// Refuses rules that no generator can follow, for the parameter `name`.
    pub(crate) fn check(&self, name: &str) -> Result<()> {
        let (expected, allowed) = match *self {
            Init::Constant(value) => ("a finite value", value.is_finite()),
            Init::Uniform { low, high } => ("finite bounds with low <= high", low <= high && (high - low).is_finite()),
            Init::Normal { mean, std } | Init::TruncatedNormal { mean, std } => {
                ("a finite mean and a finite std of at least 0", mean.is_finite() && std.is_finite() && std >= 0.0)
            }
            Init::Orthogonal { gain } => ("a finite gain", gain.is_finite()),
            _ => return Ok(()),
        };
        let refuse = || Error::option(format!("initial values of \"{name}\""), expected, format!("{self:?}"));
        if allowed { Ok(()) } else { Err(refuse()) }
    }

    /// Fills `values`, of a parameter with these `[fan in, fan out]` and `rows` along its first axis.
    pub(crate) fn fill(&self, fans: [usize; 2], rows: usize, random: &mut ChaCha8Rng, values: &mut [f32]) {
        match self.distribution(fans) {
            Distribution::Constant(value) => values.fill(value as f32),
            Distribution::Uniform { low, high } => {
                values.fill_with(|| (low + (high - low) * unit(random)) as f32);
            }
            Distribution::Normal { mean, std, within } => values.fill_with(|| {
                let z = std::iter::repeat_with(|| normal(random)).find(|z| z.abs() <= within);
                (mean + std * z.expect("the draws do not end")) as f32
            }),
            Distribution::Orthogonal { gain } => orthogonal(gain, rows, random, values),
        }
    }

    fn distribution(&self, [fan_in, fan_out]: [usize; 2]) -> Distribution {
        let both = fan_in.saturating_add(fan_out).max(1) as f64;
        let (fan_in, fan_out) = (fan_in.max(1) as f64, fan_out.max(1) as f64);
        let within = |limit: f64| Distribution::Uniform { low: -limit, high: limit };
        let normal = |std: f64| Distribution::Normal { mean: 0.0, std, within: f64::INFINITY };
        match *self {
            Init::Zeros => Distribution::Constant(0.0),
            Init::Constant(value) => Distribution::Constant(value.into()),
            Init::Uniform { low, high } => Distribution::Uniform { low: low.into(), high: high.into() },
            Init::Normal { mean, std } => {
                Distribution::Normal { mean: mean.into(), std: std.into(), within: f64::INFINITY }
            }
            Init::TruncatedNormal { mean, std } => {
                Distribution::Normal { mean: mean.into(), std: std.into(), within: 2.0 }
            }
            Init::GlorotUniform => within((6.0 / both).sqrt()),
            Init::GlorotNormal => normal((2.0 / both).sqrt()),
            Init::HeUniform => within((6.0 / fan_in).sqrt()),
            Init::HeNormal => normal((2.0 / fan_in).sqrt()),
            Init::HeUniformFanOut => within((6.0 / fan_out).sqrt()),
            Init::HeNormalFanOut => normal((2.0 / fan_out).sqrt()),
            Init::LeCunUniform => within((3.0 / fan_in).sqrt()),
            Init::LeCunNormal => normal((1.0 / fan_in).sqrt()),
            Init::Orthogonal { gain } => Distribution::Orthogonal { gain: gain.into() },
        }
    }
}

/// Uniform in `[0, 1)`, in steps of 2⁻⁵³.
fn unit(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Standard normal, by Box and Muller's method; the second of each pair is not kept, so that a value depends on its
/// place alone.
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - unit(random)).ln()).sqrt();
    radius * (std::f64::consts::TAU * unit(random)).cos()
}

/// Normal vectors made orthonormal one after another by Gram and Schmidt's method, each twice against rounding.
fn orthogonal(gain: f64, rows: usize, random: &mut ChaCha8Rng, values: &mut [f32]) {
    let columns = values.len() / rows;
    let (count, length) = (rows.min(columns), rows.max(columns));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(count);
    while vectors.len() < count {
        let mut v: Vec<f64> = (0..length).map(|_| normal(random)).collect();
        for _ in 0..2 {
            for other in &vectors {
                let along = dot(&v, other);
                v.iter_mut().zip(other).for_each(|(v, other)| *v -= along * other);
            }
        }
        let norm = dot(&v, &v).sqrt();
        // All but never: a draw that the earlier ones span.
        if norm > 1e-6 {
            v.iter_mut().for_each(|v| *v /= norm);
            vectors.push(v);
        }
    }
    for (i, value) in values.iter_mut().enumerate() {
        let (row, column) = (i / columns, i % columns);
        let v = if rows <= columns { vectors[row][column] } else { vectors[column][row] };
        *value = (gain * v) as f32;
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const FANS: [usize; 2] = [50, 150];

    fn draw(init: Init) -> Vec<f32> {
        let mut values = vec![f32::NAN; 40_000];
        init.fill(FANS, 200, &mut ChaCha8Rng::seed_from_u64(1), &mut values);
        values
    }

    #[test]
    fn means_and_deviations_are_those_of_the_formulas() {
        for (init, mean, std, bound) in [
            (Init::Zeros, 0.0, 0.0, 0.0),
            (Init::Constant(0.5), 0.5, 0.0, 0.5),
            (Init::Uniform { low: 1.0, high: 3.0 }, 2.0, 2.0 / 12f64.sqrt(), 3.0),
            (Init::Normal { mean: 1.0, std: 2.0 }, 1.0, 2.0, f64::INFINITY),
            // Truncation at two deviations leaves 0.8796 of the deviation.
            (Init::TruncatedNormal { mean: 0.0, std: 2.0 }, 0.0, 2.0 * 0.8796, 4.0),
            (Init::GlorotUniform, 0.0, 0.1, 0.03f64.sqrt()),
            (Init::GlorotNormal, 0.0, 0.1, f64::INFINITY),
            (Init::HeUniform, 0.0, 0.2, 0.12f64.sqrt()),
            (Init::HeNormal, 0.0, 0.2, f64::INFINITY),
            (Init::HeUniformFanOut, 0.0, (2.0f64 / 150.0).sqrt(), 0.2),
            (Init::HeNormalFanOut, 0.0, (2.0f64 / 150.0).sqrt(), f64::INFINITY),
            (Init::LeCunUniform, 0.0, 0.02f64.sqrt(), 0.06f64.sqrt()),
            (Init::LeCunNormal, 0.0, 0.02f64.sqrt(), f64::INFINITY),
        ] {
            let values = draw(init);
            let n = values.len() as f64;
            let found_mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
            let found_std = (values.iter().map(|&v| (f64::from(v) - found_mean).powi(2)).sum::<f64>() / n).sqrt();
            assert!((found_mean - mean).abs() <= 0.02 * std, "{init:?}: mean {found_mean}");
            assert!((found_std - std).abs() <= 0.02 * std, "{init:?}: deviation {found_std}");
            assert!(values.iter().all(|&v| f64::from(v).abs() <= bound + 1e-6), "{init:?} leaves its bounds");
        }
    }

    #[test]
    fn the_fewer_of_rows_and_columns_are_orthonormal() {
        for (rows, columns) in [(5, 12), (12, 5), (7, 7), (1, 1)] {
            let mut values = vec![0.0; rows * columns];
            Init::Orthogonal { gain: 2.0 }.fill(FANS, rows, &mut ChaCha8Rng::seed_from_u64(3), &mut values);
            let at = |vector: usize, i: usize| match rows <= columns {
                true => values[vector * columns + i],
                false => values[i * columns + vector],
            };
            for a in 0..rows.min(columns) {
                for b in 0..rows.min(columns) {
                    let dot: f32 = (0..rows.max(columns)).map(|i| at(a, i) * at(b, i)).sum();
                    assert!((dot - if a == b { 4.0 } else { 0.0 }).abs() < 1e-5, "{rows}x{columns}: {a}, {b}: {dot}");
                }
            }
        }
    }

    #[test]
    fn impossible_rules_are_refused_with_the_parameter() {
        for init in [
            Init::Constant(f32::NAN),
            Init::Uniform { low: 1.0, high: 0.0 },
            Init::Uniform { low: f32::NEG_INFINITY, high: 0.0 },
            Init::Normal { mean: 0.0, std: -1.0 },
            Init::TruncatedNormal { mean: f32::INFINITY, std: 1.0 },
            Init::Orthogonal { gain: f32::NAN },
        ] {
            let error = init.check("fc1.weight").unwrap_err().to_string();
            assert!(error.contains("fc1.weight") && error.contains("finite"), "{error}");
        }
    }
}
