//! The device of the tests.

use std::sync::OnceLock;

use lenslet::gpu::Tuned;
use lenslet::{Error, Gpu, ShaderChecks};

/// The device on the default adapter, one per check mode and process. Prints a note and returns `None` if there is
/// none, which ends the test; fails instead if `REQUIRE_GPU=1` is set.
pub fn gpu(checks: ShaderChecks) -> Option<Gpu> {
    static TRUSTED: OnceLock<Option<Gpu>> = OnceLock::new();
    static CHECKED: OnceLock<Option<Gpu>> = OnceLock::new();
    let device = match checks {
        ShaderChecks::Trusted => &TRUSTED,
        ShaderChecks::Checked => &CHECKED,
    };
    let open = || match Gpu::with_checks(checks) {
        Ok(gpu) => {
            // The user's own measurements must not affect the tests.
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
