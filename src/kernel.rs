//! A kernel as pure data: which shader, with which constants, over which operands. No GPU here.
//!
//! A shader file is valid WGSL by itself; `shaders/README.md` specifies its dialect. When it is loaded,
//! `const NAME: u32 = 4u;` takes another value, `alias NAME = f32;` another type, and a one-line function
//! `fn name(..) -> f32 { return ..; }` another expression. Everything about a shape is such a constant, so drivers see
//! literal bounds and addresses; kernels that work on flat arrays take their length from the binding instead and need no
//! variant per shape. Loops marked `// unroll` are unrolled.

mod constant;
mod file;
mod inline;
mod join;
mod limits;
mod line;
mod shader;
mod slice;
mod storage;
mod unroll;

use std::fmt::Write as _;

pub use constant::Constant;
pub(crate) use constant::f32_literal;
pub use inline::Inlined;
pub use join::{JOINED, Part, Workgroup, join, joined_workgroups, workgroup_size};
pub use limits::Limits;
pub(crate) use line::replace_word;
pub(crate) use shader::own_shader;
pub use shader::{Shader, file_stem};
pub use slice::{SLICE_GROUP, slice};

pub use crate::__foreign_shader as shader;

use crate::shape::TensorType;
use crate::{Error, Result};

/// A binding's range begins at a multiple of this many bytes: WebGPU's rule, whatever the device.
pub const ALIGNMENT: usize = 256;

/// Functions every shader may call, joined to each.
const COMMON: &str = concat!(include_str!("../shaders/common/index.wgsl"), include_str!("../shaders/common/math.wgsl"));

/// What some shaders share, joined to the files that ask for it: matrix products through workgroup memory; random bits; textures.
const ASKED_FOR: [[&str; 2]; 3] = [
    ["// joined with common/block.wgsl", include_str!("../shaders/common/block.wgsl")],
    ["// joined with common/random.wgsl", include_str!("../shaders/common/random.wgsl")],
    ["// joined with common/texture.wgsl", include_str!("../shaders/common/texture.wgsl")],
];

/// Most rounds that all loops of one invocation make together, as operations plan them.
///
/// Software drivers end the loops of an invocation after 65,535 rounds in all, and say nothing (Mesa's llvmpipe:
/// `LP_MAX_TGSI_LOOP_ITERATIONS`); long invocations hold up a desktop. So longer work is divided among invocations whose
/// results are combined, or among dispatches that each continue what the one before left in the output; a sum's order
/// stays fixed. Register tiles, loops over nothing but `TILE_` constants, are unrolled by every compiler and do not
/// count. `tests/rounds.rs` counts the rounds of every dispatch from its text.
pub const MOST_ROUNDS: usize = 12_000;

/// Most floats of an array that one invocation keeps: WGSL asks for no more than 8192 bytes of all devices.
pub(crate) const MOST_KEPT: usize = 512;

/// The numbers below `count` in runs of at most `most`, as even as can be: where each begins and ends.
pub(crate) fn stages(
    count: usize,
    most: usize,
) -> impl DoubleEndedIterator<Item = [usize; 2]> + ExactSizeIterator + Clone {
    let runs = count.div_ceil(most.max(1));
    (0..runs).map(move |run| [run * count / runs, (run + 1) * count / runs])
}

/// A value a dispatch touches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Operand {
    /// The operation's input of that number.
    Input(usize),
    /// The operation's output.
    Output,
    /// A value between two dispatches of one kernel.
    Scratch(usize),
}

/// One `@binding` of `@group(0)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Binding {
    /// The number of the `@binding`.
    pub number: usize,
    /// What is bound.
    pub operand: Operand,
    /// Whether the shader declares it `read_write`.
    pub writes: bool,
}

/// One dispatch: a shader with its constants, its operands, and the size of its grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// Which file.
    pub shader: Shader,
    /// Values for its `const` lines.
    pub constants: Vec<(&'static str, Constant)>,
    /// Expressions for its one-line functions.
    pub functions: Vec<(&'static str, String)>,
    /// `@binding(0)`, `@binding(1)`, ...
    pub bindings: Vec<Binding>,
    /// How many workgroups in all; the grid is folded to the device's limit per axis where the shader
    /// [allows it](Dispatch::folds).
    pub workgroups: u64,
    /// The binding that shares memory with the written one: it is left out, and the shader reads what it writes.
    pub in_place: Option<usize>,
    /// The numbers of bindings that are stored as halves.
    pub halves: Vec<usize>,
    /// Operands that it computes where it reads them.
    pub inlined: Vec<Inlined>,
}

impl Dispatch {
    /// A dispatch without constants or operands.
    pub fn new(shader: Shader) -> Self {
        let (constants, functions, bindings, halves, inlined) = Default::default();
        Self { shader, constants, functions, bindings, workgroups: 1, in_place: None, halves, inlined }
    }

    /// Sets a `const`.
    pub fn constant(mut self, name: &'static str, value: impl Into<Constant>) -> Self {
        self.constants.push((name, value.into()));
        self
    }

    /// Sets several `const`s of one type.
    pub fn constants<const N: usize>(mut self, values: [(&'static str, usize); N]) -> Self {
        self.constants.extend(values.map(|(name, v)| (name, v.into())));
        self
    }

    /// Sets the expression of a one-line function.
    pub fn function(mut self, name: &'static str, expression: impl Into<String>) -> Self {
        self.functions.push((name, expression.into()));
        self
    }

    /// Binds operands the shader reads.
    pub fn reads(self, operands: impl IntoIterator<Item = Operand>) -> Self {
        operands.into_iter().fold(self, |dispatch, operand| dispatch.binds(operand, false))
    }

    fn binds(mut self, operand: Operand, writes: bool) -> Self {
        self.bindings.push(Binding { number: self.bindings.len(), operand, writes });
        self
    }

    /// Binds an operand that the shader reads to its variable of that name, which comes after all that are bound.
    pub fn reads_as(mut self, name: &str, operand: Operand) -> Self {
        let resource = self.shader.file().resources.iter().find(|(own, _)| *own == name);
        let number = resource.expect("tests/shaders.rs holds shaders and their kernels together").1.number;
        self.bindings.push(Binding { number, operand, writes: false });
        self
    }

    /// Binds the inputs `0..n`, which the shader reads.
    pub fn reads_inputs(self, n: usize) -> Self {
        self.reads((0..n).map(Operand::Input))
    }

    /// Binds an operand the shader writes.
    pub fn writes(self, operand: Operand) -> Self {
        self.binds(operand, true)
    }

    /// Binds an operand the shader writes at the `@binding` of that number, which comes after all that are bound.
    pub fn writes_at(mut self, number: usize, operand: Operand) -> Self {
        self.bindings.push(Binding { number, operand, writes: true });
        self
    }

    /// Ends the kernel in a scalar function: an expression of the value `v` that the `epilogue` function of the shader
    /// gets, and, if `factor` is given, of that operand's element `factor[i]` of the same place.
    pub fn ends_in(mut self, expression: &str, factor: Option<Operand>) -> Self {
        let mut expression = expression.to_string();
        if let Some(operand) = factor {
            match self.bindings.iter().find(|b| b.operand == operand && !b.writes) {
                // What the kernel reads anyway is not bound twice.
                Some(bound) => {
                    expression = replace_word(&expression, "factor", variable(self.shader.source, bound.number));
                }
                None => self.bindings.push(Binding { number: self.declared(), operand, writes: false }),
            }
        }
        self.functions.push(("epilogue", expression));
        self
    }

    /// Sets the grid to as many workgroups of `size` as cover `invocations`.
    pub fn invocations(mut self, invocations: usize, size: usize) -> Self {
        self.workgroups = invocations.div_ceil(size).max(1) as u64;
        self
    }

    /// Bindings that the file declares, used or not.
    fn declared(&self) -> usize {
        self.shader.file().declared
    }

    /// Whether it runs as it is written, alone in its launch and whole, because its file does not keep to the dialect of
    /// `shaders/README.md`.
    pub fn is_opaque(&self) -> bool {
        !self.shader.departures().is_empty()
    }

    /// Whether its text, with what is computed inside, may run without run-time checks.
    pub fn is_trusted(&self) -> bool {
        self.shader.is_trusted() && self.inlined.iter().all(|inlined| inlined.of().is_trusted())
    }

    /// The name of the entry point.
    pub fn entry(&self) -> &'static str {
        self.shader.file().entry.unwrap_or(self.shader.name)
    }

    /// Whether it may run on a grid that is folded to the device's limit per axis: its workgroups take their numbers from
    /// `workgroup_index`.
    pub fn folds(&self) -> bool {
        !self.is_opaque() || self.shader.file().folds
    }

    /// Whether a binding may be stored as halves: the shader takes it as an array of floats or of quads of them.
    pub fn takes_halves(&self, number: usize) -> bool {
        match self.inlined.iter().find(|inlined| inlined.has(number)) {
            Some(inlined) => inlined.takes_halves(number),
            None if self.is_opaque() => false,
            None => number >= self.declared() || storage::floats(self.shader.source, number).is_some(),
        }
    }

    /// Whether it needs [`Limits::subgroup`].
    pub fn uses_subgroups(&self) -> bool {
        self.shader.file().uses_subgroups
    }

    /// The bindings that are bound, with their numbers.
    pub fn bound(&self) -> impl Iterator<Item = Binding> {
        self.bindings.iter().copied().filter(|binding| Some(binding.number) != self.in_place)
    }

    /// The WGSL text: the file with its constants and expressions set, then the common functions.
    ///
    /// Errors: a constant or function that the file does not have.
    pub fn source(&self) -> Result<String> {
        let enable = if self.halves.is_empty() { "" } else { storage::ENABLE };
        let common = if self.is_opaque() { &self.missing_common() } else { COMMON };
        Ok(format!("{enable}{}{common}", self.own_source()?))
    }

    /// The common functions without those of which an opaque file declares its own.
    fn missing_common(&self) -> String {
        let own: Vec<&str> = self.shader.source.split(|c| !line::is_word(c)).collect();
        let is_own = |name: &str| own.windows(2).any(|words| words == ["fn", name]);
        let mut skips = false;
        let mut kept = String::with_capacity(COMMON.len());
        for line in COMMON.lines() {
            let declared = line::Declaration::of(line);
            skips |= declared.is_some_and(|declared| is_own(declared.name));
            if !skips {
                kept.push_str(line);
                kept.push('\n');
            }
            skips &= !line.starts_with('}');
        }
        kept
    }

    /// The WGSL text without the common functions.
    fn own_source(&self) -> Result<String> {
        let refuse = |reason| Error::Gpu { what: format!("shader {}", self.shader.name), reason };
        if self.is_opaque() {
            return self.specialised();
        }
        let mut text = unroll::unroll(&self.specialised()?).map_err(refuse)?;
        let is_factor =
            |number: &usize| *number >= self.declared() && !self.inlined.iter().any(|inlined| inlined.has(*number));
        if let Some(number) = self.bindings.iter().map(|binding| binding.number).find(is_factor) {
            writeln!(text, "@group(0) @binding({number}) var<storage, read> factor: array<f32>;")
                .expect("a string takes all");
        }
        if let Some(read) = self.in_place {
            let written = self.bindings.iter().find(|b| b.writes).expect("a kernel writes its output");
            let (from, to) = (variable(&text, read), variable(&text, written.number));
            let kept: Vec<_> = text.lines().filter(|line| !line::binds(line, read)).collect();
            text = rename(&kept.join("\n"), from, to);
        }
        for inlined in &self.inlined {
            let reason = || refuse(format!("{} cannot be computed inside it", inlined.of().shader.name));
            text = inlined.insert(&text, &inlined.of().own_source()?).ok_or_else(reason)?;
        }
        for &number in self.halves.iter().filter(|&&number| Some(number) != self.in_place) {
            let reason = || refuse(format!("binding {number} cannot be stored as halves"));
            text = storage::halve(&text, number).ok_or_else(reason)?;
        }
        Ok(text)
    }

    /// The file with its constants and expressions set.
    fn specialised(&self) -> Result<String> {
        let mut text = String::with_capacity(self.shader.source.len() + COMMON.len() + 256);
        let mut constants_set = 0;
        let mut functions_set = 0;
        for line in self.shader.source.lines() {
            if let Some((name, value)) = word_after(line, "const ")
                .or_else(|| word_after(line, "alias "))
                .and_then(|name| self.constants.iter().find(|(n, _)| *n == name))
                .map(|(n, v)| (*n, v))
            {
                text.push_str(&value.declaration(name));
                constants_set += 1;
            } else if let Some((head, expression)) = word_after(line, "fn ")
                .and_then(|name| self.functions.iter().find(|(n, _)| *n == name))
                .and_then(|(_, expression)| Some((line.split_once("{ return ")?.0, expression)))
            {
                write!(text, "{head}{{ return {expression}; }}").expect("a string takes all");
                functions_set += 1;
            } else {
                text.push_str(line);
            }
            text.push('\n');
        }
        for [asks, shared] in ASKED_FOR {
            if self.shader.source.lines().any(|line| line == asks) {
                text.push_str(shared);
            }
        }
        if constants_set != self.constants.len() || functions_set != self.functions.len() {
            let names: Vec<_> =
                self.constants.iter().map(|(n, _)| *n).chain(self.functions.iter().map(|(n, _)| *n)).collect();
            return Err(Error::Gpu {
                what: format!("shader {}", self.shader.name),
                reason: format!("not every one of {names:?} is a `const` or one-line `fn` of the file, once"),
            });
        }
        Ok(text)
    }
}

/// A grid of so many workgroups, folded so that no axis passes `limit`. `None` if two axes do not suffice.
pub fn fold(workgroups: u64, limit: u32) -> Option<[u32; 2]> {
    let x = workgroups.min(u64::from(limit)).max(1);
    let y = workgroups.div_ceil(x).max(1);
    (y <= u64::from(limit)).then_some([x as u32, y as u32])
}

/// The name of the variable at `@binding(number)`.
fn variable(text: &str, number: usize) -> &str {
    line::resource(text, number).expect("tests/shaders.rs holds shaders and their kernels together").0
}

/// `text` with the module variable `from` called `to`. In functions with a parameter of that name it is the parameter.
fn rename(text: &str, from: &str, to: &str) -> String {
    let parameter = [format!("({from}: "), format!(", {from}: ")];
    let mut hidden = false;
    let line = |line: &str| {
        hidden |= line.starts_with("fn ") && parameter.iter().any(|p| line.contains(p));
        let text = if hidden { line.to_string() } else { replace_word(line, from, to) };
        hidden &= !line.ends_with('}') || line.starts_with(' ');
        text + "\n"
    };
    text.lines().map(line).collect()
}

/// The identifier that follows `keyword` at the start of a line.
fn word_after<'a>(line: &'a str, keyword: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(keyword)?;
    rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(|end| &rest[..end])
}

/// One way to compute an operation: dispatches in order, with values between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// The algorithm: the file stem of its main shader, with `_fours` if that goes by fours, or a name of its own if it is
    /// made of other kernels' shaders.
    pub name: &'static str,
    /// In order.
    pub dispatches: Vec<Dispatch>,
    /// Types of the values between dispatches.
    pub scratch: Vec<TensorType>,
}

impl Kernel {
    /// A kernel of dispatches in turn.
    pub fn of(shader: Shader, dispatches: Vec<Dispatch>) -> Self {
        Self { name: shader.name, dispatches, scratch: vec![] }
    }

    /// A kernel of one dispatch.
    pub fn single(dispatch: Dispatch) -> Self {
        Self { name: dispatch.shader.name, dispatches: vec![dispatch], scratch: vec![] }
    }
}

/// What an operation knows when it proposes kernels.
#[derive(Clone, Debug)]
pub struct Io<'a> {
    /// Types of its inputs.
    pub inputs: Vec<&'a TensorType>,
    /// Type of its output.
    pub output: &'a TensorType,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHADER: Shader = Shader::new(
        "k",
        "@group(0) @binding(0) var<storage, read> x: array<f32>;\n\
                 @group(0) @binding(1) var<storage, read_write> y: array<f32>;\n\
                 const N: u32 = 1u;\nfn f(x: f32) -> f32 { return x; }\n\
                 fn g(a: u32, x: u32) {\n  let b = a * x;\n}\n\
                 @compute @workgroup_size(1)\nfn k() {\n  y[N] = f(x[N]) + max.x + xx;\n}\n",
    );

    #[test]
    fn constants_and_functions_are_set_by_name() {
        let dispatch = Dispatch::new(SHADER).constant("N", 7usize).function("f", "x + 1.0");
        let source = dispatch.source().unwrap();
        assert!(source.contains("const N: u32 = 7u;") && source.contains("fn f(x: f32) -> f32 { return x + 1.0; }"));
        assert!(dispatch.constant("M", 1usize).source().is_err());
    }

    #[test]
    fn in_place_drops_the_binding_and_reads_what_it_writes() {
        let mut dispatch = Dispatch::new(SHADER).reads_inputs(1).writes(Operand::Output);
        dispatch.in_place = Some(0);
        let source = dispatch.source().unwrap();
        assert!(source.contains("y[N] = f(y[N]) + max.x + xx;") && !source.contains("@binding(0)"), "{source}");
        assert!(source.contains("fn f(x: f32) -> f32 { return x; }") && source.contains("let b = a * x;"), "{source}");
    }

    #[test]
    fn grids_fold() {
        assert_eq!(fold(65_536, 65_535), Some([65_535, 2]));
        assert_eq!(fold(65_535 * 65_535 + 1, 65_535), None);
    }
}
