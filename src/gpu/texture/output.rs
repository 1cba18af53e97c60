//! Values of a session as images in textures.

use crate::gpu::texture::TextureWrite;
use crate::gpu::texture::pass::{Passes, quoted, scratch, size_of};
use crate::gpu::{GpuSession, block_on};
use crate::graph::NodeId;
use crate::shape::{DType, Shape};
use crate::{Error, Result};

/// Writes a value of a session into a texture as an image. See the [module](super).
pub struct TextureOutput {
    passes: Passes,
}

impl TextureOutput {
    /// Prepares drawing `node` into a view of a storage texture with the usage `STORAGE_BINDING` and the format
    /// `Rgba8Unorm`, `Rgba16Float` or `Rgba32Float`. The image fills the texture; [`TextureOutput::size`] gives a size
    /// in which all values have equal area.
    ///
    /// Errors: a node that is not f32, or is neither a leaf of the step nor an output of the graph, so its memory may
    /// be reused; a shape that cannot be drawn in this form; a texture that cannot be bound or is too small.
    pub fn new(session: &GpuSession, node: NodeId, view: &wgpu::TextureView, write: &TextureWrite) -> Result<Self> {
        block_on(Self::new_async(session, node, view, write))
    }

    /// The `async` form of [`TextureOutput::new`].
    pub async fn new_async(
        session: &GpuSession,
        node: NodeId,
        view: &wgpu::TextureView,
        write: &TextureWrite,
    ) -> Result<Self> {
        let (graph, gpu) = (session.graph(), session.gpu());
        gpu.check_lost_async().await?;
        let values = session.buffer(node)?.binding();
        if graph.dtype(node) != DType::F32 {
            return Err(Error::option(quoted(session, node), "f32", graph.ty(node)));
        }
        let size = size_of(view, wgpu::TextureUsages::STORAGE_BINDING)?;
        let passes = write.drawing(view.texture().format(), size, graph.shape(node))?;
        let ranges = match write.fixed_range() {
            Some(range) => gpu.buffer_of("texture range", bytemuck::cast_slice(&range), wgpu::BufferUsages::STORAGE),
            None => scratch(gpu, "texture ranges", passes.range_bytes, "draw fewer tiles").await?,
        };
        let mut bound = vec![];
        let parts;
        if let Some([of_parts, of_tiles]) = passes.range {
            parts = scratch(gpu, "parts of texture ranges", passes.part_bytes, "draw fewer tiles").await?;
            bound.push((of_parts, vec![values.clone(), parts.as_entire_binding()]));
            bound.push((of_tiles, vec![parts.as_entire_binding(), ranges.as_entire_binding()]));
        }
        let image = wgpu::BindingResource::TextureView(view);
        bound.push((passes.image, vec![values, ranges.as_entire_binding(), image]));
        Ok(Self { passes: Passes::new(gpu, &bound).await? })
    }

    /// The texture size at which each value of a node with this shape covers `scale` by `scale` texels. Bars are
    /// `scale` texels thick, and their image is square.
    ///
    /// Errors: a shape that cannot be drawn in this form; a scale of 0; more than
    /// [`LARGEST_SIDE`](crate::gpu::texture::LARGEST_SIDE) texels wide or high.
    pub fn size(shape: &Shape, write: &TextureWrite, scale: u32) -> Result<[u32; 2]> {
        write.size(shape, scale)
    }

    /// Appends the drawing to an encoder, after the session's step, as one compute pass: one dispatch, or three if the
    /// range of the values must be computed. Nothing is submitted, polled, read back or created.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        self.passes.encode(encoder);
    }
}
