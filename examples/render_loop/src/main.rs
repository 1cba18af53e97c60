//! A network in a render loop: `cargo run --release -p render_loop`

use std::path::PathBuf;
use std::process::ExitCode;

use render_loop::{run_headless, run_in_window};

const USAGE: &str = "usage: render_loop [--headless] [--frames N] [--image FILE.png] [--help]

Opens a window with a turning digit and a network that learns to recognize it from what is drawn.

  --headless          draw into a texture instead, 600 frames unless --frames says how many
  --frames N          end after N frames
  --image FILE.png  save the last of these frames
";

/// Command-line options.
#[derive(Default)]
struct Options {
    headless: bool,
    frames: Option<u32>,
    image: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Some(Options { headless, frames, image }) = parse(std::env::args().skip(1)) else {
        print!("{USAGE}");
        return ExitCode::from(2);
    };
    let outcome = match headless {
        true => run_headless(frames.unwrap_or(600), image.as_deref()),
        false => run_in_window(frames, image),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("render_loop: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Parses the arguments after the program's name; `None` if they are invalid.
fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--headless" => options.headless = true,
            "--frames" => options.frames = Some(arguments.next()?.parse().ok()?),
            "--image" => options.image = Some(arguments.next()?.into()),
            _ => return None,
        }
    }
    Some(options)
}
