//! Validation on the user's machine: every kernel of every operation against the f64 reference.
//!
//! A table of [cases] is compiled in. The tests run all of it; [`doctor`] runs it on a device and reports for each
//! kernel whether it can be trusted.

pub mod cases;
mod diff;
mod doctor;
mod kernel;
mod values;

pub use cases::{Case, Fill, Input};
pub use diff::{Difference, LayerReport, diff, replay};
pub use doctor::{Examination, Report, doctor};
pub use kernel::{Attempt, Element, Trial, Verdict, agrees};
pub use values::{Built, Random};

pub use crate::cpu::Value;
