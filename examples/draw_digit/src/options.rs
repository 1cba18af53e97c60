//! The command line.

use std::io;
use std::path::PathBuf;
use std::process::{self, Command};
use std::time::Duration;

pub const USAGE: &str = "usage: draw_digit [FOLDER] [--status] [--help]

Opens a window: draw a digit with the mouse, see the probabilities of the ten classes, the filters of LeNet-5 and what
they find, and train it meanwhile.

  FOLDER      a folder that holds model.safetensors, as `lenslet train` and the Save button leave one
  --status    print a JSON object a second on standard output: figures, and where things are in the window; a line
              'lose' on standard input destroys the device
";

/// A new device that is lost sooner too is not worth another try.
pub const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// What the program is started with.
#[derive(Clone, Default)]
pub struct Options {
    /// Where weights are, and where they are saved.
    pub folder: Option<String>,
    pub status: bool,
    /// Why the device before this one was lost: said by the program to itself.
    pub lost: Option<String>,
    /// What training had learned on it, in a file.
    pub checkpoint: Option<PathBuf>,
    /// Whether it was training.
    pub training: bool,
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
                "--training" => options.training = true,
                other => match (other.strip_prefix("--lost="), other.strip_prefix("--checkpoint=")) {
                    (Some(reason), _) => options.lost = Some(reason.into()),
                    (_, Some(file)) => options.checkpoint = Some(file.into()),
                    _ if !other.starts_with('-') && options.folder.is_none() => options.folder = Some(argument),
                    _ => return Err(argument),
                },
            }
        }
        Ok(Some(options))
    }

    /// Ends this program and starts it anew with these options.
    pub fn start_again(&self) -> ! {
        let lost = self.lost.as_deref().unwrap_or_default();
        let failed = |error: io::Error| -> ! {
            eprintln!("draw_digit: the device was lost ({lost}), and the program cannot start again: {error}");
            process::exit(1);
        };
        let program = std::env::current_exe().unwrap_or_else(|error| failed(error));
        let mut command = Command::new(program);
        command.args(&self.folder).arg(format!("--lost={lost}"));
        command.args(self.status.then_some("--status")).args(self.training.then_some("--training"));
        command.args(self.checkpoint.as_ref().map(|file| format!("--checkpoint={}", file.display())));
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
