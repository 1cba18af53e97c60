//! Inference of classifiers on any device.

use crate::device::{Device, Session};
use crate::graph::NodeId;
use crate::infer::predictor::{Nodes, build};
use crate::nn::{Layout, Model};
use crate::{Error, Result, Shape};

/// A network compiled for inference on a GPU or the CPU, with images and probabilities in host memory.
///
/// ```
/// # fn main() -> lenslet::Result<()> {
/// use lenslet::{models, Device};
/// use lenslet::infer::Classifier;
/// use lenslet::nn::Layout;
///
/// let model = models::lenet5();
/// let layout = Layout::of(&model)?;
/// let mut classifier = Classifier::new(&Device::Cpu, &model, &layout, &layout.initial(1), 1, &[])?;
/// let probabilities = classifier.predict(&[0.0; 28 * 28])?;
/// assert!((probabilities[0].iter().sum::<f32>() - 1.0).abs() < 1e-5);
/// # Ok(())
/// # }
/// ```
pub struct Classifier {
    session: Session,
    nodes: Nodes,
    image: usize,
    batch: usize,
    shapes: Vec<Shape>,
}

impl Classifier {
    /// Compiles the network with these flat parameters, for up to `batch` images at a time. `watched` names the layers
    /// whose activations will be read, as listed in the [`Summary`](crate::nn::Summary).
    ///
    /// Errors: a batch size of 0; a network whose output is not `[batch, classes]`; an unknown layer (the message lists
    /// the network's layers); parameters of another layout; those of [`Session::new`].
    pub fn new(
        device: &Device,
        model: &dyn Model,
        layout: &Layout,
        parameters: &[f32],
        batch: usize,
        watched: &[&str],
    ) -> Result<Self> {
        let (graph, nodes) = build(model, layout, batch, watched)?;
        let mut session = Session::new(device, &graph)?;
        session.write(nodes.parameters, parameters)?;
        let shapes = nodes.watched.iter().map(|(_, node)| graph.shape(*node).clone()).collect();
        Ok(Self { session, nodes, image: model.input().elements(), batch, shapes })
    }

    /// The class probabilities of consecutive images `f32[n, C, H, W]` with values in `[0, 1]`, as in training.
    ///
    /// Errors: not a whole number of images; the device is lost.
    pub fn predict(&mut self, images: &[f32]) -> Result<Vec<Vec<f32>>> {
        if !images.len().is_multiple_of(self.image) {
            let expected = format!("a multiple of {}, the values of an image", self.image);
            return Err(Error::option("values of images", expected, images.len()));
        }
        let mut all = vec![];
        for part in images.chunks(self.batch * self.image) {
            let mut whole = part.to_vec();
            whole.resize(self.batch * self.image, 0.0);
            self.session.write(self.nodes.images, whole.as_slice())?;
            let pending = self.session.run_and_read(1, self.nodes.probabilities)?;
            let rows = self.session.finish_reading(pending)?;
            let rows = rows.chunks(rows.len() / self.batch).take(part.len() / self.image);
            all.extend(rows.map(<[f32]>::to_vec));
        }
        Ok(all)
    }

    /// The activations of the watched layers for the last batch, after their activation functions: names, shapes
    /// `[batch, ...]`, values.
    ///
    /// Errors: the device is lost.
    pub fn activations(&self) -> Result<Vec<(String, Shape, Vec<f32>)>> {
        let read = |((name, node), shape): (&(String, NodeId), &Shape)| {
            Ok((name.clone(), shape.clone(), self.session.read(*node)?))
        };
        self.nodes.watched.iter().zip(&self.shapes).map(read).collect()
    }
}
