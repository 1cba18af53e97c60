//! Operations that move, slice, join or resize values without reducing them.

pub(crate) mod concat;
pub(crate) mod copy;
pub(crate) mod resize;
pub(crate) mod slice;
pub(crate) mod transpose;
pub(crate) mod view;
