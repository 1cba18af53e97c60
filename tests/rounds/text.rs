//! How many rounds the loops of a shader make, from its text.

use std::collections::HashMap;

/// The constants of a shader that are numbers.
type Constants = HashMap<String, u64>;

/// The most rounds that all loops of one invocation make together. Register tiles, loops over nothing but `TILE_`
/// constants, are unrolled by every compiler and count for nothing, as does a loop of one round. A loop whose bounds are
/// no constants says how many rounds it makes at most: `// rounds: N`.
pub fn rounds(source: &str) -> Result<u64, String> {
    let mut constants = Constants::new();
    // Constants may be used before they are declared.
    let declared: Vec<(&str, &str)> = source.lines().filter_map(declaration).collect();
    for _ in 0..declared.len() {
        for (name, value) in &declared {
            if let Some(value) = number(value, &constants) {
                constants.insert(name.to_string(), value);
            }
        }
    }
    let mut lines = source.lines();
    Ok(block(&mut lines, &constants)?.0)
}

/// `const NAME: u32 = value;`
fn declaration(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.strip_prefix("const ")?.split_once(" = ")?;
    Some((name.split(':').next()?.trim(), value.split(';').next()?))
}

/// The rounds of the loops up to the end of a block, and whether all are register tiles.
fn block<'a>(lines: &mut impl Iterator<Item = &'a str>, constants: &Constants) -> Result<(u64, bool), String> {
    let (mut sum, mut tiles, mut depth) = (0, true, 0i32);
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("for (") {
            let own = header(line.trim(), constants)?;
            let (inside, all_tiles) = block(lines, constants)?;
            let is_tile = all_tiles && line.contains("< TILE_");
            tiles &= is_tile;
            if !is_tile {
                sum += if own > 1 { own } else { 0 } + own * inside;
            }
            continue;
        }
        depth += line.matches('{').count() as i32 - line.matches('}').count() as i32;
        if depth < 0 {
            break;
        }
    }
    Ok((sum, tiles))
}

/// `for (var i = begin; i < end; i++) {`, or `i > end; i--`.
fn header(line: &str, constants: &Constants) -> Result<u64, String> {
    if let Some((_, most)) = line.split_once("// rounds: ") {
        return number(most, constants).ok_or_else(|| format!("`{most}` is no number"));
    }
    let parts: Vec<&str> = line.trim_start_matches("for (").split(';').map(str::trim).collect();
    let bounds = || {
        let [start, condition, step] = parts[..] else { return None };
        let start = number(start.split_once('=')?.1, constants)?;
        let ([more, less], up) = match condition.split_once(" < ") {
            Some((_, end)) => ([number(end, constants)?, start], "++) {"),
            None => ([start, number(condition.split_once(" > ")?.1, constants)?], "--) {"),
        };
        step.ends_with(up).then(|| more.saturating_sub(less))
    };
    bounds().ok_or_else(|| format!("how many rounds does `{line}` make at most? Say it: `// rounds: N`"))
}

/// The value of an expression of numbers and constants, in u64.
fn number(text: &str, constants: &Constants) -> Option<u64> {
    let mut tokens = vec![];
    let mut rest = text.trim();
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (token, behind) = rest.split_at(word.max(first.len_utf8()));
        tokens.push(token);
        rest = behind.trim_start();
    }
    let mut at = 0;
    let value = sum(&tokens, &mut at, constants)?;
    (at == tokens.len()).then_some(value)
}

fn sum(tokens: &[&str], at: &mut usize, constants: &Constants) -> Option<u64> {
    let mut value = product(tokens, at, constants)?;
    while let Some(&sign @ ("+" | "-")) = tokens.get(*at) {
        *at += 1;
        let next = product(tokens, at, constants)?;
        value = if sign == "+" { value.checked_add(next)? } else { value.checked_sub(next)? };
    }
    Some(value)
}

fn product(tokens: &[&str], at: &mut usize, constants: &Constants) -> Option<u64> {
    let mut value = atom(tokens, at, constants)?;
    while let Some(&sign @ ("*" | "/" | "%")) = tokens.get(*at) {
        *at += 1;
        let next = atom(tokens, at, constants)?;
        value = match sign {
            "*" => value.checked_mul(next)?,
            "/" => value.checked_div(next)?,
            _ => value.checked_rem(next)?,
        };
    }
    Some(value)
}

fn atom(tokens: &[&str], at: &mut usize, constants: &Constants) -> Option<u64> {
    let token = *tokens.get(*at)?;
    *at += 1;
    if token == "min" {
        *at += 1;
        let a = sum(tokens, at, constants)?;
        *at += 1;
        let b = sum(tokens, at, constants)?;
        *at += 1;
        return Some(a.min(b));
    }
    if token == "(" {
        let value = sum(tokens, at, constants)?;
        let closed = tokens.get(*at) == Some(&")");
        *at += 1;
        return closed.then_some(value);
    }
    token.trim_end_matches('u').parse().ok().or_else(|| constants.get(token).copied())
}
