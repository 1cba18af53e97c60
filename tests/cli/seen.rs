//! Plots of runs, and predictions for image files.

use std::fs;

use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};

use crate::pictures;
use crate::place::{Place, has, objects, texts};

/// Okabe and Ito's blue and vermillion, the colors of training and validation.
const BLUE: Rgb<u8> = Rgb([0, 114, 178]);
const VERMILLION: Rgb<u8> = Rgb([213, 94, 0]);

fn png(place: &Place, name: &str) -> RgbImage {
    image::open(place.path(name)).unwrap_or_else(|error| panic!("{name}: {error}")).to_rgb8()
}

/// A run that has learned to locate the bright bar.
fn trained() -> Place {
    let place = Place::new();
    place.succeeds("train --data data --device cpu --epochs 6 --batch-size 16 --lr 0.02 --out run");
    place
}

/// Writes the first image of class `class` to a file, in the format of its extension.
fn write_image(place: &Place, name: &str, class: usize, change: impl Fn(u8) -> u8) {
    let (pixels, _) = pictures::pictures(10, [1, 28, 28], 10);
    let image = GrayImage::from_fn(28, 28, |x, y| Luma([change(pixels[class * 784 + (y * 28 + x) as usize])]));
    let image = DynamicImage::from(image);
    // Some formats have no images of one channel.
    let is_gray = name.ends_with("png") || name.ends_with("jpg");
    let image = if is_gray { image } else { image.to_rgba8().into() };
    image.save(place.path(name)).unwrap();
}

#[test]
fn a_run_is_drawn_at_its_end_and_by_view() {
    let place = trained();
    let curves = png(&place, "run/curves.png");
    assert_eq!(curves.dimensions(), (1760, 1440));
    for ink in [BLUE, VERMILLION] {
        assert!(curves.pixels().filter(|pixel| **pixel == ink).count() > 500, "{ink:?}");
    }
    let confusion = png(&place, "run/confusion.png");
    assert_eq!(confusion.get_pixel(0, 0), &Rgb([255; 3]));
    // All test images of class 3 are classified correctly, so the cell has the color map's darkest color.
    let first_cell = [84, 112].map(|v| 2 * (v + 3 * 54 + 4));
    assert_eq!(confusion.get_pixel(first_cell[0], first_cell[1]), &Rgb([68, 1, 84]));

    for what in ["curves", "confusion", "filters", "responses", "activations"] {
        let line = &place.json(&format!("view run {what} --device cpu --out {what}.png --json"))[0];
        assert_eq!((&line["view"], &line["file"]), (&what.into(), &format!("{what}.png").into()));
        let size = png(&place, &format!("{what}.png")).dimensions();
        assert_eq!((&line["width"], &line["height"]), (&size.0.into(), &size.1.into()));
    }
    for same in ["curves", "confusion"] {
        assert_eq!(
            fs::read(place.path(&format!("{same}.png"))).unwrap(),
            fs::read(place.path(&format!("run/{same}.png"))).unwrap()
        );
    }
    let [text, _] = place.succeeds("view run curves");
    for part in ["lenet5 on data", "loss", "accuracy", "training", "held out", "steps"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains('\u{1b}'), "colors are for terminals: {text:?}");

    write_image(&place, "four.png", 4, |v| v);
    place.succeeds("view run responses --device cpu --image four.png --out maps.png");
    place.succeeds("view run filters --layer conv2 --out filters2.png");
    let parts = ["--layer", "conv1, conv2", "found fc1"];
    place.refuses("view run filters --layer fc1 --out filters3.png", 2, &parts);
}

#[test]
fn runs_that_are_not_whole_are_drawn_as_far_as_they_go_or_refused() {
    let place = Place::new();
    place.succeeds("train --data data --device cpu --steps 3 --validation 0 --out run");
    let log = place.path("run/log.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    fs::write(&log, &text[..text.len() - 9]).unwrap();
    place.succeeds("view run curves --out cut.png");
    assert!(!png(&place, "cut.png").pixels().any(|pixel| *pixel == VERMILLION), "nothing is held out");
    fs::write(&log, text.replace("\"loss\":2", "\"loss\":null,\"was\":2")).unwrap();
    place.succeeds("view run curves --out nan.png");

    fs::write(&log, "").unwrap();
    for options in ["", " --out x.png"] {
        place.refuses(&format!("view run curves{options}"), 1, &["log.jsonl", "at least one step"]);
    }
    fs::write(&log, "{}\n").unwrap();
    place.refuses("view run curves --out x.png", 1, &["log.jsonl", "line 1"]);
    fs::remove_file(&log).unwrap();
    place.refuses("view run curves --out x.png", 1, &["log.jsonl", "cannot read"]);
    fs::remove_file(place.path("run/model.safetensors")).unwrap();
    for what in ["confusion", "filters", "responses", "activations"] {
        place.refuses(&format!("view run {what} --device cpu --out x.png"), 1, &["model.safetensors", "cannot read"]);
        place.refuses(&format!("view run {what}"), 2, &["--out", "PNG"]);
    }
    place.refuses("predict run x.png --device cpu", 1, &["model.safetensors", "cannot read"]);
    place.refuses("view run curves --out x.jpg", 2, &["--out", ".png", "x.jpg"]);
    place.refuses("view run curves --json", 2, &["--out"]);
    place.refuses("view run weights --out x.png", 2, &["weights", "curves"]);
    place.refuses("view no-run curves", 1, &["config.toml", "cannot read"]);
}

#[test]
fn images_of_any_format_have_their_classes() {
    let place = trained();
    let names: Vec<String> =
        ["png", "bmp", "webp", "jpg", "gif"].iter().map(|format| format!("seven.{format}")).collect();
    names.iter().for_each(|name| write_image(&place, name, 7, |v| v));
    let lines = place.json(&format!("predict run {} --grey --top 10 --device cpu --json", names.join(" ")));
    for (line, name) in lines.iter().zip(&names) {
        has(line, &["file", "classes"]);
        let classes = line["classes"].as_array().unwrap();
        assert_eq!((&line["file"], &classes[0]["class"], classes.len()), (&name.as_str().into(), &7.into(), 10));
        let probabilities: Vec<f64> = classes.iter().map(|class| class["probability"].as_f64().unwrap()).collect();
        assert!(probabilities.is_sorted_by(|a, b| a >= b), "{line}");
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{line}");
    }
    assert_eq!(lines.len(), names.len());
    assert!(lines[..3].iter().all(|line| line["classes"] == lines[0]["classes"]), "of formats that lose nothing");

    // Dark on bright differs from the training images, unless `--invert` is given.
    write_image(&place, "dark.png", 7, |v| 255 - v);
    let of = |options: &str| place.json(&format!("predict run dark.png --device cpu --json {options}"))[0].clone();
    assert_eq!(of("--invert")["classes"][0]["class"], 7);
    assert_ne!(of("--invert")["classes"], of("")["classes"]);

    let [text, _] = place.succeeds("predict run seven.png dark.png --top 1 --device cpu");
    let rows: Vec<&str> = text.lines().collect();
    assert!(rows.len() == 2 && rows[0].starts_with("seven.png  7 ") && rows[0].ends_with(" %"), "{text}");
}

#[test]
fn bad_images_are_named_and_the_others_predicted() {
    let place = trained();
    write_image(&place, "five.png", 5, |v| v);
    let whole = fs::read(place.path("five.png")).unwrap();
    fs::write(place.path("cut.png"), &whole[..whole.len() / 2]).unwrap();
    fs::write(place.path("words.jpg"), "no image").unwrap();
    fs::write(place.path("empty.gif"), "").unwrap();
    RgbImage::from_pixel(40, 30, Rgb([200, 10, 10])).save(place.path("red.png")).unwrap();

    let arguments = "predict run words.jpg five.png cut.png missing.png empty.gif red.png --device cpu --json";
    let output = place.run(arguments);
    let [out, err] = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{err}");
    let lines = objects(&out);
    assert_eq!((lines.len(), &lines[0]["classes"][0]["class"]), (1, &5.into()), "{out}");
    for part in
        ["words.jpg: ", "cut.png: ", "missing.png: cannot read", "empty.gif: ", "red.png: a color image", "--grey"]
    {
        assert!(err.contains(part), "{err} lacks {part}");
    }
    assert!(err.contains("error: 5 of 6 images") && !err.contains("panicked"), "{err}");

    for resize in ["stretch", "crop", "pad --background white"] {
        place.succeeds(&format!("predict run red.png --grey --resize {resize} --device cpu"));
    }
    place.refuses("predict run five.png --resize tile", 2, &["--resize", "stretch, crop or pad"]);
    place.refuses("predict run five.png --background red", 2, &["--background", "#rrggbb"]);
    place.refuses("predict run five.png --top 0", 2, &["--top"]);
    place.refuses("predict run", 2, &["IMAGE"]);
}

/// Runs the commands of the page as they stand, with little training.
#[test]
fn the_first_run_of_the_guide_works() {
    let place = Place::new();
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
    fs::create_dir(place.path("docs")).unwrap();
    fs::copy(format!("{docs}/seven.png"), place.path("docs/seven.png")).unwrap();
    let page = fs::read_to_string(format!("{docs}/first-run.md")).unwrap();
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let commands: Vec<&str> = blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix("lenslet ")).collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for command in commands {
        let command = command.split('#').next().unwrap_or_default().trim();
        let little = if command.starts_with("train") { " --steps 40 --validation 100" } else { "" };
        let arguments = format!("{command}{little}");
        let output = place.command(&arguments).env("LENSLET_DEVICE", "cpu").output().unwrap();
        crate::place::succeeded(&arguments, output);
    }
}
