//! A network's step, operation by operation, on the CPU and on the GPU.
//!
//! Each operation runs on the GPU alone, as the kernel that training would take, with the inputs the reference
//! computed: so an error does not travel, and the first operation out of bounds is the one that is wrong.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};

use crate::check::kernel::{Element, Trial};
use crate::check::values::Random;
use crate::compile::{gradients, merge, schedule};
use crate::cpu::{Reference, Value};
use crate::formats::replace_file;
use crate::gpu::{Gpu, KernelChoice};
use crate::graph::{Graph, NodeId, Placement, Source};
use crate::nn::{Layout, Model, Part, TrainingForward};
use crate::shape::{DType, TensorType};
use crate::{Error, Result};

/// One operation's result on both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerReport {
    /// The layer.
    pub layer: String,
    /// The operation.
    pub operation: &'static str,
    /// The kernel that computed it on the GPU.
    pub kernel: &'static str,
    /// `forward` or `backward`.
    pub direction: &'static str,
    /// The element with the largest share of its budget.
    pub worst: Element,
    /// Whether all elements are within their budgets.
    pub passed: bool,
}

/// The first operation out of bounds, with everything needed to run it again alone.
pub struct Difference {
    batch: usize,
    seed: u64,
    node: NodeId,
    inputs: Vec<(TensorType, Value)>,
    /// What was seen.
    pub report: LayerReport,
}

/// The forward and backward graph of a network in training.
struct Step {
    graph: Graph,
    /// Where the backward part begins.
    backward: usize,
    /// The leaves that hold parameters.
    parts: Vec<Part>,
}

fn step(model: &dyn Model, batch: usize, seed: u64) -> Result<Step> {
    let layout = Layout::of(model)?;
    let mut graph = Graph::new();
    let mut shape = vec![batch];
    shape.extend(model.input().iter());
    let x = graph.input("x", TensorType::f32(shape))?;
    let clock = graph.input("clock", TensorType::u32([1]))?;
    let leaves = layout.leaves(&mut graph, clock, seed)?;
    let TrainingForward { y, trained, statistics } = layout.forward_training(model, &mut graph, leaves, x)?;
    let loss = match graph.shape(y)[..] {
        [n, _] => {
            let labels = graph.input("labels", TensorType::u32([n]))?;
            graph.set_scope("loss");
            graph.softmax_cross_entropy(y, labels)?
        }
        _ => graph.sum(y, &[], false)?,
    };
    let backward = graph.len();
    let wrt: Vec<NodeId> = trained.into_iter().map(|(node, _)| node).chain([x]).collect();
    for gradient in gradients(&mut graph, loss, &wrt)? {
        graph.output(gradient);
    }
    graph.output(loss);
    let parameters = (leaves.parameters, 0..graph.shape(leaves.parameters).elements());
    let frozen = leaves.frozen.map(|node| (node, layout.frozen()));
    let parts = [parameters].into_iter().chain(frozen).chain(statistics).collect();
    Ok(Step { graph: merge(&graph), backward, parts })
}

/// Runs a step of `model` on the CPU and operation by operation on the GPU, with random input or the pictures given,
/// and tells `observe` of each. Stops at the first operation out of bounds and returns it.
///
/// Errors: the model's layers do not fit each other; pictures of another length than the batch needs; the device fails.
pub fn diff(
    gpu: &Gpu,
    model: &dyn Model,
    batch: usize,
    seed: u64,
    pictures: Option<&[f32]>,
    mut observe: impl FnMut(&LayerReport),
) -> Result<Option<Difference>> {
    let Step { graph, backward, parts } = step(model, batch, seed)?;
    let initial = Layout::of(model)?.initial(seed);
    let mut random = Random::of(&format!("{} {seed}", model.name()));
    let mut leaves = vec![];
    for id in graph.ids() {
        let node = graph.node(id);
        let elements = node.ty.shape.elements();
        if let Some((_, range)) = parts.iter().find(|(part, _)| *part == id) {
            leaves.push(Value::Numbers(initial[range.clone()].iter().map(|&v| f64::from(v)).collect()));
            continue;
        }
        leaves.push(match (&node.source, node.name.as_str()) {
            (Source::Input, "clock") => Value::Numbers(vec![0.0]),
            (Source::Input, "labels") => {
                let classes = classes(&graph)?;
                Value::Numbers((0..elements).map(|_| (random.bits() % classes) as f64).collect())
            }
            (Source::Input, _) => match pictures {
                Some(p) if p.len() == elements => Value::Numbers(p.iter().map(|&v| f64::from(v)).collect()),
                Some(p) => return Err(Error::option("pictures", format!("{elements} values"), p.len())),
                None => Value::Numbers((0..elements).map(|_| f64::from(random.unit().abs() as f32)).collect()),
            },
            _ => continue,
        });
    }
    let values = Reference::rounded_values(&graph, &leaves);
    let choice = gpu.choice()?;
    for node in schedule(&graph)? {
        let inputs: Vec<(TensorType, Value)> =
            graph.node(node).inputs().iter().map(|i| (graph.ty(*i).clone(), values[i.index()].clone())).collect();
        let direction = if node.index() < backward { "forward" } else { "backward" };
        let Some(report) = run(gpu, &choice, &graph, node, &inputs, direction)? else { continue };
        observe(&report);
        if !report.passed {
            return Ok(Some(Difference { batch, seed, node, inputs, report }));
        }
    }
    Ok(None)
}

/// How many classes the labels choose among.
fn classes(graph: &Graph) -> Result<u64> {
    let loss = graph.ids().find(|&id| graph.node(id).inputs().iter().any(|&i| graph.node(i).name == "labels"));
    let logits = loss.map(|id| graph.node(id).inputs()[0]);
    logits.map(|y| graph.shape(y)[1] as u64).ok_or_else(|| Error::option("model", "one with a loss", "none"))
}

/// One node on the GPU as training would run it; `None` if it moves no data.
fn run(
    gpu: &Gpu,
    choice: &KernelChoice,
    graph: &Graph,
    node: NodeId,
    inputs: &[(TensorType, Value)],
    direction: &'static str,
) -> Result<Option<LayerReport>> {
    let Some(op) = graph.node(node).op() else { return Ok(None) };
    if graph.traits(node).placement != Placement::Own {
        return Ok(None);
    }
    let layer = graph.node(node).name.clone();
    let trial = Trial { case: &layer, op: op.clone(), inputs: inputs.to_vec() };
    let verdict = trial.chosen(gpu, choice)?;
    Ok(Some(LayerReport {
        layer: layer.clone(),
        operation: verdict.operation,
        kernel: verdict.kernel,
        direction,
        worst: verdict.worst,
        passed: verdict.passed,
    }))
}

impl Difference {
    /// Writes the operation and its inputs to a file that [`replay`] runs alone. `model` is what that finds the network by:
    /// its name, or the text of its file.
    pub fn save(&self, path: impl AsRef<Path>, model: &str) -> Result<()> {
        let bytes: Vec<Vec<u8>> =
            self.inputs.iter().map(|(ty, v)| v.with_host_data(ty.dtype, |d| d.as_bytes().to_vec())).collect();
        let view = |(number, (ty, _)): (usize, &(TensorType, Value))| {
            let dtype = match ty.dtype {
                DType::F32 => Dtype::F32,
                DType::U32 => Dtype::U32,
                DType::U8 => Dtype::U8,
            };
            let view = TensorView::new(dtype, ty.shape.to_vec(), &bytes[number]).expect("its own shape");
            (format!("input{number}"), view)
        };
        let tensors: Vec<_> = self.inputs.iter().enumerate().map(view).collect();
        let metadata = BTreeMap::from([
            ("model", model.to_string()),
            ("batch", self.batch.to_string()),
            ("seed", self.seed.to_string()),
            ("node", self.node.index().to_string()),
            ("layer", self.report.layer.clone()),
            ("direction", self.report.direction.to_string()),
        ]);
        let metadata = metadata.into_iter().map(|(k, v)| (k.to_string(), v)).collect();
        let file = serialize(tensors, Some(metadata)).map_err(|e| Error::data(path.as_ref(), e.to_string()))?;
        replace_file(path, |out| out.write_all(&file))
    }
}

/// Runs the one operation of a file that [`Difference::save`] wrote. `model` finds the network by what was told there.
///
/// Errors: a damaged file, or one of another version of the network.
pub fn replay<M: Model>(gpu: &Gpu, path: impl AsRef<Path>, model: impl Fn(&str) -> Result<M>) -> Result<LayerReport> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(Error::io(path, "read"))?;
    let damaged = |reason: String| Error::data(path, format!("no reproduction file of `lenslet diff`: {reason}"));
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(e.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let text = |key: &str| metadata.get(key).cloned().ok_or_else(|| damaged(format!("no {key} in its metadata")));
    let number = |key: &str| text(key)?.parse::<usize>().map_err(|e| damaged(format!("{key}: {e}")));
    let model = model(&text("model")?)?;
    let seed = text("seed")?.parse().map_err(|e| damaged(format!("seed: {e}")))?;
    let Step { graph, .. } = step(&model, number("batch")?.max(1), seed)?;
    let index = number("node")?;
    if index >= graph.len() {
        return Err(damaged(format!("node {index} of a graph of {}", graph.len())));
    }
    let node = NodeId::from_index(index);
    let mut inputs = vec![];
    for (at, &input) in graph.node(node).inputs().iter().enumerate() {
        let ty = graph.ty(input).clone();
        let tensor = file.tensor(&format!("input{at}")).map_err(|e| damaged(e.to_string()))?;
        if tensor.shape() != &ty.shape[..] {
            return Err(damaged(format!("input{at} is {:?}, the operation takes {ty}", tensor.shape())));
        }
        let data = tensor.data();
        inputs.push((
            ty.clone(),
            match ty.dtype {
                DType::U8 => Value::Bytes(data.to_vec()),
                DType::U32 => {
                    Value::Numbers(bytemuck::pod_collect_to_vec::<u8, u32>(data).into_iter().map(f64::from).collect())
                }
                DType::F32 => {
                    Value::Numbers(bytemuck::pod_collect_to_vec::<u8, f32>(data).into_iter().map(f64::from).collect())
                }
            },
        ));
    }
    let choice = gpu.choice()?;
    let direction = if text("direction")? == "forward" { "forward" } else { "backward" };
    run(gpu, &choice, &graph, node, &inputs, direction)?
        .ok_or_else(|| damaged(format!("node {index} computes nothing")))
}
