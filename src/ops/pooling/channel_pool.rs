//! Pooling across channels (maxout): a window slides along C, separately for each pixel.
//!
//! - **Formula**: the maximum or mean of `size` adjacent channels, every `stride` channels.
//! - **Shapes**: x `[N, C, H, W]`, y `[N, (C − size)/stride + 1, H, W]`. f32.
//! - **Gradient**: as [`Graph::max_pool2d`] and [`Graph::avg_pool2d`].
//! - **Errors**: a window larger than C; a size or stride of 0.
//! - **Cost**: `size` loads per output and no copies: the channels become the rows of `[N, 1, C, H·W]`.

use crate::graph::{Graph, NodeId};
use crate::shape::Window;
use crate::{Error, Result};

impl Graph {
    /// Max pooling over windows of `size` adjacent channels of `x` `[N, C, H, W]`, every `stride` channels.
    ///
    /// Errors: `x` is not f32 `[N, C, H, W]`; a window larger than C; a size or stride of 0.
    pub fn max_pool_channels(&mut self, x: NodeId, size: usize, stride: usize) -> Result<NodeId> {
        self.across_channels("max_pool_channels", x, size, stride, |graph, x, window| graph.max_pool2d(x, window))
    }

    /// Average pooling over windows of `size` adjacent channels of `x` `[N, C, H, W]`, every `stride` channels.
    ///
    /// Errors: `x` is not f32 `[N, C, H, W]`; a window larger than C; a size or stride of 0.
    pub fn avg_pool_channels(&mut self, x: NodeId, size: usize, stride: usize) -> Result<NodeId> {
        self.across_channels("avg_pool_channels", x, size, stride, |graph, x, window| graph.avg_pool2d(x, window, true))
    }

    fn across_channels(
        &mut self,
        op: &'static str,
        x: NodeId,
        size: usize,
        stride: usize,
        pool: impl FnOnce(&mut Graph, NodeId, Window) -> Result<NodeId>,
    ) -> Result<NodeId> {
        let refuse = |reason| Error::Shape { op, node: String::new(), reason };
        let [n, c, h, w] = self.shape(x).nchw("x").map_err(refuse)?;
        if size > c {
            return Err(refuse(format!("window of {size} channels does not fit the {c} of x {}", self.ty(x))));
        }
        let rows = self.reshape(x, [n, 1, c, h * w])?;
        let y = pool(self, rows, Window::new([size, 1]).stride([stride, 1]))?;
        let channels = self.shape(y)[2];
        self.reshape(y, [n, channels, h, w])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::TensorType;

    #[test]
    fn output_shape_has_fewer_channels() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([2, 7, 3, 5])).unwrap();
        let y = graph.max_pool_channels(x, 3, 2).unwrap();
        assert_eq!(graph.shape(y).to_vec(), [2, 3, 3, 5]);
        let error = graph.avg_pool_channels(x, 8, 1).unwrap_err().to_string();
        assert!(error.contains("8 channels") && error.contains("the 7"), "{error}");
        assert!(graph.max_pool_channels(x, 0, 1).is_err() && graph.max_pool_channels(x, 1, 0).is_err());
    }
}
