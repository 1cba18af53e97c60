//! A WGSL file as a value, and whether it may run without run-time checks.

use crate::kernel::file::{self, File};

/// A WGSL file with one compute entry point.
///
/// A file that keeps to the dialect of `shaders/README.md` may share a launch with others, run in slices, be computed
/// inside other kernels, and store values as halves. Every other file is *opaque*: it runs as it is written, alone in its
/// launch. Files from outside lenslet run with run-time checks of bounds and loops, unless [`Shader::trusted`] made them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Shader {
    /// File stem, shown in plans and verdicts.
    pub name: &'static str,
    /// The text.
    pub source: &'static str,
    /// Private: safe code outside this module makes no trusted shader.
    is_trusted: bool,
}

impl Shader {
    /// A WGSL file that runs with run-time checks.
    pub const fn new(name: &'static str, source: &'static str) -> Self {
        Self { name, source, is_trusted: false }
    }

    /// A WGSL file that runs without run-time checks, as lenslet's own do where
    /// [`ShaderChecks::Trusted`](crate::ShaderChecks::Trusted) is chosen.
    ///
    /// # Safety
    ///
    /// For every dispatch made of it, with its constants, functions and grid, each invocation must access its bindings and
    /// arrays within bounds only, and end each of its loops. Otherwise the driver's behavior is undefined.
    #[allow(unsafe_code)]
    pub const unsafe fn trusted(name: &'static str, source: &'static str) -> Self {
        Self { name, source, is_trusted: true }
    }

    /// A file of this crate's `shaders` folder: tests/ops and tests/textures run each with and without the checks.
    pub(crate) const fn own(name: &'static str, source: &'static str) -> Self {
        Self { name, source, is_trusted: true }
    }

    /// Whether it may run without run-time checks.
    pub fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    /// The rules of the dialect, see `shaders/README.md`, that the file breaks, each with the line and how to comply.
    /// Empty for files that keep to it.
    pub fn departures(&self) -> &'static [String] {
        &self.file().departures
    }

    pub(super) fn file(&self) -> &'static File {
        file::read(self.name, self.source)
    }
}

/// The shader `shaders/<path>.wgsl` of the calling crate, compiled into its binary:
/// `lenslet::kernel::shader!("pooling/max_pool2d")`. It runs with run-time checks.
#[doc(hidden)]
#[macro_export]
macro_rules! __foreign_shader {
    ($path:literal) => {
        $crate::kernel::Shader::new(
            $crate::kernel::file_stem($path),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path, ".wgsl")),
        )
    };
}

/// The shader `shaders/<path>.wgsl` of this crate.
macro_rules! own_shader {
    ($path:literal) => {
        $crate::kernel::Shader::own(
            $crate::kernel::file_stem($path),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path, ".wgsl")),
        )
    };
}
pub(crate) use own_shader;

/// The part of a path after its last `/`.
#[doc(hidden)]
pub const fn file_stem(path: &str) -> &str {
    let mut at = path.len();
    while at > 0 && path.as_bytes()[at - 1] != b'/' {
        at -= 1;
    }
    path.split_at(at).1
}
