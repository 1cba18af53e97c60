//! Dispatches that bind textures and buffers: their description, and their prepared form.

use crate::gpu::{Gpu, GpuSession};
use crate::graph::NodeId;
use crate::kernel::{Dispatch, fold};
use crate::{Error, Result};

/// A binding of a texture pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bind {
    /// A texture that the shader loads from.
    Loads,
    /// A texture of this format that the shader stores to.
    Stores(wgpu::TextureFormat),
    /// A small buffer that the app may change between frames.
    Uniform,
    /// A buffer that the shader reads.
    Reads,
    /// A buffer that the shader writes.
    Writes,
}

/// The description of one dispatch of a [`TextureInput`](crate::gpu::texture::TextureInput) or
/// [`TextureOutput`](crate::gpu::texture::TextureOutput).
#[derive(Clone, Debug, PartialEq)]
pub struct TexturePass {
    /// Shader, constants and grid, without operands.
    pub dispatch: Dispatch,
    /// `@binding(0)`, `@binding(1)`, ...
    pub binds: Vec<Bind>,
}

impl TexturePass {
    fn layout(&self) -> Vec<wgpu::BindGroupLayoutEntry> {
        let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
        let storage = |read_only| buffer(wgpu::BufferBindingType::Storage { read_only });
        let view_dimension = wgpu::TextureViewDimension::D2;
        let ty = |bind: &Bind| match *bind {
            Bind::Loads => wgpu::BindingType::Texture {
                sample_type: wgpu::TextureSampleType::Float { filterable: false },
                view_dimension,
                multisampled: false,
            },
            Bind::Stores(format) => {
                let access = wgpu::StorageTextureAccess::WriteOnly;
                wgpu::BindingType::StorageTexture { access, format, view_dimension }
            }
            Bind::Uniform => buffer(wgpu::BufferBindingType::Uniform),
            Bind::Reads => storage(true),
            Bind::Writes => storage(false),
        };
        let entry = |(binding, bind): (u32, &Bind)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: ty(bind),
            count: None,
        };
        (0..).zip(&self.binds).map(entry).collect()
    }
}

/// Prepared passes. Encoding them creates nothing.
pub(super) struct Passes(Vec<Prepared>);

struct Prepared {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    grid: [u32; 2],
}

impl Passes {
    /// Prepares passes with their bound resources, in order.
    ///
    /// Errors: a grid that exceeds the device's limit; the driver refuses a shader; an unsuitable texture view.
    pub async fn new(gpu: &Gpu, passes: &[(TexturePass, Vec<wgpu::BindingResource<'_>>)]) -> Result<Self> {
        let mut prepared = vec![];
        for (pass, resources) in passes {
            prepared.push(prepare(gpu, pass, resources).await?);
        }
        Ok(Self(prepared))
    }

    /// Appends the passes to an encoder, in one compute pass.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for prepared in &self.0 {
            pass.set_pipeline(&prepared.pipeline);
            pass.set_bind_group(0, &prepared.bind_group, &[]);
            pass.dispatch_workgroups(prepared.grid[0], prepared.grid[1], 1);
        }
    }
}

async fn prepare(gpu: &Gpu, pass: &TexturePass, resources: &[wgpu::BindingResource<'_>]) -> Result<Prepared> {
    let name = pass.dispatch.shader.name;
    let (side, needed) = (gpu.limits().max_compute_workgroups_per_dimension, pass.dispatch.workgroups);
    let grid = fold(needed, side).ok_or_else(|| Error::Limit {
        what: name.into(),
        limit: "maxComputeWorkgroupsPerDimension squared",
        needed,
        available: u64::from(side).pow(2),
        hint: "use a smaller texture".into(),
    })?;
    let pipeline = gpu.pipeline_binding(&pass.dispatch, &pass.layout()).await?;
    let numbered = (0..).zip(resources.iter().cloned());
    let entries: Vec<_> = numbered.map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
    let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::Validation);
    let bind_group = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(name),
        layout: &pipeline.get_bind_group_layout(0),
        entries: &entries,
    });
    let error = scope.pop();
    match error.await {
        None => Ok(Prepared { pipeline, bind_group, grid }),
        Some(error) => {
            gpu.check_lost_async().await?;
            let reason = format!("{error}; the view must be 2D, of one layer, of this device");
            Err(Error::Gpu { what: format!("texture view for {name}"), reason })
        }
    }
}

/// A buffer for intermediate values of texture passes.
///
/// Errors: larger than the device's maximum binding size; out of memory.
pub(super) async fn scratch(gpu: &Gpu, what: &str, bytes: u64, hint: &str) -> Result<wgpu::Buffer> {
    let limits = gpu.limits();
    let available = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
    if bytes > available {
        let (what, limit, hint) = (what.into(), "maxStorageBufferBindingSize", hint.into());
        return Err(Error::Limit { what, limit, needed: bytes, available, hint });
    }
    let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some(what),
        size: bytes,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let error = scope.pop();
    match error.await {
        None => Ok(buffer),
        Some(error) => Err(Error::Gpu { what: what.into(), reason: format!("{bytes} bytes: {error}; {hint}") }),
    }
}

/// The name of a node for messages, in quotes.
pub(super) fn quoted(session: &GpuSession, node: NodeId) -> String {
    format!("node \"{}\"", session.graph().node(node).name)
}

/// The size of a view's texture, checked to be bindable as `usage`.
///
/// Errors: a texture without that usage, multisampled, not 2D, or wider or higher than
/// [`crate::gpu::texture::LARGEST_SIDE`].
pub(super) fn size_of(view: &wgpu::TextureView, usage: wgpu::TextureUsages) -> Result<[u32; 2]> {
    let texture = view.texture();
    if !texture.usage().contains(usage) {
        return Err(Error::option("texture", format!("usage {usage:?}"), format!("usage {:?}", texture.usage())));
    }
    if texture.dimension() != wgpu::TextureDimension::D2 {
        return Err(Error::option("texture", "a 2D texture", format!("{:?}", texture.dimension())));
    }
    if texture.sample_count() != 1 {
        let expected = "one sample a texel; resolve it in a render pass first";
        return Err(Error::option("texture", expected, format!("{} samples", texture.sample_count())));
    }
    let size = [texture.width(), texture.height()];
    if size.iter().any(|&side| side > crate::gpu::texture::LARGEST_SIDE) {
        let expected = format!("at most {0}x{0} texels", crate::gpu::texture::LARGEST_SIDE);
        return Err(Error::option("texture", expected, format!("{}x{}", size[0], size[1])));
    }
    Ok(size)
}
