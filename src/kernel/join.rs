//! Several dispatches as one: their workgroups side by side, in the text of a single shader.
//!
//! Each part keeps its own text as a function, under names of its own; the number of the workgroup says which part it
//! belongs to. Parts that share nothing inside a workgroup take workgroups of any size; the others set it. A workgroup
//! works for one part only, so parts share the memory of workgroups.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::kernel::line::{Declaration, rename};
use crate::kernel::{COMMON, Constant, Dispatch, storage};
use crate::{Error, Result};

/// The entry point of a joined shader.
pub const JOINED: &str = "joined";

/// Invocations of a workgroup where no part asks for a number.
const WORKGROUP: u64 = 64;

/// What a dispatch asks of workgroups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Workgroup {
    /// Its invocations.
    pub size: u64,
    /// Whether its invocations know each other: by barriers, memory of the workgroup, or subgroups.
    pub is_fixed: bool,
}

impl Dispatch {
    /// What it asks of workgroups.
    pub fn workgroup(&self) -> Workgroup {
        let file = self.shader.file();
        let size = file.size;
        let size = size.and_then(|size| match self.constants.iter().find(|(name, _)| *name == size) {
            Some((_, Constant::U32(size))) => Some(u64::from(*size)),
            _ => size.parse().ok(),
        });
        Workgroup { size: size.unwrap_or(WORKGROUP), is_fixed: file.is_fixed }
    }

    /// The type that the shader declares for a binding.
    pub fn declared_type(&self, number: usize) -> &'static str {
        if let Some(ty) = self.inlined.iter().find_map(|inlined| inlined.declared_type(number)) {
            return ty;
        }
        let ty = self.shader.file().resources.iter().find(|(_, own)| own.number == number).map(|(_, own)| own.ty);
        ty.unwrap_or("array<f32>")
    }
}

/// A dispatch in a joined one.
pub struct Part<'a> {
    /// The dispatch.
    pub dispatch: &'a Dispatch,
    /// Which `@binding` of the joined shader each of its [bound](Dispatch::bound) ones is, in their order.
    pub numbers: Vec<usize>,
}

/// Invocations of a workgroup of these dispatches joined; `None` if they ask for different ones.
pub fn workgroup_size<'a>(dispatches: impl IntoIterator<Item = &'a Dispatch>) -> Option<u64> {
    let mut fixed = dispatches.into_iter().map(Dispatch::workgroup).filter(|w| w.is_fixed).map(|w| w.size);
    let size = fixed.next().unwrap_or(WORKGROUP);
    fixed.all(|other| other == size).then_some(size)
}

/// Workgroups of `size` that a dispatch takes.
fn workgroups(dispatch: &Dispatch, size: u64) -> u64 {
    (dispatch.workgroups * dispatch.workgroup().size).div_ceil(size)
}

/// Workgroups of these dispatches joined.
pub fn joined_workgroups<'a>(dispatches: impl Iterator<Item = &'a Dispatch> + Clone) -> u64 {
    let size = workgroup_size(dispatches.clone()).unwrap_or(WORKGROUP);
    dispatches.map(|dispatch| workgroups(dispatch, size)).sum()
}

/// The text of these dispatches side by side. Its entry point is [`JOINED`].
///
/// Errors: those of [`Dispatch::source`]; parts that ask for different workgroups.
pub fn join(parts: &[Part<'_>]) -> Result<String> {
    let refuse = |reason: &str| Error::Gpu {
        what: parts.iter().map(|part| part.dispatch.shader.name).collect::<Vec<_>>().join(" beside "),
        reason: reason.into(),
    };
    let size = workgroup_size(parts.iter().map(|part| part.dispatch)).ok_or_else(|| refuse("workgroups differ"))?;
    let has_halves = parts.iter().any(|part| !part.dispatch.halves.is_empty());
    let mut text = if has_halves { storage::ENABLE.to_string() } else { String::new() };
    let mut names = HashMap::new();
    let mut calls = String::new();
    let mut first = 0;
    let mut by_subgroups = false;
    let mut memory: Vec<Memory> = vec![];
    for (number, part) in parts.iter().enumerate() {
        let mut body = Body::new(part, number, &mut names)?;
        body.share_memory(&mut memory);
        by_subgroups |= part.dispatch.uses_subgroups();
        let end = first + workgroups(part.dispatch, size);
        let own = part.dispatch.workgroup().size;
        let arguments = body.arguments(part.dispatch.workgroups).ok_or_else(|| refuse("an unknown builtin"))?;
        let name = &body.entry;
        // Workgroup and invocation as the part numbers them.
        let (workgroup, lane) = match own < size {
            true => {
                let each = size / own;
                (format!("(number - {first}u) * {each}u + local / {own}u"), format!("local % {own}u"))
            }
            false => {
                let each = own / size;
                (format!("(number - {first}u) / {each}u"), format!("(number - {first}u) % {each}u * {size}u + local"))
            }
        };
        let otherwise = if number == 0 { "    " } else { " else " };
        write!(
            calls,
            "{otherwise}if number < {end}u {{\n        let own = {workgroup};\n        let lane = {lane};\n        \
             if own < {}u {{\n            {name}({arguments});\n        }}\n    }}",
            part.dispatch.workgroups,
        )
        .expect("a string takes all");
        text.push_str(&body.text);
        first = end;
    }
    for Memory { name, ty, length } in memory {
        writeln!(text, "var<workgroup> {name}: array<{ty}, {length}>;").expect("a string takes all");
    }
    let subgroup = if by_subgroups { "    @builtin(subgroup_invocation_id) subgroup_lane: u32,\n" } else { "" };
    write!(
        text,
        "@compute @workgroup_size({size})\nfn {JOINED}(\n    @builtin(workgroup_id) workgroup: vec3<u32>,\n    \
         @builtin(num_workgroups) grid: vec3<u32>,\n    @builtin(local_invocation_index) local: u32,\n{subgroup}) {{\n    \
         let number = workgroup_index(workgroup, grid);\n{calls}\n}}\n"
    )
    .expect("a string takes all");
    Ok(text + COMMON)
}

/// An array in the memory of a workgroup.
struct Memory {
    name: String,
    ty: String,
    length: String,
}

/// A part's text under names of its own.
struct Body {
    text: String,
    entry: String,
    /// What its entry point asks for: `workgroup_id`, ...
    builtins: Vec<String>,
}

impl Body {
    /// `shared` has the names of the bindings that earlier parts declared.
    fn new(part: &Part<'_>, number: usize, shared: &mut HashMap<usize, String>) -> Result<Self> {
        let own = part.dispatch.own_source()?;
        let mut names: HashMap<&str, String> = HashMap::new();
        let joint: HashMap<usize, usize> =
            part.dispatch.bound().map(|bound| bound.number).zip(part.numbers.iter().copied()).collect();
        let mut lines: Vec<(Option<usize>, &str)> = vec![];
        for line in own.lines() {
            let Some(Declaration { name, binding, .. }) = Declaration::of(line) else {
                lines.push((None, line));
                continue;
            };
            let declared = binding.map(|binding| binding.number);
            let binding = declared.and_then(|own: usize| joint.get(&own).copied());
            if declared.is_some() && binding.is_none() {
                // Declared for other dispatches of the file: nothing that this one calls uses it.
                names.insert(name, format!("{name}_{number}"));
                lines.push((None, line));
                continue;
            }
            match binding.and_then(|binding| shared.get(&binding)) {
                Some(known) => {
                    names.insert(name, known.clone());
                }
                None => {
                    let renamed = format!("{name}_{number}");
                    if let Some(binding) = binding {
                        shared.insert(binding, renamed.clone());
                    }
                    names.insert(name, renamed);
                    lines.push((binding, line));
                }
            }
        }
        let mut body = Self { text: String::new(), entry: names[part.dispatch.entry()].clone(), builtins: vec![] };
        let mut in_header = false;
        let mut parameters = vec![];
        for (binding, line) in lines {
            let renamed = rename(line, &names);
            if line.starts_with("@compute") {
                in_header = true;
            } else if in_header {
                // From the entry point's name to the brace after its parameters.
                for parameter in renamed.split("@builtin(").skip(1) {
                    let (builtin, rest) = parameter.split_once(") ").expect("a builtin has a name");
                    body.builtins.push(builtin.to_string());
                    parameters.push(rest.trim_end_matches([',', ' ', ')', '{']).to_string());
                }
                if renamed.ends_with('{') {
                    in_header = false;
                    body.text += &format!("fn {}({}) {{\n", body.entry, parameters.join(", "));
                }
            } else if let (Some(binding), Some((_, rest))) = (binding, renamed.split_once(") var")) {
                body.text += &format!("@group(0) @binding({binding}) var{rest}\n");
            } else {
                body.text += &renamed;
                body.text.push('\n');
            }
        }
        Ok(body)
    }

    /// Takes the arrays in workgroup memory out of the text: those of one type that several parts have become one, as long
    /// as the longest.
    fn share_memory(&mut self, memory: &mut Vec<Memory>) {
        let mut names = vec![];
        let mut kept = String::with_capacity(self.text.len());
        for line in self.text.lines() {
            let array =
                line.strip_prefix("var<workgroup> ").and_then(|rest| rest.strip_suffix(">;")?.split_once(": array<"));
            let Some((name, (ty, length))) = array.and_then(|(name, of)| Some((name, of.rsplit_once(", ")?))) else {
                kept.push_str(line);
                kept.push('\n');
                continue;
            };
            match memory.iter_mut().find(|known| known.ty == ty) {
                Some(known) => {
                    known.length = format!("max({}, {length})", known.length);
                    names.push((name.to_string(), known.name.clone()));
                }
                None => memory.push(Memory { name: name.into(), ty: ty.into(), length: length.into() }),
            }
        }
        let names: HashMap<&str, String> = names.iter().map(|(from, to)| (from.as_str(), to.clone())).collect();
        self.text = match names.is_empty() {
            true => kept,
            false => kept.lines().map(|line| rename(line, &names) + "\n").collect(),
        };
    }

    /// What the entry point is called with, for a part of so many workgroups.
    fn arguments(&self, workgroups: u64) -> Option<String> {
        let argument = |builtin: &String| match builtin.as_str() {
            "workgroup_id" => Some("vec3<u32>(own, 0u, 0u)".to_string()),
            "num_workgroups" => Some(format!("vec3<u32>({workgroups}u, 1u, 1u)")),
            "local_invocation_index" => Some("lane".to_string()),
            "subgroup_invocation_id" => Some("subgroup_lane".to_string()),
            _ => None,
        };
        Some(self.builtins.iter().map(argument).collect::<Option<Vec<_>>>()?.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Operand, Shader};

    const SCALE: Shader = Shader::new(
        "scale",
        "@group(0) @binding(0) var<storage, read> x: array<f32>;\n\
                 @group(0) @binding(1) var<storage, read_write> y: array<f32>;\nconst N: u32 = 1u;\n\
                 fn f(v: f32) -> f32 { return v; }\n@compute @workgroup_size(64)\nfn scale(\n    \
                 @builtin(workgroup_id) workgroup: vec3<u32>,\n    @builtin(local_invocation_index) lane: u32,\n) {\n    \
                 let v = vec2<f32>(x[N]);\n    y[lane] = f(v.x) * 1e3f;\n}\n",
    );
    const ONE: Shader = Shader::new(
        "one",
        "@group(0) @binding(0) var<storage, read> x: array<f32>;\n\
                 @group(0) @binding(1) var<storage, read_write> z: array<f32>;\n@compute @workgroup_size(1)\nfn one() {\n    \
                 z[0] = x[0];\n}\n",
    );

    #[test]
    fn parts_keep_their_names_apart_and_share_bindings() {
        let of = |shader, n: u64| {
            let mut dispatch = Dispatch::new(shader).reads_inputs(1).writes(Operand::Output);
            dispatch.workgroups = n;
            dispatch
        };
        let (scale, one) = (of(SCALE, 3).constant("N", 7usize), of(ONE, 1));
        let parts = [Part { dispatch: &scale, numbers: vec![0, 1] }, Part { dispatch: &one, numbers: vec![0, 2] }];
        let text = join(&parts).unwrap();
        assert_eq!(joined_workgroups([&scale, &one].into_iter()), 4);
        for line in [
            "@group(0) @binding(2) var<storage, read_write> z_1: array<f32>;",
            "const N_0: u32 = 7u;",
            "fn scale_0(workgroup: vec3<u32>, lane: u32) {",
            "    let v = vec2<f32>(x_0[N_0]);",
            "    y_0[lane] = f_0(v.x) * 1e3f;",
            "fn one_1() {",
            "    z_1[0] = x_0[0];",
            "            one_1();",
        ] {
            assert!(text.lines().any(|l| l == line), "{text} lacks {line:?}");
        }
        assert_eq!(text.matches("@binding").count(), 3, "{text}");
    }
}
