//! Textures as inputs and outputs of sessions, compared with `TextureRead::apply` and `TextureWrite::apply` on the CPU,
//! and in the frame of an app that draws before and after.

#[path = "../common/adapter.rs"]
mod adapter;
#[path = "../common/mod.rs"]
mod common;
mod fixture;
mod frame;
mod reading;
mod refused;
mod writing;
