//! The command line.

use std::io;
use std::process::{self, Command};
use std::time::{Duration, Instant};

pub const USAGE: &str = "usage: draw_digit [FOLDER] [--status] [--help]

Opens a window: draw a digit with the mouse, see the probabilities of the ten classes, the filters of LeNet-5 and what
they find, and train it meanwhile.

  FOLDER      a folder that holds model.safetensors, as `lenslet train` and the Save button leave one
  --status    print a JSON object a second on standard output: figures, and where things are in the window
";

/// A device that is lost sooner is not worth another try.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// What the program is started with.
#[derive(Clone, Default)]
pub struct Options {
    pub folder: Option<String>,
    pub status: bool,
    /// Why the device before this one was lost: said by the program to itself.
    pub lost: Option<String>,
}

impl Options {
    /// The arguments after the program's name; `None` asks for help.
    ///
    /// Errors: the first argument that is not known.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self::default();
        for argument in arguments {
            match argument.as_str() {
                "-h" | "--help" => return Ok(None),
                "--status" => options.status = true,
                other => match other.strip_prefix("--lost=") {
                    Some(reason) => options.lost = Some(reason.into()),
                    None if !other.starts_with('-') && options.folder.is_none() => options.folder = Some(argument),
                    None => return Err(argument),
                },
            }
        }
        Ok(Some(options))
    }

    /// Ends this program, whose window was `opened` then, and starts it anew with these options.
    pub fn start_again(&self, opened: Instant) -> ! {
        let lost = self.lost.as_deref().unwrap_or_default();
        if opened.elapsed() < AGAIN_AFTER {
            eprintln!("draw_digit: the device was lost at once: {lost}");
            process::exit(1);
        }
        let failed = |error: io::Error| -> ! {
            eprintln!("draw_digit: the device was lost ({lost}), and the program cannot start again: {error}");
            process::exit(1);
        };
        let program = std::env::current_exe().unwrap_or_else(|error| failed(error));
        let mut command = Command::new(program);
        command.args(&self.folder).args(self.status.then_some("--status")).arg(format!("--lost={lost}"));
        match replace(&mut command) {
            Ok(()) => process::exit(0),
            Err(error) => failed(error),
        }
    }
}

/// Runs a program in place of this one, which keeps its terminal; returns only what went wrong.
#[cfg(unix)]
fn replace(command: &mut Command) -> io::Result<()> {
    Err(std::os::unix::process::CommandExt::exec(command))
}

/// Runs a program beside this one, which is to end.
#[cfg(not(unix))]
fn replace(command: &mut Command) -> io::Result<()> {
    command.spawn().map(drop)
}
