//! A step as pure data: buffers and the dispatches over them, in order. Made by [`crate::compile`], printed by
//! `lenslet plan`, turned into GPU calls by [`crate::gpu`]. No GPU here.

mod launch;

use std::fmt;
use std::sync::Arc;

pub use launch::Launch;

use crate::graph::NodeId;
use crate::kernel::{Dispatch, Limits};
use crate::{Error, Result, kernel};

/// What a buffer is for.
#[derive(Clone, Debug, PartialEq)]
pub enum BufferRole {
    /// Written by the host.
    Input,
    /// Kept from step to step.
    Variable,
    /// Written once, when the buffers are made.
    Constant(Arc<Vec<f32>>),
    /// Values packed end to end, such as all gradients.
    Packed,
    /// Values of one step: those that are alive together lie apart in it.
    Slot,
}

/// A buffer to make.
#[derive(Clone, Debug, PartialEq)]
pub struct BufferSpec {
    /// The value it holds, or the slot's number.
    pub label: String,
    /// Its size.
    pub bytes: u64,
    /// What it is for.
    pub role: BufferRole,
}

/// A range of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Position in [`Plan::buffers`].
    pub buffer: usize,
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: u64,
}

/// A range bound to a shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The number of the `@binding`.
    pub binding: u32,
    /// What is bound.
    pub place: Place,
    /// Whether the shader writes it.
    pub writes: bool,
}

/// One dispatch.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The launch it is part of: dispatches of one launch run side by side.
    pub launch: usize,
    /// The node it works for.
    pub node: NodeId,
    /// Its operation.
    pub op: &'static str,
    /// Its layer.
    pub name: String,
    /// The shader, its constants, its grid.
    pub dispatch: Dispatch,
    /// What is bound.
    pub bindings: Vec<Bound>,
}

/// Activation memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// If every value had memory of its own.
    pub naive: u64,
    /// What the slots take.
    pub planned: u64,
    /// The most that is alive at once: no plan takes less.
    pub lower_bound: u64,
}

/// A step. See the [module](self).
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Buffers to make.
    pub buffers: Vec<BufferSpec>,
    /// Dispatches in order, launch by launch.
    pub steps: Vec<Step>,
    /// Where each node of the graph lives; `None` for those never computed.
    pub places: Vec<Option<Place>>,
    /// How well the slots are used.
    pub memory: Memory,
}

impl Plan {
    /// Where a node's value is.
    ///
    /// Errors: nothing needed the node, so it is not computed.
    pub fn place(&self, node: NodeId) -> Result<Place> {
        let place = self.places.get(node.index()).copied().flatten();
        place.ok_or_else(|| Error::option("node", "one that the step computes; mark it as an output", node.index()))
    }

    /// Bytes of the buffers that have this role.
    pub fn bytes(&self, role: fn(&BufferRole) -> bool) -> u64 {
        self.buffers.iter().filter(|b| role(&b.role)).map(|b| b.bytes).sum()
    }

    /// Bytes of all buffers.
    pub fn total_bytes(&self) -> u64 {
        self.bytes(|_| true)
    }

    /// The dispatches of [opaque](Dispatch::is_opaque) shaders, in order.
    pub fn opaque(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.dispatch.is_opaque())
    }

    /// What the device is called for, in order.
    pub fn launches(&self) -> impl Iterator<Item = Launch<'_>> {
        self.steps.chunk_by(|a, b| a.launch == b.launch).map(|steps| Launch { steps })
    }

    /// Refuses the plan if a buffer, a binding or a grid passes the device's limits.
    pub fn check(&self, limits: &Limits) -> Result<()> {
        let refuse = |what: String, limit: &'static str, needed: u64, available: u64| {
            let hint = "use a smaller batch or a smaller network".to_string();
            Err(Error::Limit { what, limit, needed, available, hint })
        };
        let name = |step: &Step| format!("{} \"{}\" (kernel {})", step.op, step.name, step.dispatch.shader.name);
        for step in &self.steps {
            for bound in &step.bindings {
                let (needed, available) = (bound.place.bytes, limits.max_storage_buffer_binding_size);
                if needed > available {
                    return refuse(name(step), "maxStorageBufferBindingSize", needed, available);
                }
            }
        }
        for launch in self.launches() {
            let (needed, available) = (launch.bindings().len() as u64, limits.max_storage_buffers_per_shader_stage);
            if needed > u64::from(available) {
                return refuse(name(&launch.steps[0]), "maxStorageBuffersPerShaderStage", needed, available.into());
            }
            let (needed, side) = (launch.workgroups(), limits.max_compute_workgroups_per_dimension);
            let folds = launch.steps.iter().all(|step| step.dispatch.folds());
            if !folds && needed > u64::from(side) {
                let hint = "number the workgroups by workgroup_index(workgroup, grid), or make them larger".to_string();
                let (what, limit) = (name(&launch.steps[0]), "maxComputeWorkgroupsPerDimension");
                return Err(Error::Limit { what, limit, needed, available: side.into(), hint });
            }
            if kernel::fold(needed, side).is_none() {
                let available = u64::from(side).pow(2);
                return refuse(name(&launch.steps[0]), "maxComputeWorkgroupsPerDimension squared", needed, available);
            }
        }
        for (number, buffer) in self.buffers.iter().enumerate() {
            if buffer.bytes > limits.max_buffer_size {
                // A slot's number says nothing to the user: its largest value does.
                let fills = |b: &Bound| b.place.buffer == number && b.place.bytes == buffer.bytes;
                let largest = self.steps.iter().find(|step| step.bindings.iter().any(fills));
                let what = match (&buffer.role, largest) {
                    (BufferRole::Slot, Some(step)) => name(step),
                    _ => format!("buffer \"{}\"", buffer.label),
                };
                return refuse(what, "maxBufferSize", buffer.bytes, limits.max_buffer_size);
            }
        }
        Ok(())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, buffer) in self.buffers.iter().enumerate() {
            let role = match buffer.role {
                BufferRole::Input => "input",
                BufferRole::Variable => "variable",
                BufferRole::Constant(_) => "constant",
                BufferRole::Packed => "packed",
                BufferRole::Slot => "slot",
            };
            writeln!(f, "b{i:<3} {role:8} {:>12} bytes  {}", buffer.bytes, buffer.label)?;
        }
        for step in &self.steps {
            let range = |b: &Bound| match b.place.offset {
                0 => format!("b{}", b.place.buffer),
                offset => format!("b{}+{offset}", b.place.buffer),
            };
            let list = |writes| step.bindings.iter().filter(|b| b.writes == writes).map(range).collect::<Vec<_>>();
            let opaque = if step.dispatch.is_opaque() { "  opaque" } else { "" };
            writeln!(
                f,
                "{:>3}  {:10} {:28} {:>6} workgroups  {} -> {}{opaque}",
                step.launch,
                step.name,
                step.dispatch.shader.name,
                step.dispatch.workgroups,
                list(false).join(" "),
                list(true).join(" "),
            )?;
        }
        Ok(())
    }
}
