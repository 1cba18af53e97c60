//! A network as a table.

use std::fmt;

use serde::Serialize;

use crate::Result;
use crate::graph::Graph;
use crate::nn::build::Build;
use crate::nn::layout::Layout;
use crate::nn::model::Model;
use crate::nn::row::Row;
use crate::shape::Shape;

/// The table of a network's layers.
#[derive(Clone, PartialEq, Debug)]
pub struct Summary {
    /// The network's name.
    pub model: String,
    /// The shape of one input.
    pub input: Shape,
    /// The shape of its output for one input.
    pub output: Shape,
    /// The layers. An activation belongs to the layer before it.
    pub rows: Vec<Row>,
    /// Parameters of the whole network.
    pub parameters: usize,
    /// Those that training changes by their gradients. Running averages and frozen parameters are the others.
    pub trainable: usize,
    /// Multiply-adds of one image, forward.
    pub multiply_adds: u64,
}

/// The last line of a summary as JSON: `{"event": "total", ..}`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(tag = "event", rename = "total")]
pub struct Total {
    /// Parameters of the whole network.
    pub parameters: usize,
    /// Those that training changes.
    pub trainable: usize,
    /// Multiply-adds of one image, forward.
    pub multiply_adds: u64,
}

impl Summary {
    /// The summary of a network.
    ///
    /// Errors: those of its layers.
    pub fn of(model: &dyn Model) -> Result<Self> {
        let mut graph = Graph::new();
        let mut build = Build::declare(&mut graph);
        let y = build.run(model)?;
        let rows = build.finish().rows;
        let output = graph.shape(y).iter().skip(1).copied().collect::<Vec<_>>().into();
        let multiply_adds = graph.ids().map(|id| graph.traits(id).multiply_adds).sum();
        let layout = Layout::of(model)?;
        let (parameters, trainable) = (layout.count(), layout.trainable());
        let (model, input) = (model.name().to_string(), model.input());
        Ok(Self { model, input, output, rows, parameters, trainable, multiply_adds })
    }

    /// The totals.
    pub fn total(&self) -> Total {
        Total { parameters: self.parameters, trainable: self.trainable, multiply_adds: self.multiply_adds }
    }
}

impl fmt::Display for Summary {
    /// An aligned table: a line for the network, one a layer, the totals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["layer", "kind", "output", "parameters", "receptive field", "multiply-adds"].map(String::from);
        let rows = self.rows.iter().map(|row| {
            let field = row.receptive_field.map_or("-".into(), |field| extents(&field));
            let [parameters, multiply_adds] = [row.parameters as u64, row.multiply_adds].map(thousands);
            let kind = match row.reads.join(", ") {
                reads if reads.is_empty() => row.kind.clone(),
                reads => format!("{} of {reads}", row.kind),
            };
            [row.layer.clone(), kind, extents(&row.output), parameters, field, multiply_adds]
        });
        let total = |what: &str, parameters: usize, multiply_adds: String| {
            [what.into(), String::new(), String::new(), thousands(parameters as u64), String::new(), multiply_adds]
        };
        let totals = [
            total("total", self.parameters, thousands(self.multiply_adds)),
            total("trainable", self.trainable, String::new()),
            total("non-trainable", self.parameters - self.trainable, String::new()),
        ];
        let layers = rows.len();
        let table: Vec<[String; 6]> = std::iter::once(header).chain(rows).chain(totals).collect();
        let width: [usize; 6] =
            std::array::from_fn(|column| table.iter().map(|row| row[column].len()).max().unwrap_or(0));

        writeln!(f, "{}, input {}", self.model, extents(&self.input))?;
        for (i, row) in table.iter().enumerate() {
            if i == 1 || i == layers + 1 {
                writeln!(f, "{}", "-".repeat(width.iter().sum::<usize>() + 2 * (width.len() - 1)))?;
            }
            // Words to the left, numbers to the right.
            let cells = row.iter().zip(width).enumerate().map(|(column, (cell, width))| match column {
                0 | 1 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// `64x22x22`.
fn extents(shape: &[usize]) -> String {
    shape.iter().map(|&n| thousands(n as u64)).collect::<Vec<_>>().join("x")
}

/// A number with a comma between each three digits.
#[doc(hidden)]
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let (head, rest) = digits.split_at((digits.len() - 1) % 3 + 1);
    rest.as_bytes().chunks(3).fold(head.to_string(), |text, three| text + "," + &String::from_utf8_lossy(three))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Layer, Sequential};
    use crate::{NodeId, Padding};

    #[test]
    fn thousands_are_thousands() {
        let found = [0, 7, 999, 1000, 93_322, 123_456, 1_000_000].map(thousands);
        assert_eq!(found, ["0", "7", "999", "1,000", "93,322", "123,456", "1,000,000"]);
    }

    #[test]
    fn rows_are_what_the_command_line_promises_as_json() {
        let summary = Summary::of(&Sequential::new([1, 8, 8]).conv2d(2, 3).relu().flatten().dense(10)).unwrap();
        assert_eq!(
            serde_json::to_string(&summary.rows[0]).unwrap(),
            r#"{"layer":"conv1","kind":"conv2d 3x3 relu","output":[2,6,6],"parameters":20,"trainable":20,"receptive_field":[3,3],"multiply_adds":648}"#
        );
        assert_eq!(
            serde_json::to_string(&summary.total()).unwrap(),
            r#"{"event":"total","parameters":750,"trainable":750,"multiply_adds":1368}"#
        );
    }

    #[test]
    fn receptive_fields_grow_with_stride_and_dilation_up_to_the_image() {
        let model = Sequential::new([1, 40, 20])
            .conv2d(1, 3)
            .dilation([2, 1])
            .padding(Padding::Same)
            .max_pool2d(3)
            .stride([2, 1])
            .conv2d(1, [3, 5])
            .padding(Padding::Same)
            .conv2d(1, [5, 13])
            .padding(Padding::Same)
            .flatten()
            .dense(2);
        let fields: Vec<_> = Summary::of(&model).unwrap().rows.iter().map(|r| r.receptive_field.unwrap()).collect();
        assert_eq!(fields, [[5, 3], [7, 5], [11, 9], [19, 20], [19, 20], [40, 20]]);
        let vector = Summary::of(&Sequential::new([64]).dense(3)).unwrap();
        assert_eq!(vector.rows[0].receptive_field, None);
    }

    /// Two branches of different reach, joined by a plain operation.
    struct Branches;

    impl Model for Branches {
        fn name(&self) -> &str {
            "branches"
        }
        fn input(&self) -> Shape {
            [1, 16, 16].into()
        }
        fn forward(&self, b: &mut Build<'_>, x: NodeId) -> Result<NodeId> {
            let near = Layer::conv2d(1, 3).padding(1).apply(b, "near", x)?;
            let far = Layer::conv2d(1, 7).padding(3).apply(b, "far", x)?;
            let both = b.graph.sub(near, far)?;
            Layer::conv2d(2, 3).apply(b, "last", both)
        }
    }

    #[test]
    fn where_branches_meet_the_widest_counts() {
        let summary = Summary::of(&Branches).unwrap();
        let fields: Vec<_> = summary.rows.iter().map(|r| r.receptive_field.unwrap()).collect();
        assert_eq!(fields, [[3, 3], [7, 7], [9, 9]]);
    }

    #[test]
    fn the_table_is_aligned() {
        let table = Summary::of(&crate::models::convnet()).unwrap().to_string();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0], "convnet, input 1x28x28");
        assert!(lines[3].starts_with("conv1 ") && lines[3].contains("32x26x26") && lines[3].contains("3x3"), "{table}");
        let end = lines[3].rfind("194,688").expect("multiply-adds of conv1") + "194,688".len();
        assert!(lines[3..10].iter().all(|line| line.len() == end), "{table}");
        assert!(table.contains("total") && table.contains("93,322") && table.contains("trainable"), "{table}");
    }
}
