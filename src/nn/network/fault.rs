//! An error of a network, with the layer it is in.

use crate::Error;

/// An error of a network, and the number of the layer, if it is one layer's.
pub(crate) struct Fault {
    pub layer: Option<usize>,
    pub error: Error,
}
