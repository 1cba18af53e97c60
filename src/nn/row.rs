//! A row of a summary.

use serde::Serialize;

/// One layer.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub layer: String,
    /// Its kind and the options that are not the defaults.
    pub kind: String,
    /// The layers it reads, if that is not the one before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<String>,
    /// The shape of its output for one image.
    pub output: Vec<usize>,
    /// Its parameters.
    pub parameters: usize,
    /// Those that training changes by their gradients.
    pub trainable: usize,
    /// Rows and columns of the image that one output depends on, at most the whole. `None` unless the input is an
    /// image.
    pub receptive_field: Option<[usize; 2]>,
    /// Multiply-adds of one image, forward.
    pub multiply_adds: u64,
}
