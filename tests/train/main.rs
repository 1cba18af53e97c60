//! Training: the CPU and the GPU learn alike, the same seed gives the same bytes, every picture counts once, and a run
//! that fails or is stopped keeps what was finished.

mod accumulated;
#[path = "../common/adapter.rs"]
mod adapter;
mod augmented;
#[path = "../common/mod.rs"]
mod common;
mod counting;
mod ends;
mod fixture;
mod groups;
mod halves;
mod kept;
mod layers;
mod learning;
mod metrics;
mod normalised;
#[path = "../common/pictures.rs"]
mod pictures;
mod refused;
mod resumed;
mod weights;
