//! Runners of a training course: whole epochs, or the frames of an app.

mod diagnose;
mod epochs;
pub(in crate::train) mod frames;
mod pace;
pub(in crate::train) mod submissions;
