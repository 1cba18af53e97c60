//! Copies of leaves on the device: the state after the last complete step, while the next one runs.

use crate::gpu::{Buffer, CommandEncoder, GpuSession, TensorBuffer};
use crate::graph::NodeId;
use crate::{Error, Result};

/// Copies of some leaves of a session.
pub struct Copies {
    of: Vec<(NodeId, Buffer)>,
}

impl Copies {
    /// Allocates the copies.
    ///
    /// Errors: a node that is not a leaf of the step.
    pub fn new(session: &GpuSession, leaves: &[NodeId]) -> Result<Self> {
        let copy = |&node: &NodeId| {
            let size = session.buffer(node)?.bytes;
            let usage = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
            let label = Some(session.graph().node(node).name.as_str());
            let descriptor = wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false };
            Ok((node, session.gpu().device().create_buffer(&descriptor)))
        };
        Ok(Self { of: leaves.iter().map(copy).collect::<Result<_>>()? })
    }

    /// Appends commands that copy all leaves.
    pub fn take(&self, session: &GpuSession, encoder: &mut CommandEncoder) {
        for (node, copy) in &self.of {
            let from = session.buffer(*node).expect("checked when the copies were made");
            from.copy_into(TensorBuffer { buffer: copy, offset: 0, bytes: from.bytes }, 0, encoder);
        }
    }

    /// The buffer of a copy.
    ///
    /// Errors: a leaf that is not copied.
    pub fn get(&self, node: NodeId) -> Result<TensorBuffer<'_>> {
        let found = self.of.iter().find(|(of, _)| *of == node).map(|(_, copy)| copy);
        let buffer = found.ok_or_else(|| Error::option("node", "a leaf that is copied", node.index()))?;
        Ok(TensorBuffer { buffer, offset: 0, bytes: buffer.size() })
    }

    /// Reads a copy, waiting for the device.
    ///
    /// Errors: a leaf that is not copied; the device is lost.
    pub async fn read(&self, session: &GpuSession, node: NodeId) -> Result<Vec<f32>> {
        session.finish_reading_async(session.start_reading_of(self.get(node)?, node)).await
    }
}
