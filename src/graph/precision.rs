//! The storage precision of the values between operations.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The storage precision of the values between operations. Arithmetic and sums are f32 in either case, and so are leaves
/// (parameters, optimizer states), gradients of parameters and outputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits, as they are computed.
    #[default]
    F32,
    /// 16 bits where the kernels can load and store them: half the memory, 11 significant bits. Needs WebGPU's
    /// `shader-f16`. Magnitudes above 65,504 become infinite, those below 6e-8 zero.
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
    /// Checks that a device can do it. `place` names the device; `has_f16` says whether its shaders have 16-bit floats.
    ///
    /// Errors: f16 on a device without it.
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
