//! Loops written out: `for (var i = 0u; i < COUNT; i++) { // unroll` becomes COUNT copies of its body, each with a
//! literal in place of `i`.
//!
//! Drivers that do not unroll keep arrays indexed by a loop's variable in memory; with literals they are registers, and
//! a lane number is a constant, as WGSL's `subgroupBroadcast` asks. Without this the file means the same.

use crate::kernel::line::replace_word;

/// Most copies of a line, all loops around it together.
const MOST_COPIES: usize = 4096;

const MARK: &str = "// unroll";

/// The text with its marked loops written out. The bounds are literals or `u32` constants of the file.
///
/// Errors: what is wrong with a marked line.
pub(super) fn unroll(text: &str) -> Result<String, String> {
    if !text.contains(MARK) {
        return Ok(text.to_string());
    }
    let lines: Vec<String> = text.lines().map(str::to_string).collect();
    let mut out = vec![];
    expand(&lines, text, 1, &mut out)?;
    Ok(out.join("\n") + "\n")
}

/// Appends `lines`, which stand in loops of so many copies.
fn expand(lines: &[String], text: &str, copies: usize, out: &mut Vec<String>) -> Result<(), String> {
    let mut at = 0;
    while at < lines.len() {
        let line = &lines[at];
        if !line.ends_with(MARK) {
            out.push(line.clone());
            at += 1;
            continue;
        }
        let (variable, bound) = header(line).ok_or_else(|| format!("cannot unroll {line:?}"))?;
        let count =
            constant(text, bound).ok_or_else(|| format!("{bound} of {line:?} is no u32 constant of the file"))?;
        let indent = &line[..line.len() - line.trim_start().len()];
        let closing = format!("{indent}}}");
        let length = lines[at + 1..].iter().position(|l| *l == closing);
        let body = &lines[at + 1..][..length.ok_or_else(|| format!("{line:?} has no {closing:?}"))?];
        let copies = copies * count;
        if copies > MOST_COPIES {
            return Err(format!("{line:?} makes {copies} copies, more than {MOST_COPIES}"));
        }
        for i in 0..count {
            let literal = format!("{i}u");
            let body: Vec<String> = body.iter().map(|l| replace_word(l, variable, &literal)).collect();
            out.push(format!("{indent}{{"));
            expand(&body, text, copies, out)?;
            out.push(closing.clone());
        }
        at += body.len() + 2;
    }
    Ok(())
}

/// Variable and bound of `for (var i = 0u; i < BOUND; i++) { // unroll`.
pub(super) fn header(line: &str) -> Option<(&str, &str)> {
    let (variable, rest) = line.trim_start().strip_prefix("for (var ")?.split_once(" = 0u; ")?;
    let (bound, rest) = rest.strip_prefix(variable)?.strip_prefix(" < ")?.split_once("; ")?;
    (rest.strip_prefix(variable)? == format!("++) {{ {MARK}")).then_some((variable, bound))
}

/// A literal, or the value of `const NAME: u32 = ..u;`.
fn constant(text: &str, bound: &str) -> Option<usize> {
    let literal = |value: &str| value.strip_suffix('u')?.parse().ok();
    let declared = || text.lines().find_map(|l| l.strip_prefix(&format!("const {bound}: u32 = "))?.split(';').next());
    literal(bound).or_else(|| literal(declared()?))
}

#[cfg(test)]
mod tests {
    use super::unroll;

    #[test]
    fn marked_loops_are_written_out_with_literals() {
        let text = "const ROWS: u32 = 2u;\n  for (var r = 0u; r < ROWS; r++) { // unroll\n    sums[r] += rows.r;\n    \
                    for (var j = 0u; j < 2u; j++) { // unroll\n      f(r, j, jr);\n    }\n  }\n  for (var k = 0u; k < 3u; k++) {\n  }\n";
        let want = "const ROWS: u32 = 2u;\n  {\n    sums[0u] += rows.r;\n    {\n      f(0u, 0u, jr);\n    }\n    {\n      f(0u, 1u, jr);\n    \
                    }\n  }\n  {\n    sums[1u] += rows.r;\n    {\n      f(1u, 0u, jr);\n    }\n    {\n      f(1u, 1u, jr);\n    }\n  }\n  \
                    for (var k = 0u; k < 3u; k++) {\n  }\n";
        assert_eq!(unroll(text).unwrap(), want);
    }

    #[test]
    fn what_cannot_be_written_out_is_named() {
        for (text, part) in [
            ("for (var r = 1u; r < 4u; r++) { // unroll\n}", "cannot unroll"),
            ("for (var r = 0u; r < ROWS; r++) { // unroll\n}", "ROWS of"),
            ("for (var r = 0u; r < 5000u; r++) { // unroll\n}", "5000 copies"),
            ("  for (var r = 0u; r < 5u; r++) { // unroll\n}", "has no"),
        ] {
            let error = unroll(text).unwrap_err();
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    }
}
