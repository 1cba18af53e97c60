//! The ways to run a training: whole epochs, or slices between the frames of an app.

pub(in crate::train) mod diagnose;
pub(in crate::train) mod epochs;
pub(in crate::train) mod frames;
mod pace;
pub(crate) mod submissions;
