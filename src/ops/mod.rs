//! The operations: one file per family, with everything that operation means.

mod avg_pool2d;
mod binary;
mod broadcast;
pub mod classify;
pub mod conv2d;
mod copy;
mod cross_entropy;
pub mod gather;
pub mod matmul;
mod max_pool2d;
mod pool;
pub mod record;
mod reduce;
mod reference;
mod scale;
mod softmax;
mod strided;
mod transpose;
mod unary;
mod view;

pub use binary::{Arithmetic, TABLE as ARITHMETIC};
pub(crate) use copy::copy_dispatch;
pub use cross_entropy::IGNORE;
pub use unary::{From, Scalar, TABLE};
