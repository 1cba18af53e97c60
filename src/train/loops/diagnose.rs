//! Diagnosis of values that are not finite.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::cpu::CpuSession;
use crate::data::Dataset;
use crate::train::loops::submissions::Epoch;
use crate::train::step::EpochInputs;
use crate::train::trainer::Trainer;
use crate::{Error, Result};

/// Inputs of an epoch in which a value was not finite.
pub(in crate::train::loops) struct Failed<'e> {
    pub data: &'e Dataset,
    pub inputs: EpochInputs<'e>,
}

impl Trainer<'_> {
    /// Adds to the error the operation and the layer that first produced such a value, and its step. The device repeats
    /// the steps since the last checkpoint one by one, up to the first after which a weight is not finite, or to the
    /// reported one; the CPU repeats that step operation by operation. If this finds nothing, or fails, the error stays as
    /// it is.
    pub(in crate::train::loops) async fn explain(&self, error: Error, epoch: &mut Epoch, failed: Failed<'_>) -> Error {
        match error {
            Error::NotFinite { value, step, epoch: number, first } => {
                let found = self.first_not_finite(epoch, failed, step).await;
                Error::NotFinite { value, step, epoch: number, first: found.ok().flatten().unwrap_or(first) }
            }
            other => other,
        }
    }

    async fn first_not_finite(&self, epoch: &mut Epoch, failed: Failed<'_>, reported: u64) -> Result<Option<String>> {
        let Failed { data, inputs } = failed;
        let last = (reported - inputs.begun) as usize;
        epoch.write(&self.layout, &self.parameters(), &self.states)?;
        let (mut parameters, mut states) = (self.parameters(), self.states.clone());
        for step in self.at.in_epoch..last {
            epoch.run(inputs, step..step + 1, |_, _, _| Ok(ControlFlow::Continue(()))).await?;
            let (after, states_after) = epoch.read(&self.layout, &self.parameters()).await?;
            if step + 1 == last || !after.iter().all(|value| value.is_finite()) {
                let graph = &epoch.step.graph;
                let mut session = CpuSession::new(graph)?;
                session.write(epoch.step.batches.images, (&*data.bytes()?).into())?;
                session.write(epoch.step.batches.labels, data.labels.as_slice().into())?;
                epoch.step.write(&self.layout, &parameters, &states, |node, values| session.write(node, values))?;
                epoch.step.write_epoch(inputs, step, |node, values| session.write(node, values))?;
                let place = session.run_to_not_finite().map(|node| graph.node(node));
                let place = place.and_then(|node| Some(format!("{} of {}", node.op()?.name(), node.name)));
                return Ok(place.map(|place| format!("{place} at step {}", inputs.begun + step as u64 + 1)));
            }
            (parameters, states) = (after, Arc::new(states_after));
        }
        Ok(None)
    }
}
