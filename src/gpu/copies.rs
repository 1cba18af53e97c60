//! Copies of leaves on the device: what a step had left there when it was whole, while the next one is under way.

use super::{Buffer, CommandEncoder, GpuSession, TensorBuffer};
use crate::graph::NodeId;
use crate::{Error, Result};

/// A copy of each of some leaves of a session.
pub struct Copies {
    of: Vec<(NodeId, Buffer)>,
}

impl Copies {
    /// Makes room for the copies.
    ///
    /// Errors: a node that is no leaf of the step.
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

    /// Appends the copying of all leaves as they are at this place of the encoder.
    pub fn take(&self, session: &GpuSession, encoder: &mut CommandEncoder) {
        for (node, copy) in &self.of {
            let from = session.buffer(*node).expect("checked when the copies were made");
            encoder.copy_buffer_to_buffer(from.buffer, from.offset, copy, 0, from.bytes);
        }
    }

    /// Appends the writing of a copy into another value, from its byte `at` on; what passes its end is left out.
    ///
    /// Errors: a leaf that is not copied.
    pub fn give(&self, node: NodeId, to: TensorBuffer<'_>, at: u64, encoder: &mut CommandEncoder) -> Result<()> {
        let copy = self.copy(node)?;
        let bytes = copy.size().min(to.bytes.saturating_sub(at));
        encoder.copy_buffer_to_buffer(copy, 0, to.buffer, to.offset + at, bytes);
        Ok(())
    }

    /// The numbers of a copy, waiting for the device.
    ///
    /// Errors: a leaf that is not copied; the device is lost.
    pub async fn read(&self, session: &GpuSession, node: NodeId) -> Result<Vec<f32>> {
        let copy = self.copy(node)?;
        let bound = TensorBuffer { buffer: copy, offset: 0, bytes: copy.size() };
        session.finish_reading_async(session.start_reading_of(bound, node)).await
    }

    fn copy(&self, node: NodeId) -> Result<&Buffer> {
        let found = self.of.iter().find(|(of, _)| *of == node).map(|(_, copy)| copy);
        found.ok_or_else(|| Error::option("node", "a leaf that is copied", node.index()))
    }
}
