//! A line with one thing changed, so that it is perhaps no longer right: the operation must say so, or still compute
//! what it says.

use lenslet::DType;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::line::{Line, Operand, Value};

/// Numbers that no one should pass, and some that one may.
const WILD: [usize; 12] = [0, 1, 2, 3, 7, 33, 65_535, 65_536, 1 << 31, u32::MAX as usize, usize::MAX / 2, usize::MAX];
const WILD_FLOATS: [f32; 9] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, 0.0, 1.0, 1e-30, 1e30, 0.25];

/// What is changed; the index chooses among the places where it can be.
#[derive(Clone, Debug)]
pub enum Change {
    /// A number of a shape or an option.
    Number(Index, usize),
    /// A float.
    Float(Index, f32),
    /// An axis, or an element of a list, less.
    Shorter(Index),
    /// One more, the same again.
    Longer(Index),
    /// Another type of element.
    Type(Index, DType),
    /// An operand less in a list of operands.
    Fewer(Index),
}

pub fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    prop_oneof![
        6 => (index(), select(&WILD[..])).prop_map(|(at, n)| Change::Number(at, n)),
        2 => (index(), select(&WILD_FLOATS[..])).prop_map(|(at, v)| Change::Float(at, v)),
        1 => index().prop_map(Change::Shorter),
        1 => index().prop_map(Change::Longer),
        1 => (index(), select(vec![DType::F32, DType::U32, DType::U8])).prop_map(|(at, t)| Change::Type(at, t)),
        1 => index().prop_map(Change::Fewer),
    ]
}

impl Change {
    pub fn apply(&self, line: &mut Line) {
        let values = line.fields.iter_mut().map(|(_, value)| value);
        match self {
            Change::Number(at, n) => pick(at, values.flat_map(numbers), |number| *number = *n),
            Change::Float(at, v) => pick(at, values.filter_map(float), |float| *float = *v),
            Change::Shorter(at) => pick(at, values.flat_map(lists), |list| list.truncate(list.len().saturating_sub(1))),
            Change::Longer(at) => pick(at, values.flat_map(lists), |list| list.extend(list.last().copied())),
            Change::Type(at, dtype) => pick(at, values.flat_map(operands), |operand| operand.dtype = *dtype),
            Change::Fewer(at) => {
                let several = values.filter_map(several);
                pick(at, several, |operands| operands.truncate(operands.len() - 1));
            }
        }
    }
}

fn pick<T>(at: &Index, places: impl Iterator<Item = T>, change: impl FnOnce(T)) {
    let mut places: Vec<T> = places.collect();
    if !places.is_empty() {
        change(places.swap_remove(at.index(places.len())));
    }
}

fn numbers(value: &mut Value) -> Vec<&mut usize> {
    match value {
        Value::Numbers(numbers) | Value::List(numbers) => numbers.iter_mut().collect(),
        Value::Tensors(operands) => operands.iter_mut().flat_map(|operand| &mut operand.shape).collect(),
        _ => vec![],
    }
}

fn lists(value: &mut Value) -> Vec<&mut Vec<usize>> {
    match value {
        Value::List(list) => vec![list],
        Value::Tensors(operands) => operands.iter_mut().map(|operand| &mut operand.shape).collect(),
        _ => vec![],
    }
}

fn operands(value: &mut Value) -> &mut [Operand] {
    match value {
        Value::Tensors(operands) => operands,
        _ => &mut [],
    }
}

fn several(value: &mut Value) -> Option<&mut Vec<Operand>> {
    match value {
        Value::Tensors(operands) if operands.len() > 1 => Some(operands),
        _ => None,
    }
}

fn float(value: &mut Value) -> Option<&mut f32> {
    match value {
        Value::Float(float) => Some(float),
        _ => None,
    }
}
