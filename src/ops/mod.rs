//! The operations: one file per family, with everything that operation means.

mod avg_pool2d;
mod binary;
mod broadcast;
mod class_targets;
pub mod classify;
mod concat;
pub mod conv2d;
mod copy;
mod cross_entropy;
pub mod gather;
mod log_softmax;
mod losses;
pub mod matmul;
mod max_pool2d;
mod pool;
mod prelu;
pub mod record;
mod reduce;
mod reference;
mod resize;
mod scalars;
mod scale;
mod slice;
mod softmax;
mod strided;
mod transpose;
mod unary;
mod view;

pub use binary::{Arithmetic, TABLE as ARITHMETIC};
pub(crate) use copy::copy_dispatch;
pub use cross_entropy::IGNORE;
pub use losses::CrossEntropy;
pub use resize::Upsampling;
pub use scalars::{From, Parameter, Scalar, TABLE};
pub use slice::Cut;
