//! Data sets of image files: decoding, splits, the cache, and messages for invalid folders.

#[path = "../common/mod.rs"]
mod common;

mod bad;
mod kept;
mod learned;
mod place;
mod read;
mod splits;
mod streamed;
