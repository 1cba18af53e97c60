//! Lines of WGSL: what one declares, and words with other names.

use std::collections::HashMap;

/// A declaration at module scope, read from its first line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Declaration<'a> {
    /// `const`, `alias`, `struct`, `fn` or `var`.
    pub keyword: &'a str,
    pub name: &'a str,
    /// The resource it binds, if it binds one.
    pub binding: Option<Resource<'a>>,
}

/// A variable with `@group(0) @binding(number)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Resource<'a> {
    pub number: usize,
    /// The template list of `var`: `storage, read`, say. Empty for textures.
    pub space: &'a str,
    pub ty: &'a str,
    /// The line after `@binding(number)`, with a space before `var`.
    pub rest: &'a str,
}

impl<'a> Declaration<'a> {
    /// The declaration that begins on a line; `None` for every other line.
    pub fn of(line: &'a str) -> Option<Self> {
        if let Some(rest) = line.strip_prefix("@group(0) @binding(") {
            let (number, rest) = rest.split_once(')')?;
            let variable = rest.strip_prefix(" var")?;
            let (space, variable) = match variable.strip_prefix('<') {
                Some(listed) => listed.split_once("> ")?,
                None => ("", variable.strip_prefix(' ')?),
            };
            let (name, ty) = variable.split_once(": ")?;
            let ty = ty.split_once(';')?.0;
            let binding = Some(Resource { number: number.parse().ok()?, space, ty, rest });
            return Some(Self { keyword: "var", name, binding });
        }
        let (keyword, rest) = match line.split_once(' ')? {
            (keyword @ ("const" | "alias" | "struct" | "fn"), rest) => (keyword, rest),
            _ if line.starts_with("var<") => ("var", line.split_once("> ")?.1),
            _ => return None,
        };
        let end = rest.find(|c: char| !is_word(c))?;
        (end > 0).then(|| Self { keyword, name: &rest[..end], binding: None })
    }
}

/// The resource at `@binding(number)`, and its name.
pub(super) fn resource(text: &str, number: usize) -> Option<(&str, Resource<'_>)> {
    let of = |line| Declaration::of(line).and_then(|declared| Some((declared.name, declared.binding?)));
    text.lines().filter_map(of).find(|(_, resource)| resource.number == number)
}

/// Whether a line declares the resource at `@binding(number)`.
pub(super) fn binds(line: &str, number: usize) -> bool {
    Declaration::of(line).and_then(|declared| declared.binding).is_some_and(|resource| resource.number == number)
}

/// A line without its comment.
pub(super) fn code(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code).trim_end()
}

/// Whether a character may be part of an identifier of WGSL's ASCII subset, or of a number.
pub(super) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// `text` with each identifier that `names` maps replaced, except members and attributes.
pub(super) fn rename(text: &str, names: &HashMap<&str, String>) -> String {
    renamed(text, |word| names.get(word).map(String::as_str))
}

/// `text` with each identifier `word` replaced, except members and attributes.
pub(crate) fn replace_word(text: &str, word: &str, by: &str) -> String {
    renamed(text, |found| (found == word).then_some(by))
}

fn renamed<'n>(text: &str, name: impl Fn(&str) -> Option<&'n str>) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut before = ' ';
    for (word, first) in pieces(text) {
        out.push_str(name(word).filter(|_| before != '.' && before != '@').unwrap_or(word));
        before = first;
    }
    out
}

/// The words of a text and the characters between them, in order, each with its first character.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = (&str, char)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = match is_word(first) {
            true => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some((piece, first))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_declaration_has_a_name() {
        for line in
            ["const x: u32 = 1u;", "alias x = f32;", "struct x {", "fn x(a: u32) -> u32 {", "var<workgroup> x: f32;"]
        {
            assert_eq!(Declaration::of(line).map(|declared| declared.name), Some("x"), "{line}");
        }
        assert_eq!(Declaration::of("    let x = 1u;"), None);
        let line = "@group(0) @binding(7) var<storage, read_write> x: array<vec4<f32>>;";
        let (name, Resource { number, space, ty, .. }) = resource(line, 7).expect("it declares one");
        assert_eq!((name, number, space, ty), ("x", 7, "storage, read_write", "array<vec4<f32>>"));
    }

    #[test]
    fn numbers_and_members_are_no_names() {
        let names = HashMap::from([("x", "x_1".to_string()), ("e3f", "no".to_string()), ("u", "no".to_string())]);
        assert_eq!(rename("x[1u] = v.x * 1e3f + x2; @x", &names), "x_1[1u] = v.x * 1e3f + x2; @x");
        assert_eq!(replace_word("x.x + xx * x", "x", "y"), "y.x + xx * y");
    }
}
