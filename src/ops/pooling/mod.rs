//! Pooling over windows, over whole planes and across channels.

pub(crate) mod adaptive_pool2d;
pub(crate) mod avg_pool2d;
pub(crate) mod channel_pool;
pub(crate) mod lp_pool2d;
pub(crate) mod max_pool2d;
pub(crate) mod max_unpool2d;
pub(crate) mod pool;
