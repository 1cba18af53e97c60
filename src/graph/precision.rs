//! How many bits the values between operations are kept in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How a device stores the values that operations hand to each other. Arithmetic and sums are f32 either way, and so are
/// leaves (parameters, what optimizers keep), gradients of parameters and outputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// As they are computed.
    #[default]
    F32,
    /// As halves where the kernels take them, rounded to 11 bits: half the memory. A GPU with WebGPU's `shader-f16` has
    /// it. Values above 65,504 become infinite, those below 6e-8 zero.
    F16,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::F16 => "f16",
        })
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "f32" => Ok(Precision::F32),
            "f16" => Ok(Precision::F16),
            _ => Err(Error::option("precision", "f32 or f16", text)),
        }
    }
}

impl Precision {
    /// Refuses what a device cannot do: `place` is its name, `has_f16` whether its shaders have 16-bit floats.
    pub fn check(self, place: &str, has_f16: bool) -> Result<()> {
        match self {
            Precision::F16 if !has_f16 => {
                let hint = "`lenslet devices` says which adapters have shader-f16";
                Err(Error::option("precision", format!("f32 on {place}, which has no 16-bit floats; {hint}"), self))
            }
            _ => Ok(()),
        }
    }
}
