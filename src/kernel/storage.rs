//! Bindings stored as halves: where a shader declares `array<f32>` or `array<vec4<f32>>`, the loader can make it an array
//! of `f16`, which widens what is read and narrows what is written. All arithmetic stays `f32`.

use crate::kernel::line;

/// What a shader that has halves begins with.
pub(super) const ENABLE: &str = "enable f16;\n";

/// Name and element type of a binding that can be stored as halves: `f32` or `vec4<f32>`, perhaps by an alias.
pub(super) fn floats(text: &str, number: usize) -> Option<(&str, &str)> {
    let (name, resource) = line::resource(text, number)?;
    let element = resource.ty.strip_prefix("array<")?.strip_suffix('>')?;
    let alias = |line: &'_ str| line.starts_with(&format!("alias {element} = "));
    let named = text.lines().find(|line| alias(line)).and_then(|line| line.split_once(" = ")?.1.split(';').next());
    let element = named.unwrap_or(element);
    matches!(element, "f32" | "vec4<f32>").then_some((name, element))
}

/// The text with that binding stored as halves. Comments are left out: they show accesses too.
pub(super) fn halve(text: &str, number: usize) -> Option<String> {
    let (name, wide) = floats(text, number)?;
    let narrow = wide.replace("f32", "f16");
    let access = Access { name, wide, narrow: &narrow };
    let mut out = String::with_capacity(text.len());
    let mut code = String::new();
    for line in text.lines() {
        if line::binds(line, number) {
            let (head, _) = line.split_once(": array<")?;
            code += &format!("{head}: array<{narrow}>;");
        } else {
            code += line::code(line);
        }
        code.push('\n');
    }
    access.convert(&code, &mut out)?;
    Some(out)
}

/// A binding as its accesses spell it.
struct Access<'a> {
    name: &'a str,
    wide: &'a str,
    narrow: &'a str,
}

impl Access<'_> {
    /// Appends `text` with each access converted; `None` if a bracket or a statement has no end.
    fn convert(&self, text: &str, out: &mut String) -> Option<()> {
        let Self { wide, narrow, .. } = self;
        let mut rest = text;
        while let Some(at) = next_access(rest, self.name) {
            out.push_str(&rest[..at]);
            let place = &rest[at..=at + closing(&rest[at..])?];
            let after = &rest[at + place.len()..];
            let mut element = self.name.to_string();
            self.convert(&place[self.name.len()..], &mut element)?;
            let Some((operator, value)) = assignment(after) else {
                *out += &format!("{wide}({element})");
                rest = after;
                continue;
            };
            let (value, _) = value.split_once(';')?;
            *out += &match operator {
                "" => format!("{element} = {narrow}("),
                _ => format!("{element} = {narrow}({wide}({element}) {operator} ("),
            };
            self.convert(value.trim(), out)?;
            *out += if operator.is_empty() { ")" } else { "))" };
            rest = &after[after.find(';')?..];
        }
        out.push_str(rest);
        Some(())
    }
}

/// Where the next access to an array of that name begins.
pub(super) fn next_access(text: &str, name: &str) -> Option<usize> {
    let begins = |at: &usize| !text[..*at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    text.match_indices(&format!("{name}[")).map(|(at, _)| at).find(begins)
}

/// Where the first bracket of `text` is closed.
pub(super) fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.char_indices().find_map(|(at, c)| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        (c == ']' && depth == 0).then_some(at)
    })
}

/// If an assignment goes on so: its operator, empty for `=`, and what follows.
fn assignment(text: &str) -> Option<(&'static str, &str)> {
    let text = text.trim_start();
    let value = |operator: &'static str| Some((operator, text.strip_prefix(operator)?.strip_prefix('=')?));
    ["", "+", "-", "*", "/"].into_iter().find_map(value).filter(|(_, value)| !value.starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "// What: y[i] = x[i]\n@group(0) @binding(0) var<storage, read> x: array<A>;\n\
        @group(0) @binding(1) var<storage, read_write> y: array<f32>;\n\
        @group(0) @binding(2) var<storage, read> labels: array<u32>;\nalias A = vec4<f32>;\n  \
        let s = max_x[0] + x[labels[i] + 1u].x; // x[i]\n  y[i] = y[j] == 1.0;\n  y[i] +=\n    s * x[u32(x[0].y)].z;\n  \
        y[i] = 0.0;\n  let n = arrayLength(&y);\n";

    #[test]
    fn reads_widen_and_writes_narrow() {
        let text = halve(&halve(TEXT, 0).unwrap(), 1).unwrap();
        for line in [
            "@group(0) @binding(0) var<storage, read> x: array<vec4<f16>>;",
            "@group(0) @binding(1) var<storage, read_write> y: array<f16>;",
            "  let s = max_x[0] + vec4<f32>(x[labels[i] + 1u]).x;",
            "  y[i] = f16(f32(y[j]) == 1.0);",
            "  y[i] = f16(f32(y[i]) + (s * vec4<f32>(x[u32(vec4<f32>(x[0]).y)]).z));",
            "  y[i] = f16(0.0);",
            "  let n = arrayLength(&y);",
        ] {
            assert!(text.lines().any(|l| l == line), "{text} lacks {line:?}");
        }
        assert_eq!(text.lines().count(), TEXT.lines().count() - 1, "the broken statement is one line now");
    }

    #[test]
    fn only_floats_are_halved() {
        assert!(halve(TEXT, 2).is_none() && floats(TEXT, 2).is_none() && floats(TEXT, 3).is_none());
        assert_eq!(floats(TEXT, 0), Some(("x", "vec4<f32>")));
    }
}
