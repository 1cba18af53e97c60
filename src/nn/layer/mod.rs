//! Layers: one type each, in its family's file.
//!
//! A layer is a [`LayerKind`]: its kind's name, one list of options, and the operations that it appends to a graph. From
//! the list come network files, the fluent methods of [`Layer`], summaries and the guide's table. A new layer is a type in
//! its family's file, with its constructor, and a line in `registry`.

mod apply;
mod convolution;
mod elementwise;
mod kind;
mod layout;
mod losses;
mod matrices;
mod normalization;
mod options;
mod pooling;
mod reductions;
mod registry;
pub mod setting;
mod training;

pub use convolution::Groups;
pub use kind::{Layer, LayerKind, Place, Role};

pub(super) use kind::names;
