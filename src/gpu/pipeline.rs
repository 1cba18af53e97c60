//! Compute pipelines, made once per shader text and kept with the device.

use std::collections::{HashMap, HashSet};
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::gpu::wait::on_all_cores;
use crate::gpu::{Gpu, ShaderChecks};
use crate::kernel::{Dispatch, slice};
use crate::plan::Launch;
use crate::{Error, Result};

/// What was made on a device so far.
#[derive(Default)]
pub(super) struct Cache {
    /// By WGSL text and whether it carries run-time checks.
    pipelines: HashMap<(String, ShaderChecks), wgpu::ComputePipeline>,
    /// By the number of each binding and whether it is written, and whether it runs in slices. Pipelines share them: what
    /// wgpu looks up for a dispatch is then more often in the host's caches.
    layouts: HashMap<(Vec<(u32, bool)>, bool), wgpu::PipelineLayout>,
    /// What a launch in slices binds beside its operands.
    slice_layout: Option<wgpu::BindGroupLayout>,
}

/// A launch's pipeline.
#[derive(Clone)]
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    /// Whether it asks for the number of its first workgroup.
    pub is_sliced: bool,
}

/// What a launch is compiled from.
struct Text<'a> {
    launch: Launch<'a>,
    /// The WGSL text and its checks.
    key: (String, ShaderChecks),
    is_sliced: bool,
}

impl Gpu {
    /// The pipelines of these launches, in order; `sliced` for running them in slices, where they have several workgroups.
    /// Those not made before are compiled on all cores.
    ///
    /// Errors: the driver refuses a shader.
    pub(super) async fn pipelines<'a>(
        &self,
        launches: impl Iterator<Item = Launch<'a>>,
        sliced: bool,
    ) -> Result<Vec<Pipeline>> {
        let text = |launch: Launch<'a>| {
            let text = launch.source()?;
            let checks = self.checks_of(launch.is_trusted());
            Ok(match (sliced && !launch.is_opaque()).then(|| slice(&text)).flatten() {
                Some(text) => Text { launch, key: (text, checks), is_sliced: true },
                None => Text { launch, key: (text, checks), is_sliced: false },
            })
        };
        let texts: Vec<Text<'_>> = launches.map(text).collect::<Result<_>>()?;
        let mut seen = HashSet::new();
        let missing: Vec<&Text<'_>> = {
            let made = &self.cache().pipelines;
            texts.iter().filter(|t| !made.contains_key(&t.key) && seen.insert(&t.key)).collect()
        };
        let next = AtomicUsize::new(0);
        let worker = || {
            let mut compiling = vec![];
            while let Some(t) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                let layout = self.layout(t.launch, t.is_sliced);
                compiling.push((&t.key, self.compile(t.launch.entry(), &t.key, &layout)));
            }
            compiling
        };
        for (key, pipeline) in on_all_cores(missing.len(), worker).into_iter().flatten() {
            let pipeline = pipeline.await?;
            self.cache().pipelines.insert(key.clone(), pipeline);
        }
        let cache = &self.cache().pipelines;
        let pipeline = |t: &Text<'_>| Pipeline { pipeline: cache[&t.key].clone(), is_sliced: t.is_sliced };
        Ok(texts.iter().map(pipeline).collect())
    }

    /// What a launch in slices binds beside its operands: the number of its first workgroup, at an offset of its own.
    pub(super) fn slice_layout(&self) -> wgpu::BindGroupLayout {
        let make = || {
            let ty = wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Uniform,
                has_dynamic_offset: true,
                min_binding_size: None,
            };
            let visibility = wgpu::ShaderStages::COMPUTE;
            self.device().create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some("slice"),
                entries: &[wgpu::BindGroupLayoutEntry { binding: 0, visibility, ty, count: None }],
            })
        };
        self.cache().slice_layout.get_or_insert_with(make).clone()
    }

    /// How many pipelines were compiled for this device: sessions share them.
    pub fn pipelines_made(&self) -> usize {
        self.cache().pipelines.len()
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.shared.pipelines.lock().expect("no panic while the cache is held")
    }

    /// The layout of what a launch binds.
    fn layout(&self, launch: Launch<'_>, is_sliced: bool) -> wgpu::PipelineLayout {
        let entry = |&(binding, writes): &(u32, bool)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only: !writes },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        let slice = is_sliced.then(|| self.slice_layout());
        let make = |(bindings, _): &(Vec<(u32, bool)>, bool)| {
            self.layout_of(&bindings.iter().map(entry).collect::<Vec<_>>(), slice.as_ref())
        };
        let bindings = launch.bindings().iter().map(|bound| (bound.binding, bound.writes)).collect();
        self.cache().layouts.entry((bindings, is_sliced)).or_insert_with_key(make).clone()
    }

    /// The pipeline of a dispatch that binds more than storage buffers. One shader text has one layout.
    ///
    /// Errors: the driver refuses the shader.
    pub(super) async fn pipeline_binding(
        &self,
        dispatch: &Dispatch,
        entries: &[wgpu::BindGroupLayoutEntry],
    ) -> Result<wgpu::ComputePipeline> {
        let key = (dispatch.source()?, self.checks_of(dispatch.is_trusted()));
        if let Some(made) = self.cache().pipelines.get(&key) {
            return Ok(made.clone());
        }
        let pipeline = self.compile(dispatch.entry(), &key, &self.layout_of(entries, None)).await?;
        Ok(self.cache().pipelines.entry(key).or_insert(pipeline).clone())
    }

    fn layout_of(
        &self,
        entries: &[wgpu::BindGroupLayoutEntry],
        further: Option<&wgpu::BindGroupLayout>,
    ) -> wgpu::PipelineLayout {
        let group = wgpu::BindGroupLayoutDescriptor { label: None, entries };
        let group = self.device().create_bind_group_layout(&group);
        let groups: Vec<_> = std::iter::once(&group).chain(further).map(Some).collect();
        self.device().create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &groups,
            immediate_size: 0,
        })
    }

    /// The checks of a shader on this device.
    fn checks_of(&self, is_trusted: bool) -> ShaderChecks {
        if is_trusted { self.checks() } else { ShaderChecks::Checked }
    }

    /// Makes a pipeline at once; the future is what the driver says of it.
    fn compile(
        &self,
        name: &str,
        (text, checks): &(String, ShaderChecks),
        layout: &wgpu::PipelineLayout,
    ) -> impl Future<Output = Result<wgpu::ComputePipeline>> + Send + use<> {
        let device = self.device();
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(text.as_str().into()) };
        let module = match checks {
            ShaderChecks::Checked => device.create_shader_module(descriptor),
            ShaderChecks::Trusted => trusted(device, descriptor),
        };
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(layout),
            module: &module,
            entry_point: Some(name),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        let (error, what) = (scope.pop(), format!("shader {name}"));
        async {
            match error.await {
                None => Ok(pipeline),
                Some(error) => Err(Error::Gpu { what, reason: error.to_string() }),
            }
        }
    }
}

#[allow(unsafe_code)]
fn trusted(device: &wgpu::Device, descriptor: wgpu::ShaderModuleDescriptor<'_>) -> wgpu::ShaderModule {
    // SAFETY: the text consists of files in shaders/, compiled into this crate, and of files that an unsafe call of
    // Shader::trusted vouches for: Gpu::checks_of has all others checked. Every kernel of shaders/ guards its own accesses and
    // ends its loops. tests/ops/ and tests/textures/ run each of them with and without the checks on shapes that are not
    // multiples of its tiles, and compare both with the reference.
    unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
}
