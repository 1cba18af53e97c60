//! The examples do what their descriptions say.

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use lenslet::ShaderChecks;

#[test]
fn headless_names_the_digit_and_draws_what_the_network_sees() {
    if common::gpu(ShaderChecks::Trusted).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    // MNIST's first test digit is a 7, the second a 2.
    let two = lenslet::data::Mnist::bundled().unwrap().test.image(1).iter().map(|v| 255 - v).collect();
    let large = image::imageops::resize(
        &image::GrayImage::from_raw(28, 28, two).unwrap(),
        190,
        190,
        image::imageops::FilterType::Triangle,
    );
    large.save(folder.path().join("two.png")).unwrap();
    // The profile that this test was built with, so that nothing is compiled twice.
    let target = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().file_name().unwrap().to_os_string();
    let profile = if target == "debug" { "dev".into() } else { target };
    for (arguments, digit) in [(&[][..], "digit 7,"), (&["two.png"][..], "digit 2,")] {
        let output = Command::new(env!("CARGO"))
            .args(["run", "--quiet", "--example", "headless", "--manifest-path"])
            .arg(&manifest)
            .arg("--profile")
            .arg(&profile)
            .arg("--")
            .args(arguments)
            .current_dir(&folder)
            .output()
            .expect("cargo runs");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(printed.starts_with(digit), "{printed}");
        let picture = image::open(folder.path().join("headless.png")).unwrap().to_rgba8();
        // Input, six maps, sixteen maps and ten bars, each panel with colours of its own.
        for (panel, x) in [("input", 24), ("first maps", 272), ("second maps", 648), ("classes", 896)] {
            let part = image::imageops::crop_imm(&picture, x, 24, 224, 224).to_image();
            let colours: BTreeSet<[u8; 4]> = part.pixels().map(|p| p.0).collect();
            let most = if panel == "classes" { 3 } else { 20 };
            assert!(colours.len() >= most, "{panel}: {} colours", colours.len());
        }
    }
}
