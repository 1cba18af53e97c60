//! A graph as text and as a DOT drawing.

use std::fmt;

use crate::graph::{Graph, Node, Source};

impl fmt::Display for Graph {
    /// One line a node: `%3 = relu(%2) f32[64, 6, 28, 28] "conv1"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for id in self.ids() {
            let node = self.node(id);
            write!(f, "%{} = {} {}", id.index(), describe(node), node.ty)?;
            if !node.name.is_empty() {
                write!(f, " {:?}", node.name)?;
            }
            writeln!(f)?;
        }
        if !self.outputs().is_empty() {
            let outputs: Vec<_> = self.outputs().iter().map(|o| format!("%{}", o.index())).collect();
            writeln!(f, "outputs {}", outputs.join(" "))?;
        }
        Ok(())
    }
}

impl Graph {
    /// The graph in Graphviz's DOT language.
    pub fn to_dot(&self) -> String {
        let mut dot = String::from("digraph {\n  node [shape=box, fontname=monospace];\n");
        for id in self.ids() {
            let node = self.node(id);
            let label = format!("{}\n{}\n{}", node.name, describe(node), node.ty).replace('"', "'");
            dot.push_str(&format!("  n{} [label={label:?}];\n", id.index()));
            for input in node.inputs() {
                dot.push_str(&format!("  n{} -> n{};\n", input.index(), id.index()));
            }
        }
        dot.push_str("}\n");
        dot
    }
}

fn describe(node: &Node) -> String {
    match &node.source {
        Source::Input => "input".into(),
        Source::Variable => "variable".into(),
        Source::Constant(_) => "constant".into(),
        Source::Op { op, inputs } => {
            let operands: Vec<_> = inputs.iter().map(|i| format!("%{}", i.index())).collect();
            let debug = format!("{op:?}");
            let attributes = debug.find([' ', '(']).map_or("", |at| debug[at..].trim());
            let space = if attributes.is_empty() { "" } else { " " };
            format!("{}({}){space}{attributes}", op.name(), operands.join(", "))
        }
    }
}
