//! Textures as inputs of a session.

use crate::gpu::texture::TextureRead;
use crate::gpu::texture::pass::{Passes, quoted, scratch, size_of};
use crate::gpu::texture::read::check_rectangle;
use crate::gpu::{Gpu, GpuSession, block_on};
use crate::graph::{NodeId, Source};
use crate::shape::DType;
use crate::{Error, Result};

/// Reads a texture into an input of a session. See the [module](super).
pub struct TextureInput {
    gpu: Gpu,
    size: [u32; 2],
    rectangle: wgpu::Buffer,
    passes: Passes,
}

impl TextureInput {
    /// Prepares reading the texture of a view into one image of `node`, an input of type `f32[N, C, H, W]`. The texture
    /// needs the usage `TEXTURE_BINDING`. Allocates a buffer of `4 C H width` bytes.
    ///
    /// A view of a mip level is read as a texture of that size, and a rectangle is clipped to it.
    ///
    /// Errors: another node; a texture that cannot be bound, or whose format [`TextureRead`] does not support; options
    /// that do not fit node and texture; out of memory.
    pub fn new(session: &GpuSession, node: NodeId, view: &wgpu::TextureView, read: &TextureRead) -> Result<Self> {
        block_on(Self::new_async(session, node, view, read))
    }

    /// The `async` form of [`TextureInput::new`].
    pub async fn new_async(
        session: &GpuSession,
        node: NodeId,
        view: &wgpu::TextureView,
        read: &TextureRead,
    ) -> Result<Self> {
        let (graph, gpu) = (session.graph(), session.gpu());
        let is_leaf = matches!(graph.node(node).source, Source::Input | Source::Variable);
        if !is_leaf || graph.dtype(node) != DType::F32 {
            let expected = "an input of f32[N, C, H, W], which no operation computes";
            let found = if is_leaf { graph.ty(node).to_string() } else { "a computed or constant value".into() };
            return Err(Error::option(quoted(session, node), expected, found));
        }
        gpu.check_lost_async().await?;
        let size = size_of(view, wgpu::TextureUsages::TEXTURE_BINDING)?;
        let format = read.format.unwrap_or_else(|| view.texture().format());
        let shape = graph.shape(node);
        let [columns, rows] = read.passes(format, size, shape)?;
        let rectangle = read.rectangle.unwrap_or_default();
        if read.rectangle.is_some() {
            check_rectangle(rectangle, size)?;
        }
        let bytes = 4 * (shape[1] * shape[2]) as u64 * u64::from(size[0]);
        let between = scratch(gpu, "texture input", bytes, "use a smaller texture or a smaller input").await?;
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let rectangle = gpu.buffer_of("texture rectangle", bytemuck::cast_slice(&rectangle), usage);
        let texture = || wgpu::BindingResource::TextureView(view);
        let passes = [
            (columns, vec![texture(), rectangle.as_entire_binding(), between.as_entire_binding()]),
            (
                rows,
                vec![
                    texture(),
                    rectangle.as_entire_binding(),
                    between.as_entire_binding(),
                    session.buffer(node)?.binding(),
                ],
            ),
        ];
        let passes = Passes::new(gpu, &passes).await?;
        Ok(Self { gpu: gpu.clone(), size, rectangle, passes })
    }

    /// Changes the rectangle `[x, y, width, height]` read by later submissions. Writes 16 bytes through the queue.
    ///
    /// Errors: an empty rectangle, or one outside the texture; then nothing changes.
    pub fn set_rectangle(&self, rectangle: [u32; 4]) -> Result<()> {
        check_rectangle(rectangle, self.size)?;
        self.gpu.queue().write_buffer(&self.rectangle, 0, bytemuck::cast_slice(&rectangle));
        Ok(())
    }

    /// Appends the reading to an encoder, before the session's step, as one compute pass of two dispatches. Nothing is
    /// submitted, polled or created.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        self.passes.encode(encoder);
    }
}
