//! Command-line options.

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

/// If the device is lost again within this time, the program does not restart.
pub const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Command-line options.
#[derive(Clone, Default)]
pub struct Options {
    /// The folder to load weights from and save them to.
    pub folder: Option<String>,
    pub status: bool,
    /// The reason why the previous device was lost; set when the program restarts itself.
    pub lost: Option<String>,
    /// The checkpoint file of the previous device's training.
    pub checkpoint: Option<PathBuf>,
    /// Whether the training was running.
    pub training: bool,
}

impl Options {
    /// Parses the arguments after the program's name; `None` if help is requested.
    ///
    /// Errors: the first unknown argument.
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

    /// Restarts the program with these options.
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

/// Replaces this process, keeping its terminal. Returns only on failure.
#[cfg(unix)]
fn replace(command: &mut Command) -> io::Result<()> {
    Err(std::os::unix::process::CommandExt::exec(command))
}

/// Starts a new process; this one is about to exit.
#[cfg(not(unix))]
fn replace(command: &mut Command) -> io::Result<()> {
    command.spawn().map(drop)
}
