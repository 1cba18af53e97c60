//! The command line, from outside: what it prints and writes, and that whatever is wrong ends with one clear message.

#[path = "../common/mod.rs"]
mod common;
mod measured;
mod networks;
mod normalised;
#[path = "../common/pictures.rs"]
mod pictures;
mod place;
mod printed;
mod refused;
mod resumed;
mod runs;
mod seen;
