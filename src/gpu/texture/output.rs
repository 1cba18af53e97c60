//! A value of a session as a picture in a texture.

use crate::gpu::texture::TextureWrite;
use crate::gpu::texture::pass::{Passes, quoted, scratch, size_of};
use crate::gpu::{GpuSession, block_on};
use crate::graph::NodeId;
use crate::shape::{DType, Shape};
use crate::{Error, Result};

/// Writes a value of a session into a texture, as a picture. See the [module](super).
pub struct TextureOutput {
    passes: Passes,
}

impl TextureOutput {
    /// Makes everything needed to draw `node` into the view, a storage texture of `Rgba8Unorm`, `Rgba16Float` or
    /// `Rgba32Float` with the usage `STORAGE_BINDING`. The picture fills it; [`TextureOutput::size`] says which size shows
    /// every value alike.
    ///
    /// Errors: a node that is no f32, or neither a leaf of the step nor an output of the graph, whose memory may be
    /// another's when it is drawn; a shape that cannot be drawn so; a texture that cannot be bound or is too small.
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
        let picture = wgpu::BindingResource::TextureView(view);
        bound.push((passes.picture, vec![values, ranges.as_entire_binding(), picture]));
        Ok(Self { passes: Passes::new(gpu, &bound).await? })
    }

    /// Width and height of the texture in which each value of a node of this shape takes `scale` by `scale` texels; of bars,
    /// each is `scale` texels thick and the picture is square.
    ///
    /// Errors: a shape that cannot be drawn so; a scale of 0; more than [`LARGEST_SIDE`](crate::gpu::texture::LARGEST_SIDE) texels a side.
    pub fn size(shape: &Shape, write: &TextureWrite, scale: u32) -> Result<[u32; 2]> {
        write.size(shape, scale)
    }

    /// Appends the drawing to an encoder, after the session's step: one compute pass of one dispatch, or three if the range
    /// of the values has to be found. Nothing is submitted, polled, read back or made.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        self.passes.encode(encoder);
    }
}
