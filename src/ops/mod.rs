//! The operations, by family: one file an operation, with everything that it means.

pub(crate) mod convolution;
pub(crate) mod elementwise;
pub(crate) mod layout;
pub(crate) mod loops;
pub(crate) mod losses;
pub(crate) mod matrices;
pub(crate) mod normalization;
pub(crate) mod pooling;
pub(crate) mod reductions;
pub(crate) mod training;

pub use convolution::{conv_transpose2d, conv2d};
pub use elementwise::binary::{Arithmetic, TABLE as ARITHMETIC};
pub use elementwise::scalars::{From, Parameter, Scalar, TABLE};
pub use layout::resize::Upsampling;
pub use layout::slice::Cut;
pub use losses::composed::CrossEntropy;
pub use losses::cross_entropy::IGNORE;
pub use matrices::matmul;
pub use normalization::local_response_norm::LocalResponse;
pub use normalization::norm::Affine;
pub use training::augment_options::{Augment, Fill, Flip};
pub use training::{accumulate, augment, clock, dropout, gather, record, tally};

pub(crate) use layout::copy::copy_dispatch;
pub(crate) use loops::simd::vectorized;
