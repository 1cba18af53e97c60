//! Networks with branches and networks as files: what they compute, that files and builders mean the same, and what is
//! said about a file that is wrong.

mod branches;
mod files;
mod fuzz;
mod refused;
