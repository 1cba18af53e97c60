//! Values computed where they are loaded: a kernel that reads `x[i]` calls a function for element `i` instead, taken from
//! the shader that would have filled `x`. Of a shader that also has `value_at(plane, row, column)`, `x[at(a, b, c)]` calls
//! that: what planes have in common is then computed once for many of them, and nothing is divided. Where `x` holds quads,
//! `x[i]` becomes four calls.

use std::collections::HashMap;

use crate::kernel::line::{self, Declaration, rename};
use crate::kernel::storage::{closing, floats, next_access};
use crate::kernel::{Binding, Dispatch, Operand};

/// The functions of a shader that compute one element of what it writes, by its number and by its place in a plane.
const VALUE: [&str; 2] = ["value", "value_at"];

/// An operand that a kernel computes element by element where it reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Inlined {
    /// The binding of the file that is left out.
    number: usize,
    /// What would have filled it.
    of: Dispatch,
    /// The first binding of its own; the others follow.
    first: usize,
}

impl Dispatch {
    /// Whether its shader says what one element of the output is: by a function `value(i)`.
    pub fn has_value(&self) -> bool {
        self.shader.file().has_value
    }

    /// The dispatch with its operands called otherwise.
    pub fn with_operands(mut self, rename: impl Fn(Operand) -> Operand) -> Self {
        self.bindings.iter_mut().for_each(|binding| binding.operand = rename(binding.operand));
        self
    }

    /// With every element of `operand` computed by the function `value` of the dispatch `of` where it is read. `None` if it
    /// is not read as floats or quads of them, or `of` has no such function.
    pub fn computes(mut self, operand: Operand, of: &Dispatch) -> Option<Self> {
        if self.is_opaque() && self.bindings.iter().any(|b| b.operand == operand) {
            return None;
        }
        while let Some(at) = self.bindings.iter().position(|b| b.operand == operand) {
            let Binding { number, writes, .. } = self.bindings[at];
            let (name, _) = floats(self.shader.source, number)?;
            if writes || self.shader.source.contains(&format!("&{name}")) || !of.has_value() {
                return None;
            }
            self.bindings.remove(at);
            let first = self.bindings.iter().map(|b| b.number + 1).fold(self.declared(), usize::max);
            let read = of.bindings.iter().filter(|b| !b.writes).enumerate();
            self.bindings.extend(read.map(|(next, b)| Binding { number: first + next, ..*b }));
            self.inlined.push(Inlined { number, of: of.clone(), first });
        }
        Some(self)
    }
}

impl Inlined {
    /// The numbers of its own bindings.
    fn numbers(&self) -> impl Iterator<Item = (usize, usize)> {
        let read = self.of.bindings.iter().filter(|b| !b.writes);
        read.enumerate().map(|(next, b)| (self.first + next, b.number))
    }

    /// Whether a binding is its own.
    pub(super) fn has(&self, number: usize) -> bool {
        self.own(number).is_some()
    }

    /// The binding of its own file that has this number here.
    fn own(&self, number: usize) -> Option<usize> {
        self.numbers().find(|(here, _)| *here == number).map(|(_, own)| own)
    }

    /// Whether a binding of its own can be stored as halves.
    pub(super) fn takes_halves(&self, number: usize) -> bool {
        self.own(number).is_some_and(|own| self.of.takes_halves(own))
    }

    /// The type of a binding of its own.
    pub(super) fn declared_type(&self, number: usize) -> Option<&'static str> {
        self.own(number).map(|own| self.of.declared_type(own))
    }

    /// `text`, of the kernel, with the function and its bindings in the place of the binding; `value` is the text of the
    /// shader it comes from. `None` if either is written otherwise than the loader can follow.
    pub(super) fn insert(&self, text: &str, value: &str) -> Option<String> {
        let (name, element) = floats(text, self.number)?;
        // Comments show accesses too.
        let code = text.lines().filter(|line| !line::binds(line, self.number));
        let code = code.map(line::code);
        let mut out = String::with_capacity(text.len() + value.len());
        let functions = VALUE.map(|function| format!("{function}_{}", self.number));
        let by_place = value.lines().any(|line| line.starts_with("fn value_at("));
        let (of_one, of_quad) = (&functions[0], format!("quad_{}", self.number));
        let calls = match element {
            "f32" => Calls { name, value: of_one, value_at: by_place.then_some(&functions[1]) },
            _ => Calls { name, value: &of_quad, value_at: None },
        };
        // Before the entry point, where a kernel that computes this one in its turn looks for functions.
        let own: Vec<&str> = value.lines().take_while(|line| !line.starts_with("@compute")).collect();
        let names = own.iter().filter_map(|line| Declaration::of(line)).map(|declared| declared.name);
        let names: HashMap<&str, String> = names.map(|name| (name, format!("{name}_{}", self.number))).collect();
        for line in own.into_iter().filter(|line| !line.starts_with("//")) {
            let line = rename(line, &names);
            let Some(resource) = Declaration::of(&line).and_then(|declared| declared.binding) else {
                out += &line;
                out.push('\n');
                continue;
            };
            let (number, rest) = (resource.number, resource.rest);
            // What it would have written, it does not declare.
            if let Some((here, _)) = self.numbers().find(|(_, own)| *own == number) {
                out += &format!("@group(0) @binding({here}){rest}\n");
            }
        }
        if element != "f32" {
            let of = [0, 1, 2, 3].map(|j| format!("{of_one}(4u * i + {j}u)")).join(", ");
            out += &format!("fn {of_quad}(i: u32) -> {element} {{ return {element}({of}); }}\n");
        }
        calls.convert(&(code.collect::<Vec<_>>().join("\n") + "\n"), &mut out)?;
        Some(out)
    }

    /// What would have filled the binding.
    pub(super) fn of(&self) -> &Dispatch {
        &self.of
    }
}

/// What becomes of the accesses to an array.
struct Calls<'a> {
    name: &'a str,
    /// The function of an element's number, and perhaps of its plane, row and column.
    value: &'a str,
    value_at: Option<&'a String>,
}

impl Calls<'_> {
    /// Appends `text` with each access `name[..]` turned into a call; `None` if a bracket has no end.
    fn convert(&self, text: &str, out: &mut String) -> Option<()> {
        let mut rest = text;
        while let Some(at) = next_access(rest, self.name) {
            let end = at + closing(&rest[at..])?;
            let place = &rest[at + self.name.len() + 1..end];
            *out += &rest[..at];
            match (self.value_at, place.strip_prefix("at(")) {
                (Some(value_at), Some(places)) => {
                    *out += &format!("{value_at}(");
                    self.convert(places, out)?;
                }
                _ => {
                    *out += &format!("{}(", self.value);
                    self.convert(place, out)?;
                    out.push(')');
                }
            }
            rest = &rest[end + 1..];
        }
        out.push_str(rest);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Shader;

    const DOUBLE: Shader = Shader::new(
        "double",
        "@group(0) @binding(0) var<storage, read> x: array<f32>;\n\
                 @group(0) @binding(1) var<storage, read_write> y: array<f32>;\nconst N: u32 = 1u;\n\
                 // Twice.\nfn value(i: u32) -> f32 {\n    return x[i + N] * 2.0;\n}\n\
                 @compute @workgroup_size(64)\nfn double() {\n    y[0u] = value(0u);\n}\n",
    );
    const SUM: Shader = Shader::new(
        "sum",
        "@group(0) @binding(0) var<storage, read> x: array<f32>;\n\
                 @group(0) @binding(1) var<storage, read> at: array<u32>;\n\
                 @group(0) @binding(2) var<storage, read_write> y: array<f32>;\n\
                 fn epilogue(v: f32, i: u32) -> f32 { return v; }\n@compute @workgroup_size(1)\nfn sum() {\n    \
                 y[0] = epilogue(x[at[0]] + x[u32(x[1u])], 0u); // x[0]\n}\n",
    );

    #[test]
    fn loads_become_calls() {
        let double = Dispatch::new(DOUBLE).constant("N", 3usize).reads([Operand::Input(2)]).writes(Operand::Output);
        let sum = Dispatch::new(SUM).reads_inputs(2).writes(Operand::Output);
        let sum = sum.ends_in("v * factor[i]", Some(Operand::Input(5)));
        let whole = sum.computes(Operand::Input(0), &double).unwrap();
        let numbers: Vec<(usize, Operand)> = whole.bindings.iter().map(|b| (b.number, b.operand)).collect();
        let input = Operand::Input;
        assert_eq!(numbers, [(1, input(1)), (2, Operand::Output), (3, input(5)), (4, input(2))]);
        let text = whole.source().unwrap();
        for line in [
            "    y[0] = epilogue(value_0(at[0]) + value_0(u32(value_0(1u))), 0u);",
            "fn epilogue(v: f32, i: u32) -> f32 { return v * factor[i]; }",
            "@group(0) @binding(3) var<storage, read> factor: array<f32>;",
            "@group(0) @binding(4) var<storage, read> x_0: array<f32>;",
            "const N_0: u32 = 3u;",
            "    return x_0[i + N_0] * 2.0;",
        ] {
            assert!(text.lines().any(|l| l == line), "{text} lacks {line:?}");
        }
        assert_eq!(text.matches("@binding").count(), 4, "{text}");
        assert_eq!((whole.declared_type(1), whole.declared_type(4)), ("array<u32>", "array<f32>"));
    }

    #[test]
    fn loads_of_quads_become_four_calls() {
        const QUADS: Shader = Shader::new(
            "quads",
            "@group(0) @binding(0) var<storage, read> x: array<X>;\n\
                     @group(0) @binding(1) var<storage, read_write> y: array<f32>;\nalias X = vec4<f32>;\n\
                     @compute @workgroup_size(1)\nfn quads() {\n    y[0] = x[y[1] / 4u].x;\n}\n",
        );
        let double = Dispatch::new(DOUBLE).constant("N", 3usize).reads([Operand::Input(2)]).writes(Operand::Output);
        let quads = Dispatch::new(QUADS).reads_inputs(1).writes(Operand::Output);
        let text = quads.computes(Operand::Input(0), &double).unwrap().source().unwrap();
        let of = [0, 1, 2, 3].map(|j| format!("value_0(4u * i + {j}u)")).join(", ");
        let quad = format!("fn quad_0(i: u32) -> vec4<f32> {{ return vec4<f32>({of}); }}");
        assert!(text.lines().any(|line| line == quad), "{text}");
        assert!(text.contains("    y[0] = quad_0(y[1] / 4u).x;\n"), "{text}");
    }

    #[test]
    fn places_in_planes_are_told_as_such() {
        let convert = |value_at: Option<&String>| {
            let mut out = String::new();
            Calls { name: "x", value: "v", value_at }.convert("x[at(n, x[2u], q)] + x[i]", &mut out).map(|()| out)
        };
        assert_eq!(convert(Some(&"w".to_string())).unwrap(), "w(n, v(2u), q) + v(i)");
        assert_eq!(convert(None).unwrap(), "v(at(n, v(2u), q)) + v(i)");
    }

    #[test]
    fn what_is_not_read_as_floats_stays() {
        let double = Dispatch::new(DOUBLE).reads_inputs(1).writes(Operand::Output);
        let sum = || Dispatch::new(SUM).reads_inputs(2).writes(Operand::Output);
        assert!(sum().computes(Operand::Input(1), &double).is_none(), "integers");
        assert!(sum().computes(Operand::Input(0), &sum()).is_none(), "it has no value(i)");
        assert_eq!(sum().computes(Operand::Input(7), &double), Some(sum()), "it does not read that");
    }
}
