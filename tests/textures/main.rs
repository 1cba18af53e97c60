//! Textures into a session and values out into textures, compared with what `TextureRead::apply` and
//! `TextureWrite::apply` say on the CPU, and inside the frame of an app that draws before and after.

#[path = "../common/adapter.rs"]
mod adapter;
#[path = "../common/mod.rs"]
mod common;
mod fixture;
mod frame;
mod reading;
mod refused;
mod writing;
