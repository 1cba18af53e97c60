//! Sets of image files: what an image becomes, which set takes it, what is kept of it, and how every kind of bad folder
//! is refused.

#[path = "../common/mod.rs"]
mod common;

mod bad;
mod kept;
mod learned;
mod place;
mod read;
mod splits;
mod streamed;
