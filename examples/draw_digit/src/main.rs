//! A window to draw digits in, with a network that classifies them and is trained at the same time.
//!
//! The window and the network share one device: the drawing is a texture that a kernel of lenslet reads, and the
//! network's outputs are textures and a buffer that the window draws. Nothing is copied through the host.

mod app;
mod canvas;
mod device;
mod frames;
mod images;
mod layers;
mod network;
mod options;
mod panels;
mod status;
mod theme;
mod training;

use std::process::ExitCode;

use app::App;
use options::{Options, USAGE};

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(argument) => {
            eprint!("draw_digit: unexpected argument '{argument}'\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let make: eframe::AppCreator<'_> = Box::new(|context| Ok(Box::new(App::new(context, options)?)));
    match eframe::run_native("lenslet: draw a digit", device::options(), make) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("draw_digit: {error}");
            ExitCode::FAILURE
        }
    }
}
