//! GPU inference, optionally exposing intermediate activations.

use std::ops::Range;

use crate::gpu::{CommandEncoder, Gpu, GpuSession, block_on};
use crate::graph::{Graph, NodeId};
use crate::nn::{Layout, Model};
use crate::shape::{Shape, TensorType};
use crate::{Error, Result};

/// A network compiled for inference on a GPU, which can be encoded into an app's own command encoder.
///
/// Values stay on the device: an app writes images into [`images`](Self::images) (by
/// [`TextureInput`](crate::TextureInput), or with its own shader through [`GpuSession::buffer`]),
/// [encodes](Self::encode) the computation, and uses [`probabilities`](Self::probabilities) and
/// [activations](Self::activation) in place.
///
/// ```no_run
/// # fn main() -> lenslet::Result<()> {
/// use lenslet::{models, Gpu};
/// use lenslet::formats::weights;
/// use lenslet::infer::Predictor;
/// use lenslet::nn::Layout;
///
/// let (gpu, model) = (Gpu::new()?, models::lenet5());
/// let layout = Layout::of(&model)?;
/// let predictor = Predictor::new(&gpu, &model, &layout, 1, &[])?;
/// predictor.set_parameters(&weights::load("runs/lenet5-1/model.safetensors", &layout)?)?;
/// let probabilities = predictor.predict(&[0.0; 28 * 28])?;
/// # Ok(())
/// # }
/// ```
pub struct Predictor {
    session: GpuSession,
    layout: Layout,
    images: NodeId,
    parameters: NodeId,
    probabilities: NodeId,
    watched: Vec<(String, NodeId)>,
}

impl Predictor {
    /// Compiles the network for batches of `batch` images, with all parameters 0. `watched` names the layers whose
    /// activations are kept after a step, as listed in the [`Summary`](crate::nn::Summary); other activations share
    /// memory.
    ///
    /// Errors: a batch size of 0; a network whose output is not `[batch, classes]`; an unknown layer (the message lists
    /// the network's layers); those of [`GpuSession::new`].
    pub fn new(gpu: &Gpu, model: &dyn Model, layout: &Layout, batch: usize, watched: &[&str]) -> Result<Self> {
        let (graph, nodes) = build(model, layout, batch, watched)?;
        Self::of(GpuSession::new(gpu, &graph)?, layout, nodes)
    }

    /// The `async` form of [`Predictor::new`].
    pub async fn new_async(
        gpu: &Gpu,
        model: &dyn Model,
        layout: &Layout,
        batch: usize,
        watched: &[&str],
    ) -> Result<Self> {
        let (graph, nodes) = build(model, layout, batch, watched)?;
        Self::of(GpuSession::new_async(gpu, &graph).await?, layout, nodes)
    }

    fn of(session: GpuSession, layout: &Layout, nodes: Nodes) -> Result<Self> {
        let Nodes { images, parameters, probabilities, watched } = nodes;
        Ok(Self { session, layout: layout.clone(), images, parameters, probabilities, watched })
    }

    /// The session on the device.
    pub fn session(&self) -> &GpuSession {
        &self.session
    }

    /// The layout of the flat parameters.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The input images, `f32[batch, C, H, W]`.
    pub fn images(&self) -> NodeId {
        self.images
    }

    /// The flat parameters.
    pub fn parameters(&self) -> NodeId {
        self.parameters
    }

    /// The class probabilities, an output `f32[batch, classes]`.
    pub fn probabilities(&self) -> NodeId {
        self.probabilities
    }

    /// The output of a watched layer, after its activation function.
    ///
    /// Errors: a layer that is not watched; the message lists the watched layers.
    pub fn activation(&self, layer: &str) -> Result<NodeId> {
        find(&self.watched, layer, "a watched layer")
    }

    /// The weights of a layer: their range in the flat [parameters](Self::parameters), and their shape, `[K, C, R, S]`
    /// for the K filters of a convolution.
    ///
    /// Errors: a layer without weights; the message lists the layers with weights.
    pub fn filters(&self, layer: &str) -> Result<(Range<usize>, Shape)> {
        let name = format!("{layer}.weight");
        let found = self.layout.parameters().find(|(spec, _)| spec.name == name);
        let has = || self.layout.specs().iter().filter_map(|spec| spec.name.strip_suffix(".weight"));
        let refuse =
            || Error::option("layer", format!("one with weights: {}", has().collect::<Vec<_>>().join(", ")), layer);
        found.map(|(spec, range)| (range, spec.shape.clone())).ok_or_else(refuse)
    }

    /// Sets all parameters, flat.
    ///
    /// Errors: values of another layout.
    pub fn set_parameters(&self, flat: &[f32]) -> Result<()> {
        self.session.write(self.parameters, flat.into())
    }

    /// Appends the computation to an encoder. See [`Replay::encode`](crate::gpu::Replay::encode).
    pub fn encode(&self, encoder: &mut CommandEncoder) {
        self.session.encode(encoder);
    }

    /// The class probabilities of images, row by row, waiting for the device.
    ///
    /// Errors: images of another shape; the device is lost.
    pub fn predict(&self, images: &[f32]) -> Result<Vec<f32>> {
        block_on(self.predict_async(images))
    }

    /// The `async` form of [`Predictor::predict`].
    pub async fn predict_async(&self, images: &[f32]) -> Result<Vec<f32>> {
        self.session.write(self.images, images.into())?;
        self.session.finish_reading_async(self.session.submit_and_read(1, self.probabilities)?).await
    }
}

/// The inputs and outputs of a network's computation.
pub(crate) struct Nodes {
    pub images: NodeId,
    pub parameters: NodeId,
    pub probabilities: NodeId,
    pub watched: Vec<(String, NodeId)>,
}

pub(crate) fn build(model: &dyn Model, layout: &Layout, batch: usize, watched: &[&str]) -> Result<(Graph, Nodes)> {
    if batch == 0 {
        return Err(Error::option("batch", "at least 1", batch));
    }
    let mut graph = Graph::new();
    let shape: Vec<usize> = [batch].into_iter().chain(model.input().iter().copied()).collect();
    let images = graph.input("images", TensorType::f32(shape))?;
    let parameters = graph.variable("parameters", layout.ty())?;
    let (logits, layers) = layout.forward_layers(model, &mut graph, parameters, images)?;
    let shape = graph.shape(logits);
    if shape.len() != 2 {
        let expected = "a row of numbers for each image, [batch, classes]";
        return Err(Error::option(format!("output of {}", model.name()), expected, shape));
    }
    graph.set_scope("probabilities");
    let probabilities = graph.softmax(logits, 1)?;
    graph.output(probabilities);
    let found = |layer: &&str| Ok((layer.to_string(), find(&layers, layer, "a layer of the network")?));
    let watched: Vec<(String, NodeId)> = watched.iter().map(found).collect::<Result<_>>()?;
    watched.iter().for_each(|(_, node)| graph.output(*node));
    Ok((graph, Nodes { images, parameters, probabilities, watched }))
}

fn find(layers: &[(String, NodeId)], layer: &str, what: &str) -> Result<NodeId> {
    let found = layers.iter().find(|(name, _)| name == layer).map(|(_, node)| *node);
    let names = || layers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| Error::option("layer", format!("{what}: {}", names()), layer))
}
