//! Small images that a network can learn to classify.

/// `count` images of `[C, H, W]` bytes with their labels, cycling through `classes`: class k has a bright bar across
/// the columns around `(k + 1/2) W / classes`, on noise. Equal arguments give equal bytes.
pub fn pictures(count: usize, [c, h, w]: [usize; 3], classes: usize) -> (Vec<u8>, Vec<u8>) {
    let mut state = 1u32;
    let mut noise = || {
        // Numerical Recipes' linear congruential generator.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let mut images = Vec::with_capacity(count * c * h * w);
    for i in 0..count {
        for pixel in 0..c * h * w {
            let is_bar = pixel % w * classes / w == i % classes;
            images.push(if is_bar { 160 + noise() / 3 } else { noise() / 3 });
        }
    }
    (images, (0..count).map(|i| (i % classes) as u8).collect())
}
