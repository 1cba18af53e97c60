//! A case as one line of text: what is drawn, printed when it fails, and pasted back to be run alone.
//!
//! `conv2d x=[2,3,5,5] w=[4,3,3,3] stride=2,1 padding=same groups=1 fill=any shaders=trusted seed=17`

use std::fmt;
use std::str::FromStr;

use lenslet::check::{Case, Fill, Input};
use lenslet::ops::IGNORE;
use lenslet::{DType, Graph, NodeId, Padding, Result, ShaderChecks, TensorType, Window};

/// What stands behind a `=`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Operands: `[2,3]`, `u32[7]`, `[2,3]+[2,1]`.
    Tensors(Vec<Operand>),
    /// As many numbers as the option has: `2` or `2,1`.
    Numbers(Vec<usize>),
    /// Any number of numbers: `(0,2)`.
    List(Vec<usize>),
    /// `0.5`, `NaN`.
    Float(f32),
    /// One of some words.
    Word(String),
}

/// The type of an operand.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    pub dtype: DType,
    pub shape: Vec<usize>,
}

/// An operation with its operands and options.
#[derive(Clone)]
pub struct Line {
    pub operation: String,
    pub fields: Vec<(String, Value)>,
    pub shaders: ShaderChecks,
    pub seed: u64,
}

/// What `operation` takes, by name.
pub type Fields = Vec<(&'static str, Value)>;

/// An operand of f32.
pub fn tensor(shape: impl Into<Vec<usize>>) -> Value {
    tensors([shape.into()])
}

/// Operands of f32, any number of them.
pub fn tensors(shapes: impl IntoIterator<Item = Vec<usize>>) -> Value {
    Value::Tensors(shapes.into_iter().map(|shape| Operand { dtype: DType::F32, shape }).collect())
}

/// An operand of u32 or of bytes.
pub fn integers(dtype: DType, shape: impl Into<Vec<usize>>) -> Value {
    Value::Tensors(vec![Operand { dtype, shape: shape.into() }])
}

pub fn number(n: usize) -> Value {
    Value::Numbers(vec![n])
}

pub fn pair(pair: [usize; 2]) -> Value {
    Value::Numbers(pair.into())
}

pub fn flag(yes: bool) -> Value {
    word(if yes { "yes" } else { "no" })
}

pub fn word(text: &str) -> Value {
    Value::Word(text.into())
}

impl Line {
    fn find(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    fn missing(&self, name: &str, what: &str) -> ! {
        panic!("PROPERTY_CASE={self:?}: {} takes {name}=, {what}", self.operation)
    }

    pub fn numbers(&self, name: &str) -> &[usize] {
        match self.find(name) {
            Some(Value::Numbers(n) | Value::List(n)) => n,
            _ => self.missing(name, "numbers"),
        }
    }

    pub fn number(&self, name: &str) -> usize {
        match self.numbers(name) {
            [n] => *n,
            _ => self.missing(name, "one number"),
        }
    }

    pub fn pair(&self, name: &str) -> [usize; 2] {
        self.numbers(name).try_into().unwrap_or_else(|_| self.missing(name, "two numbers"))
    }

    pub fn float(&self, name: &str) -> f32 {
        match self.find(name) {
            Some(Value::Float(v)) => *v,
            _ => self.missing(name, "a number with a point"),
        }
    }

    pub fn word(&self, name: &str) -> &str {
        match self.find(name) {
            Some(Value::Word(text)) => text,
            _ => self.missing(name, "a word"),
        }
    }

    pub fn flag(&self, name: &str) -> bool {
        self.word(name) == "yes"
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        match self.find(name) {
            Some(Value::Tensors(types)) => &types[0].shape,
            _ => self.missing(name, "an operand"),
        }
    }

    /// The window of `size`, `stride`, `padding`, `dilation` and, where there is one, `ceil`.
    pub fn window(&self) -> Window {
        let padding = match self.find("padding") {
            Some(Value::Word(text)) if text == "same" => Padding::Same,
            Some(Value::Word(text)) if text == "same_lower" => Padding::SameLower,
            Some(Value::Numbers(sides)) if sides.len() == 4 => {
                Padding::Explicit { top: sides[0], bottom: sides[1], left: sides[2], right: sides[3] }
            }
            _ => self.missing("padding", "same, same_lower or four numbers"),
        };
        let window = Window::new(self.pair("size")).stride(self.pair("stride")).dilation(self.pair("dilation"));
        window.padding(padding).ceil_mode(self.find("ceil").is_some() && self.flag("ceil"))
    }

    /// The case of this line: all its operands in order, handed to `build`. Floats are filled as `fill=` says, whole
    /// numbers with 0.
    pub fn case(&self, build: impl Fn(&mut Graph, &[NodeId]) -> Result<NodeId> + 'static) -> Case {
        let fill = match self.find("fill") {
            None => Fill::Any,
            Some(_) => match self.word("fill") {
                "any" => Fill::Any,
                "away" => Fill::AwayFromZero,
                "positive" => Fill::Positive,
                "ties" => Fill::Ties,
                "special" => Fill::Special,
                "large" => Fill::Large,
                _ => self.missing("fill", "any, away, positive, ties, special or large"),
            },
        };
        let operands = self.fields.iter().filter_map(|(_, value)| match value {
            Value::Tensors(types) => Some(types),
            _ => None,
        });
        let input = |operand: &Operand| {
            let fill = match operand.dtype {
                DType::F32 => fill,
                DType::U32 => Fill::Only(0),
                DType::U8 => Fill::Bytes,
            };
            Input { ty: TensorType { dtype: operand.dtype, shape: operand.shape.clone().into() }, fill }
        };
        Case {
            name: self.to_string(),
            inputs: operands.flatten().map(input).collect(),
            build: Box::new(build),
            differentiable: matches!(fill, Fill::Any | Fill::AwayFromZero | Fill::Positive),
            backward: true,
            updates: false,
            joined: false,
        }
    }

    /// What whole numbers are filled with, as `values=` says.
    pub fn integer_fill(&self, below: usize) -> Fill {
        let below = u32::try_from(below).unwrap_or(u32::MAX).max(1);
        match self.word("values") {
            "below" => Fill::Below(below),
            "some_ignored" => Fill::BelowOrIgnore(below),
            "all_ignored" => Fill::Only(IGNORE),
            "outside" => Fill::Only(below),
            _ => self.missing("values", "below, some_ignored, all_ignored or outside"),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |numbers: &[usize]| numbers.iter().map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        match self {
            Value::Tensors(types) => {
                let one = |operand: &Operand| match operand.dtype {
                    DType::F32 => format!("[{}]", listed(&operand.shape)),
                    dtype => format!("{dtype}[{}]", listed(&operand.shape)),
                };
                f.write_str(&types.iter().map(one).collect::<Vec<_>>().join("+"))
            }
            Value::Numbers(numbers) => f.write_str(&listed(numbers)),
            Value::List(numbers) => write!(f, "({})", listed(numbers)),
            Value::Float(v) => write!(f, "{v:?}"),
            Value::Word(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.operation)?;
        self.fields.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))?;
        let shaders = if self.shaders == ShaderChecks::Trusted { "trusted" } else { "checked" };
        write!(f, " shaders={shaders} seed={}", self.seed)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{self}'")
    }
}

impl FromStr for Value {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let list = |text: &str| -> Result<Vec<usize>, String> {
            let parts = text.split(',').filter(|part| !part.is_empty());
            parts.map(|part| part.parse().map_err(|e| format!("{part:?}: {e}"))).collect()
        };
        if let Some(inner) = text.strip_prefix('(') {
            return Ok(Value::List(list(inner.strip_suffix(')').ok_or("a list ends with )")?)?));
        }
        if text.contains('[') {
            let one = |part: &str| {
                let (dtype, axes) = part.split_once('[').ok_or("an operand is [2,3] or u32[2,3]")?;
                let shape = list(axes.strip_suffix(']').ok_or("an operand ends with ]")?)?;
                let dtype = match dtype {
                    "" => DType::F32,
                    "u32" => DType::U32,
                    "u8" => DType::U8,
                    other => return Err(format!("{other} is no type of element")),
                };
                Ok(Operand { dtype, shape })
            };
            return Ok(Value::Tensors(text.split('+').map(one).collect::<Result<_, String>>()?));
        }
        match (list(text), text.parse()) {
            (Ok(numbers), _) => Ok(Value::Numbers(numbers)),
            (_, Ok(float)) => Ok(Value::Float(float)),
            _ => Ok(word(text)),
        }
    }
}

impl FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let operation = words.next().ok_or("an operation, then its operands and options")?.to_string();
        let mut line = Line { operation, fields: vec![], shaders: ShaderChecks::Trusted, seed: 0 };
        for word in words {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("{word:?} is no name=value"))?;
            match (name, value) {
                ("seed", n) => line.seed = n.parse().map_err(|e| format!("seed {n:?}: {e}"))?,
                ("shaders", "trusted") => line.shaders = ShaderChecks::Trusted,
                ("shaders", "checked") => line.shaders = ShaderChecks::Checked,
                ("shaders", other) => return Err(format!("shaders are trusted or checked, not {other:?}")),
                _ => line.fields.push((name.to_string(), value.parse()?)),
            }
        }
        Ok(line)
    }
}
