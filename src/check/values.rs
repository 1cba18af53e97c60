//! The values a case runs on, and what the reference makes of them.

use crate::check::cases::{Case, Fill, Input};
use crate::graph::{Graph, NodeId, Source};
use crate::ops::IGNORE;
use crate::shape::{DType, TensorType};
use crate::tensor::{HostData, Tensor, View, ViewData};
use crate::{Result, compile};

/// A value of the reference.
#[derive(Clone, Debug)]
pub enum Value {
    /// Numbers: floats, and integers exact to 2⁵³.
    Numbers(Vec<f64>),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Value {
    /// Numbers of a type.
    pub fn of(dtype: DType, numbers: Vec<f64>) -> Self {
        match dtype {
            DType::U8 => Value::Bytes(numbers.into_iter().map(|v| v as u8).collect()),
            DType::F32 | DType::U32 => Value::Numbers(numbers),
        }
    }

    /// As an operand of [`Op::eval`](crate::graph::Op::eval).
    pub fn view<'a>(&'a self, ty: &'a TensorType) -> View<'a> {
        let data = match self {
            Value::Numbers(v) => ViewData::F64(v),
            Value::Bytes(v) => ViewData::U8(v),
        };
        View { shape: &ty.shape, data }
    }

    /// Hands it to `write` in the form a device takes.
    pub fn with_host_data<R>(&self, dtype: DType, write: impl FnOnce(HostData<'_>) -> R) -> R {
        match (self, dtype) {
            (Value::Bytes(v), _) => write(HostData::U8(v)),
            (Value::Numbers(v), DType::F32) => write(HostData::F32(&v.iter().map(|&v| v as f32).collect::<Vec<_>>())),
            (Value::Numbers(v), _) => write(HostData::U32(&v.iter().map(|&v| v as u32).collect::<Vec<_>>())),
        }
    }
}

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

/// As [`interpret`], with each float rounded to what a buffer holds.
pub fn interpret_rounded(graph: &Graph, leaves: &[Value]) -> Vec<Value> {
    let mut values = interpret(graph, leaves);
    for (id, value) in graph.ids().zip(&mut values) {
        if let (Value::Numbers(v), DType::F32) = (value, graph.dtype(id)) {
            v.iter_mut().for_each(|v| *v = f64::from(*v as f32));
        }
    }
    values
}

/// Every value of a graph by the reference, given its inputs and variables in order.
pub fn interpret(graph: &Graph, leaves: &[Value]) -> Vec<Value> {
    interpret_nodes(graph, leaves, |_| true)
}

/// As [`interpret`], for the nodes that are `wanted`; they must not read others. The rest has no numbers.
pub fn interpret_nodes(graph: &Graph, leaves: &[Value], wanted: impl Fn(NodeId) -> bool) -> Vec<Value> {
    let mut all: Vec<Value> = vec![];
    let mut leaves = leaves.iter();
    for id in graph.ids() {
        let node = graph.node(id);
        all.push(match &node.source {
            Source::Op { .. } if !wanted(id) => Value::Numbers(vec![]),
            Source::Constant(v) => Value::Numbers(v.iter().map(|&v| f64::from(v)).collect()),
            Source::Input | Source::Variable => leaves.next().expect("a value for each leaf").clone(),
            Source::Op { op, inputs } => {
                let views: Vec<View<'_>> = inputs.iter().map(|i| all[i.index()].view(graph.ty(*i))).collect();
                let mut out = vec![0.0; node.ty.shape.elements()];
                op.eval(&views, &mut out);
                Value::Numbers(out)
            }
        });
    }
    all
}
