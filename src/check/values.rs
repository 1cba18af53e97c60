//! Graphs of cases with random values for their leaves.

use crate::check::cases::{Case, Fill, Input};
use crate::cpu::Value;
use crate::graph::{Graph, NodeId};
use crate::ops::IGNORE;
use crate::shape::{DType, TensorType};
use crate::tensor::Tensor;
use crate::{Result, compile};

/// A small generator (xorshift64): a case's name fixes its numbers, so a failure is reproduced by the name alone.
pub struct Random(u64);

impl Random {
    /// The generator of a name.
    pub fn of(name: &str) -> Self {
        // FNV-1a; never 0, where xorshift would stay.
        Self(name.bytes().fold(0x9e37_79b9_7f4a_7c15, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)) | 1)
    }

    /// 48 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }

    /// A float in −1..1, exact in f32.
    pub fn unit(&mut self) -> f64 {
        f64::from((self.bits() % (1 << 24)) as f32 / (1 << 23) as f32 - 1.0)
    }

    /// A value of that type, filled as asked.
    pub fn value(&mut self, ty: &TensorType, fill: Fill) -> Value {
        let elements = ty.shape.elements();
        if let Fill::Bytes = fill {
            return Value::Bytes((0..elements).map(|_| self.bits() as u8).collect());
        }
        let one = |_| {
            let value = self.number(fill);
            // What the GPU sees is what the reference sees.
            if ty.dtype == DType::F32 { f64::from(value as f32) } else { value }
        };
        Value::Numbers((0..elements).map(one).collect())
    }

    fn number(&mut self, fill: Fill) -> f64 {
        match fill {
            Fill::Any => 2.0 * self.unit(),
            Fill::AwayFromZero => {
                let v = self.unit();
                v.signum() * (0.5 + 1.5 * v.abs())
            }
            Fill::Positive => 0.5 + 1.5 * self.unit().abs(),
            Fill::Negative => -0.5 - 1.5 * self.unit().abs(),
            Fill::Ties => (self.bits() % 4) as f64 - 1.0,
            Fill::Special => match self.bits() % 12 {
                0 => f64::NAN,
                1 => f64::INFINITY,
                2 => f64::NEG_INFINITY,
                n => n as f64 - 6.0,
            },
            Fill::Large => 1e4 * self.unit(),
            Fill::BelowOrIgnore(_) if self.bits().is_multiple_of(3) => f64::from(IGNORE),
            Fill::Below(n) | Fill::BelowOrIgnore(n) => (self.bits() % u64::from(n)) as f64,
            Fill::Only(n) => f64::from(n),
            Fill::Bytes => (self.bits() % 256) as f64,
        }
    }
}

/// A case as a graph with values.
pub struct Built {
    /// The leaves and the operation.
    pub graph: Graph,
    /// The leaves.
    pub inputs: Vec<NodeId>,
    /// Their values.
    pub values: Vec<Value>,
    /// The result.
    pub y: NodeId,
}

impl Built {
    /// Builds a case's graph and draws its values.
    pub fn of(case: &Case) -> Result<Self> {
        let mut random = Random::of(&case.name);
        let mut graph = Graph::new();
        let leaf = |input: &Input| match case.updates {
            true => graph.variable("x", input.ty.clone()),
            false => graph.input("x", input.ty.clone()),
        };
        let inputs: Vec<NodeId> = case.inputs.iter().map(leaf).collect::<Result<_>>()?;
        let values = case.inputs.iter().map(|i| random.value(&i.ty, i.fill)).collect();
        let y = (case.build)(&mut graph, &inputs)?;
        Ok(Self { graph, inputs, values, y })
    }

    /// The inputs that a gradient is taken to.
    pub fn floats(&self) -> Vec<usize> {
        (0..self.inputs.len()).filter(|&i| self.graph.dtype(self.inputs[i]) == DType::F32).collect()
    }

    /// Appends the gradients to the float inputs under a random upstream gradient of the result, which comes first.
    pub fn differentiate(&mut self, case: &Case) -> Result<(Vec<f64>, Vec<NodeId>)> {
        let mut random = Random::of(&format!("{} upstream", case.name));
        let upstream = Tensor::from_fn(self.graph.shape(self.y).clone(), |_| random.unit() as f32);
        let weights = upstream.data().iter().map(|&v| f64::from(v)).collect();
        let dy = self.graph.constant("upstream", upstream)?;
        let wrt: Vec<NodeId> = self.floats().into_iter().map(|i| self.inputs[i]).collect();
        Ok((weights, compile::pull_back(&mut self.graph, self.y, dy, &wrt)?))
    }
}
