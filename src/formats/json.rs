//! Floats in JSON, which has no NaN.

use serde::Deserialize;

/// Deserializes a float; null becomes NaN.
pub(crate) fn null_as_nan<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::NAN))
}
