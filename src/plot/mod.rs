//! Pictures of how a network does: curves of a training, a confusion matrix, filters and maps.
//!
//! All are on white, with their names and numbers in them. Colours are Okabe and Ito's where they tell things apart, and
//! viridis or blue to red where they show values: eyes of any kind of colour vision can read them.
//!
//! ```no_run
//! # fn main() -> lenslet::Result<()> {
//! use lenslet::{plot, train::RunFolder};
//!
//! let log = RunFolder::read_log("runs/lenet5-1")?;
//! plot::curves("lenet5 on mnist", &log)?.save("curves.png")?;
//! # Ok(())
//! # }
//! ```

mod canvas;
mod confusion;
mod curves;
mod series;
mod sheet;

pub use canvas::{Canvas, Ink};
pub use confusion::confusion;
pub use curves::curves;
pub use series::{Curves, Points, ticks};
pub use sheet::{Tiles, activations, filters, responses};

use canvas::{Align, BLACK, GREY};

/// Room above a drawing for its name and a line below it.
const HEAD: f32 = 64.0;

/// The name of what is drawn, and a line of numbers.
fn head(canvas: &mut Canvas, name: &str, numbers: &str) {
    let room = canvas.size()[0] as f32 / canvas::SCALE as f32 - 40.0;
    for (text, y, size, ink) in [(name, 22.0, 19.0, BLACK), (numbers, 45.0, 13.0, GREY)] {
        let text = canvas.cut(text, size, room);
        canvas.text(&text, [20.0, y], size, ink, Align::Left);
    }
}

/// Digits in groups of three.
fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group));
    groups.collect::<Vec<_>>().join(",")
}

/// Of one thing, or of several.
fn counted(n: u64, one: &str, several: &str) -> String {
    format!("{} {}", thousands(n), if n == 1 { one } else { several })
}
