//! Networks by name.

mod convnet;
mod downsample;
mod lenet5;

pub use convnet::{convnet, convnet_no_pool};
pub use downsample::{downsample_average, downsample_max, downsample_strided};
pub use lenet5::{lenet5, lenet5_of_width};

use crate::nn::Network;
use crate::{Error, Result};

/// A network's name and its description.
type Entry = (&'static str, fn() -> Network);

const TABLE: [Entry; 6] = [
    ("lenet5", || lenet5().into()),
    ("convnet", || convnet().into()),
    ("convnet-no-pool", || convnet_no_pool().into()),
    ("downsample-strided", || downsample_strided().into()),
    ("downsample-average", || downsample_average().into()),
    ("downsample-max", || downsample_max().into()),
];

/// The names that [`by_name`] knows.
pub const NAMES: [&str; TABLE.len()] = {
    let mut names = [""; TABLE.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = TABLE[i].0;
        i += 1;
    }
    names
};

/// The network of that name.
///
/// Errors: there is none; the message lists those there are.
pub fn by_name(name: &str) -> Result<Network> {
    let entry = TABLE.iter().find(|(known, _)| *known == name);
    let (_, model) = entry.ok_or_else(|| Error::option("model", format!("one of {}", NAMES.join(", ")), name))?;
    Ok(model())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Model;

    #[test]
    fn every_network_is_called_what_it_is_found_by() {
        for name in NAMES {
            assert_eq!(by_name(name).unwrap().name(), name);
        }
        let error = by_name("lenet").unwrap_err().to_string();
        assert!(error.starts_with("model: expected one of lenet5, convnet, convnet-no-pool, "), "{error}");
        assert!(error.ends_with(", found lenet"), "{error}");
    }
}
