//! The CPU: the [reference](Reference), which runs a graph in f64 and which kernels are checked against, and the
//! [session](CpuSession) in f32, which is the CPU as a device.

mod budget;
mod reference;
mod session;

pub use budget::budget;
pub use reference::{Reference, Value};
pub use session::CpuSession;
