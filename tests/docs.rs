//! The guide in docs/: every command of its pages runs, one after the other, in a folder that a page begins with.

#[allow(dead_code)]
#[path = "common/pictures.rs"]
mod pictures;
#[allow(dead_code)]
#[path = "cli/place.rs"]
mod place;

use std::fs;
use std::path::{Path, PathBuf};

use place::{Place, succeeded, write_data};

/// A fenced block: its words after the fence, and its lines.
struct Block {
    info: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut all = vec![];
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let text = lines.by_ref().take_while(|line| !line.starts_with("```"));
            all.push(Block { info: info.trim().into(), text: text.map(|line| format!("{line}\n")).collect() });
        }
    }
    all
}

/// What a block is to a reader: commands for a shell, a file to write (```` ```toml net.toml ````), or something to look at.
fn follow(place: &Place, page: &Path, block: &Block) -> usize {
    match block.info.split_once(' ') {
        Some((_, file)) => {
            fs::write(place.path(file), &block.text).unwrap();
            0
        }
        None if block.info == "sh" => {
            let joined = block.text.replace("\\\n", " ");
            let commands = joined.lines().filter_map(|line| line.split(" #").next().map(str::trim));
            let commands: Vec<&str> = commands.filter(|command| !command.is_empty()).collect();
            commands.iter().for_each(|command| run(place, page, command));
            commands.len()
        }
        None => 0,
    }
}

fn run(place: &Place, page: &Path, command: &str) {
    // How lenslet itself is installed, and programs of others.
    if ["cargo ", "git ", "tensorboard "].iter().any(|other| command.starts_with(other)) {
        return;
    }
    let arguments = command.strip_prefix("lenslet ");
    let arguments = arguments.unwrap_or_else(|| panic!("{}: {command:?} is no command of lenslet", page.display()));
    let mut process = place.command(arguments);
    // On a small set, on the device that is quick with small sets.
    process.env("LENSLET_DEVICE", "cpu").env("LENSLET_ASSETS", place.path("assets"));
    succeeded(&format!("{}: {command}", page.display()), process.output().unwrap());
}

/// Class folders for ten classes.
fn write_pictures(folder: &Path) {
    let (pixels, labels) = pictures::pictures(300, [1, 28, 28], 10);
    for (i, (pixels, label)) in pixels.chunks(28 * 28).zip(labels).enumerate() {
        let class = folder.join(format!("class {label}"));
        fs::create_dir_all(&class).unwrap();
        image::save_buffer(class.join(format!("{i}.png")), pixels, 28, 28, image::ColorType::L8).unwrap();
    }
}

/// What pages use of the files beside them.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

#[test]
fn every_command_of_the_guide_runs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut pages: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    assert!(!pages.is_empty());
    for page in pages {
        let place = Place::new();
        write_data(&place.path("assets/mnist"));
        write_pictures(&place.path("pictures"));
        copy(page.parent().unwrap(), &place.path("docs"));
        let text = fs::read_to_string(&page).unwrap();
        let commands: usize = blocks(&text).iter().map(|block| follow(&place, &page, block)).sum();
        assert!(commands > 0, "{} has no command", page.display());
    }
}
