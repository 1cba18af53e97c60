//! Counter-based random numbers (Philox), identical on every device.

/// Philox4x32 with ten rounds: 128 random bits of a counter under a key (Salmon et al. 2011, *Parallel random numbers:
/// as easy as 1, 2, 3*). The last word of the counter is the purpose: 0 dropout, 1 augmentation.
pub(super) fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let product = |a: u32, b: u32| u64::from(a) * u64::from(b);
        let (even, odd) = (product(0xd251_1f53, counter[0]), product(0xcd9e_8d57, counter[2]));
        let high = |product: u64| (product >> 32) as u32;
        counter = [high(odd) ^ counter[1] ^ key[0], odd as u32, high(even) ^ counter[3] ^ key[1], even as u32];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    // Known answers of the Random123 library for philox4x32-10.
    #[test]
    fn philox_gives_the_known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let (counter, key) = ([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]);
        assert_eq!(philox(counter, key), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }
}
