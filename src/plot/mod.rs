//! Plots: training curves, confusion matrices, filters and feature maps.
//!
//! Plots have a white background and contain names and numbers. Categories have Okabe and Ito's colors, values have
//! viridis or a diverging blue-red map; all are readable with any kind of color vision.
//!
//! ```no_run
//! # fn main() -> lenslet::Result<()> {
//! use lenslet::plot;
//! use lenslet::runs::RunFolder;
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
pub use sheet::{Tiles, activations, filters, images, responses};

use canvas::{Align, BLACK, GRAY};

use crate::nn::thousands;

/// Height of the title and the line below it.
const HEAD: f32 = 64.0;

/// Draws the title and a line of numbers.
fn head(canvas: &mut Canvas, name: &str, numbers: &str) {
    let room = canvas.size()[0] as f32 / canvas::SCALE as f32 - 40.0;
    for (text, y, size, ink) in [(name, 22.0, 19.0, BLACK), (numbers, 45.0, 13.0, GRAY)] {
        let text = canvas.cut(text, size, room);
        canvas.text(&text, [20.0, y], size, ink, Align::Left);
    }
}

/// A count with its noun, singular or plural.
fn counted(n: u64, one: &str, several: &str) -> String {
    format!("{} {}", thousands(n), if n == 1 { one } else { several })
}

#[cfg(test)]
mod tests {
    use super::canvas::{BLUE, VERMILLION, WHITE};
    use super::*;
    use crate::infer::Evaluation;
    use crate::runs::LogLine;

    fn step(step: u64, loss: f64) -> LogLine {
        LogLine::Step { step, epoch: 1, loss, accuracy: 0.5, images_per_s: 1.0, learning_rate: 0.1 }
    }

    fn epoch(epoch: u32, step: u64, loss: f64, held_out: Option<f64>) -> LogLine {
        LogLine::Epoch {
            epoch,
            step,
            loss,
            accuracy: 0.5,
            validation_loss: held_out,
            validation_accuracy: held_out.map(|_| 0.6),
            seconds: 1.0,
            images_per_s: 1.0,
            learning_rate: 0.1,
            weights_sha256: String::new(),
        }
    }

    fn has(canvas: &Canvas, ink: Ink) -> bool {
        canvas.pixels().contains(&ink)
    }

    #[test]
    fn every_log_with_a_step_has_curves() {
        let refused = |log: &[LogLine]| curves("x", log).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused(&[]).contains("at least one step"));
        let both = curves("x", &[step(50, 2.0), step(100, 0.1), epoch(1, 100, 1.0, Some(0.5))]).unwrap();
        assert!(has(&both, BLUE) && has(&both, VERMILLION) && both.pixels()[0] == WHITE);
        let alone = curves("x", &[epoch(1, 7, 1.0, None)]).unwrap();
        assert!(has(&alone, BLUE) && !has(&alone, VERMILLION), "one epoch, nothing held out");
        for odd in [f64::NAN, f64::INFINITY, 0.0, -1.0, 1e300, 1e-300] {
            curves("x", &[step(1, odd)]).unwrap();
            curves("x", &[step(1, 1.0), step(2, odd), epoch(1, 2, odd, Some(odd))]).unwrap();
        }
        let long: Vec<LogLine> = (1..5000).map(|i| step(50 * i, 1.0 / i as f64)).collect();
        assert!(has(&curves(&"a long name ".repeat(50), &long).unwrap(), BLUE));
        assert!(Curves::of(&long).loss[0].len() <= 500);
    }

    fn evaluation(confusion: Vec<Vec<usize>>) -> Evaluation {
        Evaluation { loss: 0.1, accuracy: 0.9, confusion, ..Evaluation::default() }
    }

    #[test]
    fn a_matrix_of_any_size_is_drawn_and_cells_are_darker_the_larger_their_share() {
        for classes in [1, 2, 10, 16, 17, 32, 33, 256] {
            let row = |right: usize| (0..classes).map(|given| if right == given { 100 } else { given % 3 }).collect();
            let matrix: Vec<_> = (0..classes).map(row).collect();
            let names: Vec<String> = (0..classes).map(|i| format!("a class with a long name {i}")).collect();
            for names in [&[][..], &names] {
                let drawn = confusion("x", &evaluation(matrix.clone()), names).unwrap();
                assert!(drawn.size().iter().all(|side| (500..4000).contains(side)), "{classes}: {:?}", drawn.size());
            }
        }
        // Row percentages 90 : 10 and 0 : 0.
        let drawn = confusion("x", &evaluation(vec![vec![90, 10], vec![0, 0]]), &[]).unwrap();
        let [width, pixels] = [drawn.size()[0] as usize, canvas::SCALE as usize];
        // The cells start 84 units from the left and 112 from the top; a cell is 76 wide.
        let corner = |row: usize, column: usize| {
            drawn.pixels()[(112 + 76 * row + 4) * pixels * width + (84 + 76 * column + 4) * pixels]
        };
        let light = |[r, g, b]: Ink| u32::from(r) + u32::from(g) + u32::from(b);
        assert!(light(corner(0, 0)) < light(corner(0, 1)) && corner(0, 1) != WHITE);
        assert_eq!([corner(1, 0), corner(1, 1)], [WHITE; 2]);
        for wrong in [vec![], vec![vec![1, 2]]] {
            assert!(confusion("x", &evaluation(wrong), &[]).is_err());
        }
        assert!(confusion("x", &evaluation(vec![vec![1]]), &["a".into(), "b".into()]).is_err());
    }

    #[test]
    fn filters_and_maps_of_any_shape_are_drawn() {
        for shape in
            [[6, 1, 5, 5], [16, 6, 5, 5], [8, 3, 7, 7], [1, 1, 1, 1], [64, 64, 3, 3], [512, 1, 3, 3], [2, 2000, 1, 1]]
        {
            let count = shape.iter().product::<usize>();
            let values: Vec<f32> = (0..count).map(|i| (i % 7) as f32 - 3.0).collect();
            let drawn = filters("x", "conv", &values, 0..count, &shape.into()).unwrap();
            assert!(drawn.size()[1] < 4000, "{shape:?}: {:?}", drawn.size());
            assert!(filters("x", "conv", &values, 1..count + 1, &shape.into()).is_err());
        }
        let tiles = |name: &str, shape: &[usize], value: f32| {
            let values = vec![value; shape.iter().product()];
            Tiles { name: name.into(), values, shape: shape.to_vec().into() }
        };
        for channels in [1, 2, 3] {
            let image = tiles("image", &[1, channels, 30, 20], 0.5);
            let layers = [
                tiles("conv", &[1, 5, 9, 300], f32::NAN),
                tiles("many", &[1, 2000, 2, 2], 0.0),
                tiles("dense", &[1, 3000], -1.0),
            ];
            assert!(responses("x", &image, &layers).unwrap().size()[1] < 8000);
            assert!(activations("x", &image, &layers).unwrap().size()[1] < 4000);
            assert!(responses("x", &image, &layers[2..]).is_err());
        }
    }
}
