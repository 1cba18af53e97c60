//! Kernel selection by measurement, on the shapes of a network's training step.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::bench::{Bench, Ready, Spread, Training};
use crate::check::{Trial, Value};
use crate::compile::{compile_with, inline, merge, schedule};
use crate::cpu::Reference;
use crate::device::Session;
use crate::gpu::{Gpu, GpuSession, KernelChoice};
use crate::graph::{Graph, NodeId};
use crate::nn::Model;
use crate::optim::Optimizer;
use crate::{Device, Error, Precision, Result};

/// Maximum candidates per operation.
const MOST_CANDIDATES: usize = 6;
/// Number of rounds in which they alternate, and the length of a round.
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(10);
/// A candidate slower than the fastest by this factor is dropped.
const BEHIND: u32 = 3;
const BEHIND_OF: u32 = 2;
/// Operations below this fraction of the step's time are not measured.
const LEAST_SHARE: f64 = 0.005;
/// Rounds in which the default step and the tuned step alternate at the end, and steps per round.
const STEP_ROUNDS: usize = 9;
const STEPS: u32 = 4;

/// A candidate and its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Runner {
    /// The kernel.
    pub kernel: &'static str,
    /// Milliseconds per run, the minimum over all rounds; `None` if the candidate disagrees with the reference.
    pub ms: Option<f64>,
}

/// An operation and its candidates.
#[derive(Clone, Debug, PartialEq)]
pub struct Race {
    /// The layer.
    pub layer: String,
    /// The operation.
    pub operation: &'static str,
    /// The types of its inputs.
    pub inputs: String,
    /// The default kernel, used without measurements.
    pub default: &'static str,
    /// The candidates in the operation's order of preference.
    pub runners: Vec<Runner>,
}

impl Race {
    /// The fastest kernel, and the default's time divided by its time.
    pub fn winner(&self) -> Option<(&'static str, f64)> {
        let times = || self.runners.iter().filter_map(|r| Some((r.kernel, r.ms?)));
        let (kernel, least) = times().min_by(|a, b| a.1.total_cmp(&b.1))?;
        let default = times().find(|(kernel, _)| *kernel == self.default);
        Some((kernel, default.map_or(f64::INFINITY, |(_, ms)| ms / least)))
    }
}

/// Milliseconds of a whole step, default and tuned.
#[derive(Clone, Debug, PartialEq)]
pub struct StepTimes {
    /// With the default kernels.
    pub default: Spread,
    /// With the fastest kernels.
    pub tuned: Spread,
    /// The file with the recorded times.
    pub record: PathBuf,
}

/// Compares each candidate of an operation with the reference, then times those that agree, alternating between them.
///
/// Errors: the device fails. A wrong kernel is a runner without a time.
pub fn race(gpu: &Gpu, trial: &Trial<'_>) -> Result<Vec<Runner>> {
    let bench = Bench::with_round(gpu, ROUND);
    let (mut runners, mut ready) = (vec![], vec![]);
    for (candidate, kernel) in trial.kernels(gpu).into_iter().enumerate().take(MOST_CANDIDATES) {
        let attempt = trial.attempt(gpu, candidate, false)?.expect("an attempt, as nothing is done in place");
        runners.push(Runner { kernel, ms: None });
        if attempt.verdict()?.passed {
            ready.push((candidate, bench.fill(attempt, kernel)?));
        }
    }
    for (candidate, time) in take_turns(&ready)? {
        runners[candidate].ms = Some(1e3 * time.as_secs_f64());
    }
    Ok(runners)
}

/// The minimum time of each candidate.
fn take_turns(ready: &[(usize, Ready<'_>)]) -> Result<Vec<(usize, Duration)>> {
    let mut best: Vec<(usize, Duration)> = ready.iter().map(|(candidate, _)| (*candidate, Duration::MAX)).collect();
    let mut running: Vec<usize> = (0..ready.len()).collect();
    for _ in 0..ROUNDS {
        for &at in &running {
            let (_, runner) = &ready[at];
            best[at].1 = best[at].1.min(runner.round()?.0 / runner.runs);
        }
        let fastest = best.iter().map(|(_, time)| *time).min().unwrap_or_default();
        running.retain(|&at| best[at].1 * BEHIND_OF <= fastest * BEHIND);
    }
    Ok(best)
}

/// Times the candidates of the heaviest operations of a model's training step for about `seconds` seconds, records the
/// times for the device, and compares whole steps.
///
/// Errors: those of [`Training::new`]; the device fails; the record cannot be written.
pub fn tune(
    gpu: &Gpu,
    model: &dyn Model,
    optimizer: &dyn Optimizer,
    batch: usize,
    seconds: f64,
    mut observe: impl FnMut(&Race),
) -> Result<StepTimes> {
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let mut training = Training::new(&Device::Gpu(gpu.clone()), model, optimizer, batch, Precision::F32)?;
    training.run(2)?;
    let Session::Gpu(session) = &training.epoch.session else { unreachable!("it was made on a GPU") };
    let graph = session.graph();
    let leaves = leaves(session)?;
    let fused = inline(&merge(graph), gpu.limits());
    let order: HashSet<NodeId> = schedule(&fused)?.into_iter().collect();
    let numbers: Vec<Value> = fused.ids().filter(|&id| is_written(&fused, id)).map(|id| leaves[&id].clone()).collect();
    let values = Reference::values_of(&fused, &numbers, |id| order.contains(&id));

    let default = gpu.choice()?.untuned();
    let mut tuned = (*gpu.tuned()?).clone();
    let mut met = HashSet::new();
    for node in heaviest(session)? {
        let Some(op) = fused.node(node).op() else { continue };
        let input = |i: &NodeId| (fused.ty(*i).clone(), values[i.index()].clone());
        let layer = &fused.node(node).name;
        let trial =
            Trial { case: layer, op: op.clone(), inputs: fused.node(node).inputs().iter().map(input).collect() };
        let inputs = trial.inputs.iter().map(|(ty, _)| ty.to_string()).collect::<Vec<_>>().join(" ");
        let candidates = op.kernels(&fused.io(node), gpu.limits());
        if candidates.len() < 2 || !met.insert(format!("{op:?} {inputs}")) {
            continue;
        }
        if Instant::now() > until {
            break;
        }
        let first = default.choose(op.name(), &fused.io(node), &candidates)?;
        let runners = race(gpu, &trial)?;
        tuned.keep(trial.tuned(gpu, runners.iter().filter_map(|r| Some((r.kernel, r.ms?))))?);
        let default = candidates[first].name;
        observe(&Race { layer: layer.clone(), operation: op.name(), inputs, default, runners });
    }
    let record = gpu.keep_tuned(tuned)?;
    let leaves = || leaves.iter().map(|(id, value)| (*id, value));
    let sessions = [ready(gpu, graph, &default, leaves())?, ready(gpu, graph, &gpu.choice()?, leaves())?];
    let [default, tuned] = whole_steps(&sessions)?;
    Ok(StepTimes { default, tuned, record })
}

/// Whether the host writes the value of a node.
fn is_written(graph: &Graph, id: NodeId) -> bool {
    use crate::graph::Source::{Input, Variable};
    matches!(graph.node(id).source, Input | Variable)
}

/// The values of a session's leaves.
fn leaves(session: &GpuSession) -> Result<BTreeMap<NodeId, Value>> {
    let graph = session.graph();
    let value = |id| {
        let numbers = match session.plan().place(id) {
            Ok(_) => session.read_f64(id)?,
            Err(_) => vec![0.0; graph.shape(id).elements()],
        };
        Ok((id, Value::of(graph.dtype(id), numbers)))
    };
    graph.ids().filter(|&id| is_written(graph, id)).map(value).collect()
}

/// The nodes with the largest share of the step's device time, in descending order.
fn heaviest(session: &GpuSession) -> Result<Vec<NodeId>> {
    let mut times: BTreeMap<NodeId, Duration> = BTreeMap::new();
    for _ in 0..3 {
        for (launch, time) in session.plan().launches().zip(session.replay().time(session.gpu())?) {
            // Operations joined in one dispatch cannot be timed separately: each is counted with the whole time.
            launch.steps.iter().for_each(|step| *times.entry(step.node).or_default() += time);
        }
    }
    let least = times.values().sum::<Duration>().mul_f64(LEAST_SHARE);
    let mut nodes: Vec<(NodeId, Duration)> = times.into_iter().filter(|(_, time)| *time >= least).collect();
    nodes.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
    Ok(nodes.into_iter().map(|(node, _)| node).collect())
}

/// A session with this selection of kernels and these leaves.
fn ready<'v>(
    gpu: &Gpu,
    graph: &Graph,
    choice: &KernelChoice,
    leaves: impl Iterator<Item = (NodeId, &'v Value)>,
) -> Result<GpuSession> {
    let plan = compile_with(graph, gpu.limits(), &|op, io, candidates| choice.choose(op, io, candidates))?;
    let session = GpuSession::from_plan(gpu, graph, plan)?;
    for (id, value) in leaves.filter(|(id, _)| session.plan().place(*id).is_ok()) {
        value.with_host_data(graph.dtype(id), |data| session.write(id, data))?;
    }
    Ok(session)
}

/// Milliseconds per step of each session.
fn whole_steps(sessions: &[GpuSession; 2]) -> Result<[Spread; 2]> {
    let time = |session: &GpuSession| Ok::<_, Error>(session.replay().time_steps(session.gpu(), STEPS)? / STEPS);
    sessions.iter().try_for_each(|session| time(session).map(drop))?;
    let mut times = [vec![], vec![]];
    for _ in 0..STEP_ROUNDS {
        for (times, session) in times.iter_mut().zip(sessions) {
            times.push(time(session)?);
        }
    }
    Ok(times.map(Spread::of_ms))
}
