//! What must hold of a line: a clear error, or the right result.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use lenslet::check::{Built, Case, Verdict};
use lenslet::compile::compile;
use lenslet::kernel::Limits;
use lenslet::{DType, Error, Gpu, Graph, NodeId, Result, ShaderChecks};

use crate::line::Line;
use crate::{chain, differences, operations};

/// How a line turned out, if well.
#[derive(Debug)]
pub enum Outcome {
    /// It was refused with this error, a clear one.
    Refused(Error),
    /// It was planned, and is too large to be run here.
    Planned,
    /// It was computed, and is right.
    Computed,
}

/// The devices, if there are any.
#[derive(Clone, Default)]
pub struct Devices {
    pub trusted: Option<Gpu>,
    pub checked: Option<Gpu>,
}

/// Elements of a graph that are computed in a moment; larger ones are only planned.
const MOST: usize = 1 << 16;

/// Elements of the operands and the result up to which central differences are taken.
const MOST_DIFFERENCES: usize = 600;

/// Runs a line; a panic is a failure like another.
pub fn try_line(line: &Line, devices: &Devices) -> Result<Outcome, String> {
    let gpu = match line.shaders {
        ShaderChecks::Trusted => devices.trusted.as_ref(),
        ShaderChecks::Checked => devices.checked.as_ref(),
    };
    // Every second line runs as a hardware GPU would run it: other kernels first, all side by side that can be.
    let as_hardware = |gpu: &Gpu| gpu.planned_for(Limits { software: line.seed.is_multiple_of(2), ..*gpu.limits() });
    let gpu = gpu.map(as_hardware);
    quietly(|| match line.operation.as_str() {
        chain::NAME => chain(line, gpu.as_ref()),
        _ => operation(line, gpu.as_ref()),
    })
}

/// Catches a panic and keeps it from being printed: shrinking meets the same one again and again.
fn quietly<R>(run: impl FnOnce() -> Result<R, String>) -> Result<R, String> {
    thread_local! {
        static QUIET: Cell<bool> = const { Cell::new(false) };
        static WHERE: RefCell<String> = const { RefCell::new(String::new()) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| match QUIET.get() {
            true => WHERE.set(info.location().map_or(String::new(), |l| format!(" at {l}"))),
            false => loud(info),
        }));
    });
    QUIET.set(true);
    let caught = catch_unwind(AssertUnwindSafe(run));
    QUIET.set(false);
    let text = |panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast::<&str>().map_or("a panic".into(), |text| text.to_string()),
    };
    caught.unwrap_or_else(|panic| Err(format!("panicked{}: {}", WHERE.take(), text(panic))))
}

/// An error that says what the user did is a right answer; others are not.
fn refused(error: Error) -> Result<Outcome, String> {
    match error {
        Error::Shape { .. } | Error::Option { .. } | Error::Limit { .. } => Ok(Outcome::Refused(error)),
        error => Err(format!("an unclear error: {error}")),
    }
}

fn chain(line: &Line, gpu: Option<&Gpu>) -> Result<Outcome, String> {
    if line.numbers("x").iter().try_fold(1, |n: usize, &d| n.checked_mul(d)).is_none_or(|n| n > MOST) {
        return Ok(Outcome::Planned);
    }
    match chain::check(line, gpu) {
        Err(error) => refused(error),
        Ok(compared) => compared.map(|()| Outcome::Computed),
    }
}

fn operation(line: &Line, gpu: Option<&Gpu>) -> Result<Outcome, String> {
    let all = operations::all();
    let operation = all.iter().find(|o| o.name == line.operation).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|o| o.name).chain([chain::NAME]).collect();
        format!("{:?} is none of {}", line.operation, names.join(", "))
    })?;
    let case = (operation.build)(line);
    let (graph, elements) = match planned(&case) {
        Ok(built) => built,
        Err(error) => return refused(error),
    };
    if elements > MOST {
        let planned = compile(&graph, gpu.map_or(&Limits::default(), Gpu::limits));
        return planned.map_or_else(refused, |_| Ok(Outcome::Planned));
    }
    let trials = match case.trials() {
        Ok(trials) => trials,
        Err(error) => return refused(error),
    };
    if let Some(gpu) = gpu {
        for trial in &trials {
            let verdicts = match trial.run(gpu) {
                Ok(verdicts) => verdicts,
                Err(error) => return refused(error),
            };
            if let Some(wrong) = verdicts.iter().find(|verdict| !verdict.passed) {
                return Err(describe(wrong));
            }
        }
    }
    if case.differentiable && case.inputs.iter().all(|input| input.ty.dtype != DType::U8) {
        let built = Built::of(&case).map_err(|e| e.to_string())?;
        let ids = built.inputs.iter().chain([&built.y]);
        if ids.map(|&id| built.graph.shape(id).elements()).sum::<usize>() <= MOST_DIFFERENCES {
            differences::check(&case)?;
        }
    }
    Ok(Outcome::Computed)
}

/// The case's graph without values, and how many elements it has.
fn planned(case: &Case) -> Result<(Graph, usize)> {
    let mut graph = Graph::new();
    let leaf = |input: &lenslet::check::Input| match case.updates {
        true => graph.variable("x", input.ty.clone()),
        false => graph.input("x", input.ty.clone()),
    };
    let inputs: Vec<NodeId> = case.inputs.iter().map(leaf).collect::<Result<_>>()?;
    let y = (case.build)(&mut graph, &inputs)?;
    if !case.updates {
        graph.output(y);
    }
    let elements = graph.ids().map(|id| graph.shape(id).elements()).sum();
    Ok((graph, elements))
}

fn describe(v: &Verdict) -> String {
    let e = v.worst;
    format!(
        "{} {}, kernel {} (candidate {}{}): element {} is {}, the reference says {}, allowed {:.3e}",
        v.operation,
        v.detail,
        v.kernel,
        v.candidate,
        if v.in_place { ", in place" } else { "" },
        e.index,
        e.got,
        e.want,
        e.budget
    )
}
