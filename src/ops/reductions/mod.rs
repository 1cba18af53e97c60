//! Sums, means and extrema along axes, and their inverse, broadcasting.

pub(crate) mod broadcast;
pub(crate) mod reduce;
