//! Inside an app: its device and its commands, training between its frames, its device lost, its executor.

#[path = "../common/adapter.rs"]
mod adapter;
mod apps;
#[path = "../common/mod.rs"]
mod common;
mod frames;
mod predictor;
mod sharing;
mod waiting;
