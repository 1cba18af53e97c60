//! The device the tests run on.

use std::sync::OnceLock;

use lenslet::gpu::Tuned;
use lenslet::{Error, Gpu, ShaderChecks};

/// Whatever adapter there is, one device a check mode and process. `None`, and a line that says so, if there is none:
/// the test ends then. With `REQUIRE_GPU=1` in the environment it fails instead.
pub fn gpu(checks: ShaderChecks) -> Option<Gpu> {
    static TRUSTED: OnceLock<Option<Gpu>> = OnceLock::new();
    static CHECKED: OnceLock<Option<Gpu>> = OnceLock::new();
    let device = match checks {
        ShaderChecks::Trusted => &TRUSTED,
        ShaderChecks::Checked => &CHECKED,
    };
    let open = || match Gpu::with_checks(checks) {
        Ok(gpu) => {
            // What the user measured is no part of a test.
            gpu.tune_by(Tuned::default());
            Some(gpu)
        }
        Err(Error::NoDevice(_)) => None,
        Err(error) => panic!("an adapter is there, but {error}"),
    };
    let gpu = device.get_or_init(open).clone();
    if gpu.is_none() {
        let required = std::env::var_os("REQUIRE_GPU").is_some_and(|value| value == "1");
        assert!(!required, "REQUIRE_GPU=1, but there is no adapter");
        println!("skipped: no adapter");
    }
    gpu
}
