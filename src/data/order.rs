//! The order of images in an epoch: seeded shuffles, padded to whole batches.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::ops::IGNORE;

/// The generator stream of the validation split. Lower streams shuffle epochs, higher ones draw initial values.
const SPLIT_STREAM: u64 = u32::MAX as u64;

fn shuffle(indices: &mut [u32], seed: u64, stream: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    indices.shuffle(&mut random);
}

/// The indices of the validation images, and of the rest, of a set of `len` images.
pub(crate) fn split(len: usize, validation: usize, seed: u64) -> (Vec<u32>, Vec<u32>) {
    let mut held_out: Vec<u32> = (0..len as u32).collect();
    shuffle(&mut held_out, seed, SPLIT_STREAM);
    let rest = held_out.split_off(validation);
    (held_out, rest)
}

/// The shuffled order of an epoch (counted from 0) over `images`. The last batch is padded with masked rows.
pub(crate) fn epoch(images: &[u32], batch: usize, seed: u64, epoch: u32) -> Vec<u32> {
    let mut order = images.to_vec();
    shuffle(&mut order, seed, u64::from(epoch));
    whole_batches(order, batch)
}

/// Pads `order` to whole batches with masked rows.
pub(crate) fn whole_batches(mut order: Vec<u32>, batch: usize) -> Vec<u32> {
    order.resize(order.len().next_multiple_of(batch), IGNORE);
    order
}

/// `order` with its masked rows at the end replaced by repeated images.
pub(crate) fn shown(order: &[u32]) -> Vec<u32> {
    let images = order.iter().take_while(|&&image| image != IGNORE).copied();
    images.clone().chain(images.cycle()).take(order.len()).collect()
}

/// The learning rate of each step. It is negative, which skips the update, in all but the last step of each group of
/// `every` steps and of the epoch.
pub(crate) fn rates_of_updates(rates: &[f32], every: usize) -> Vec<f32> {
    let updates = |step: usize| (step + 1).is_multiple_of(every) || step + 1 == rates.len();
    rates.iter().enumerate().map(|(step, &rate)| if updates(step) { rate } else { -1.0 }).collect()
}

/// The weight of each micro-batch in its update: the sum of its image weights divided by that of all micro-batches of
/// the update. `weights` has one value per image of the set; if empty, all images have equal weight.
pub(crate) fn shares(order: &[u32], steps: usize, every: usize, weights: &[f32]) -> Vec<f32> {
    let weigh = |batch: &[u32]| -> f64 {
        let images = batch.iter().filter(|&&image| image != IGNORE);
        images.map(|&image| weights.get(image as usize).map_or(1.0, |&weight| f64::from(weight))).sum()
    };
    let of_steps: Vec<f64> = order.chunks(order.len() / steps).map(weigh).collect();
    let share = |group: &[f64]| {
        let all: f64 = group.iter().sum();
        group.iter().map(|weight| if all > 0.0 { (weight / all) as f32 } else { 0.0 }).collect::<Vec<_>>()
    };
    of_steps.chunks(every).flat_map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_holds_every_image_once_in_whole_batches() {
        let (validation, images) = split(100, 30, 7);
        assert_eq!((validation.len(), images.len()), (30, 70));
        let order = epoch(&images, 32, 7, 0);
        assert_eq!(order.len(), 96);
        let mut seen: Vec<u32> = order.iter().copied().filter(|&i| i != IGNORE).chain(validation).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert_ne!(order, epoch(&images, 32, 7, 1));
        assert_eq!(order, epoch(&images, 32, 7, 0));
    }

    #[test]
    fn steps_that_share_an_update_count_for_what_they_hold() {
        assert_eq!(rates_of_updates(&[0.1, 0.1, 0.3, 0.3, 0.5], 2), [-1.0, 0.1, -1.0, 0.3, 0.5]);
        let order = [3, 1, 0, 2, 5, 4, 6, IGNORE];
        assert_eq!(shares(&order, 4, 3, &[]), [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 1.0]);
        assert_eq!(shares(&order, 4, 2, &[]), [0.5, 0.5, 2.0 / 3.0, 1.0 / 3.0]);
        let weights = [0.0, 3.0, 1.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(shares(&order, 4, 2, &weights), [0.75, 0.25, 0.0, 0.0]);
    }

    #[test]
    fn rows_that_count_for_nothing_show_the_first_images() {
        assert_eq!(shown(&[4, 1, 9, IGNORE, IGNORE]), [4, 1, 9, 4, 1]);
        assert_eq!(shown(&[4, IGNORE, IGNORE]), [4, 4, 4]);
        assert_eq!(shown(&[3, 2]), [3, 2]);
    }
}
