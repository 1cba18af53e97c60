//! Splits of images into sets.

use std::collections::BTreeMap;
use std::fs;

use lenslet::data::Dataset;
use lenslet::data::folder::{Options, Sets, Share};

use crate::place::{Place, png};

/// The gray value of each image, which identifies it, with its set.
fn places(sets: &Sets) -> BTreeMap<(u8, u8), &'static str> {
    let numbered = |set: &Dataset| (0..set.len()).map(|i| (set.labels[i], set.image(i)[0])).collect::<Vec<_>>();
    let all = [("train", Some(&sets.train)), ("validation", sets.validation.as_ref()), ("test", Some(&sets.test))];
    let all: Vec<_> =
        all.into_iter().flat_map(|(name, set)| set.into_iter().map(move |set| (name, numbered(set)))).collect();
    all.into_iter().flat_map(|(name, numbers)| numbers.into_iter().map(move |number| (number, name))).collect()
}

fn shares(train: Option<Share>, validation: Option<Share>, test: Option<Share>) -> Options {
    Options { train, validation, test, ..Options::default() }
}

#[test]
fn shares_split_every_image_once_and_the_same_way_everywhere() {
    let place = Place::with(&["b", "a"], 100);
    let sets = place.load(&Options::default()).unwrap();
    assert_eq!(sets.train.names, ["a", "b"]);
    assert_eq!((sets.test.names.len(), sets.train.classes), (2, 2));
    let at = places(&sets);
    assert_eq!(at.len(), 200);
    let count = |set: &str, class: u8| at.iter().filter(|(key, of)| key.0 == class && **of == set).count();
    let counts = [0, 1].map(|class| ["train", "validation", "test"].map(|set| count(set, class)));
    // The split of these names under seed 1, on any machine.
    assert_eq!(counts, [[80, 6, 14], [73, 10, 17]]);
    // Another folder with the same names, written in another order.
    let again = Place::with(&["a", "b"], 100);
    assert_eq!(places(&again.load(&Options::default()).unwrap()), at);
}

#[test]
fn shares_keep_each_image_in_its_set_whatever_else_comes_or_goes() {
    let place = Place::with(&["a", "b"], 60);
    let options = shares(Some(Share::Part(0.5)), Some(Share::Part(0.2)), Some(Share::Part(0.3)));
    let before = places(&place.load(&options).unwrap());
    assert_eq!(before.len(), 120);
    for i in (0..60).step_by(7) {
        fs::remove_file(place.path(&format!("a/{i}.png"))).unwrap();
    }
    (60..90).for_each(|i| place.put(&format!("a/more/{i}.png"), &png(4, 4, [i; 3])));
    (0..60).for_each(|i| place.put(&format!("c/{i}.png"), &png(4, 4, [i; 3])));
    let after = places(&place.load(&options).unwrap());
    let stayed = before.iter().filter(|(key, _)| key.0 == 1 || key.1 % 7 != 0);
    stayed.for_each(|(key, set)| assert_eq!(after[key], *set, "{key:?}"));
    assert_eq!(after.len(), 120 - 9 + 30 + 60);
}

#[test]
fn counts_are_of_each_class_and_train_and_test_never_exchange() {
    let place = Place::with(&["a", "b"], 40);
    let options = shares(Some(Share::Count(10)), Some(Share::Count(5)), Some(Share::Count(8)));
    let before = places(&place.load(&options).unwrap());
    let count = |set: &str, class: u8| before.iter().filter(|(key, of)| key.0 == class && **of == set).count();
    for class in [0, 1] {
        assert_eq!(["train", "validation", "test"].map(|set| count(set, class)), [10, 5, 8]);
    }
    (40..45).for_each(|i| place.put(&format!("a/{i}.png"), &png(4, 4, [i; 3])));
    let after = places(&place.load(&options).unwrap());
    let moved: Vec<_> =
        before.iter().filter_map(|(key, was)| Some((*was, *after.get(key)?))).filter(|(a, b)| a != b).collect();
    assert!(moved.iter().all(|pair| *pair != ("train", "test") && *pair != ("test", "train")), "{moved:?}");
    assert!(moved.len() <= 5, "{moved:?}");
    // Without a count for training, all remaining images are used, and none for validation.
    let rest = place.load(&shares(None, None, Some(Share::Count(8)))).unwrap();
    assert_eq!((rest.train.len(), rest.validation, rest.test.len()), (45 + 40 - 16, None, 16));
}

#[test]
fn folders_of_sets_are_taken_as_they_are() {
    for name in ["validation", "valid", "val"] {
        let place = Place::with(&["train/a", "train/b"], 9);
        (0..3).for_each(|i| place.put(&format!("test/a/{i}.png"), &png(2, 2, [i; 3])));
        (0..4).for_each(|i| place.put(&format!("test/b/{i}.png"), &png(2, 2, [i; 3])));
        (0..2).for_each(|i| place.put(&format!("{name}/{}/{i}.png", ["a", "b"][i as usize]), &png(2, 2, [i; 3])));
        let sets = place.load(&Options::default()).unwrap();
        assert_eq!((sets.train.len(), sets.validation.unwrap().len(), sets.test.len()), (18, 2, 7));
        let few = place.load(&shares(Some(Share::Count(5)), None, Some(Share::Count(2)))).unwrap();
        assert_eq!((few.train.len(), few.validation.unwrap().len(), few.test.len()), (10, 2, 4));
    }
    // A set without a folder is split from the training images.
    let place = Place::with(&["train/a", "train/b", "validation/a", "validation/b"], 9);
    let sets = place.load(&shares(None, None, Some(Share::Count(3)))).unwrap();
    assert_eq!((sets.train.len(), sets.validation.unwrap().len(), sets.test.len()), (12, 18, 6));
    // A folder called train that contains images is a class.
    let place = Place::with(&["train", "test"], 30);
    assert_eq!(place.load(&Options::default()).unwrap().train.names, ["test", "train"]);
}

#[test]
fn wrong_splits_are_refused() {
    let place = Place::with(&["a", "b"], 10);
    let (count, part) = (|n| Some(Share::Count(n)), |p| Some(Share::Part(p)));
    let cases = [
        (
            shares(count(8), count(2), count(2)),
            "class \"a\": expected 12 images for all sets, found 10; reduce the counts",
        ),
        (shares(count(8), part(0.1), count(2)), "validation: expected a count, because another set of these images"),
        (
            shares(count(8), None, None),
            "test: expected a count such as 500, because another set is given as a count, found none",
        ),
        (shares(count(0), None, count(1)), "train: expected at least 1 image of each class, found 0"),
        (shares(part(0.5), part(0.5), part(0.5)), "fractions of the images: expected a sum of at most 1, found 1.5"),
        (shares(None, None, part(0.0)), "test: expected at least 1 image of each class, found 0.0"),
        (shares(None, None, part(1e-6)), "class \"a\": test: expected 1 images, found 0; add images, or set other"),
        (shares(None, None, count(usize::MAX)), "images for all sets, found 10"),
    ];
    cases.iter().for_each(|(options, message)| place.refuses(options, &[message]));
    let place = Place::with(&["train/a", "train/b", "test/a", "test/b"], 4);
    place.refuses(&shares(None, None, count(5)), &["class \"a\": test: expected 5 images, found 4"]);
}
