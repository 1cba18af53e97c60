//! Compute pipelines, made once per shader text and kept with the device.

use std::collections::{HashMap, HashSet};
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Gpu, ShaderChecks};
use crate::kernel::Dispatch;
use crate::plan::Launch;
use crate::{Error, Result};

/// What was made on a device so far.
#[derive(Default)]
pub(super) struct Cache {
    /// By WGSL text.
    pipelines: HashMap<String, wgpu::ComputePipeline>,
    /// By the number of each binding and whether it is written. Pipelines share them: what wgpu looks up for a dispatch is
    /// then more often in the host's caches.
    layouts: HashMap<Vec<(u32, bool)>, wgpu::PipelineLayout>,
}

impl Gpu {
    /// The pipelines of these launches, in order. Those not made before are compiled on all cores.
    ///
    /// Errors: the driver refuses a shader.
    pub(super) fn pipelines<'a>(
        &self,
        launches: impl Iterator<Item = Launch<'a>>,
    ) -> Result<Vec<wgpu::ComputePipeline>> {
        let texts: Vec<(Launch<'_>, String)> = launches.map(|l| Ok((l, l.source()?))).collect::<Result<_>>()?;
        let mut seen = HashSet::new();
        let missing: Vec<&(Launch<'_>, String)> = {
            let made = &self.cache().pipelines;
            texts.iter().filter(|(_, text)| !made.contains_key(text) && seen.insert(text.as_str())).collect()
        };
        let next = AtomicUsize::new(0);
        let worker = || {
            let mut made = vec![];
            while let Some((launch, text)) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                made.push((text.clone(), self.pipeline(launch.entry(), text, &self.layout(*launch))));
            }
            made
        };
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(missing.len());
        let made: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().flat_map(|w| w.join().expect("a driver does not panic")).collect()
        });
        let cache = &mut self.cache().pipelines;
        for (text, pipeline) in made {
            cache.insert(text, pipeline?);
        }
        Ok(texts.iter().map(|(_, text)| cache[text].clone()).collect())
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.shared.pipelines.lock().expect("no panic while the cache is held")
    }

    /// The layout of what a launch binds.
    fn layout(&self, launch: Launch<'_>) -> wgpu::PipelineLayout {
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
        let make = |bindings: &Vec<(u32, bool)>| self.layout_of(&bindings.iter().map(entry).collect::<Vec<_>>());
        let bindings = launch.bindings().iter().map(|bound| (bound.binding, bound.writes)).collect();
        self.cache().layouts.entry(bindings).or_insert_with_key(make).clone()
    }

    /// The pipeline of a dispatch that binds more than storage buffers. One shader text has one layout.
    ///
    /// Errors: the driver refuses the shader.
    pub(super) fn pipeline_binding(
        &self,
        dispatch: &Dispatch,
        entries: &[wgpu::BindGroupLayoutEntry],
    ) -> Result<wgpu::ComputePipeline> {
        let text = dispatch.source()?;
        if let Some(made) = self.cache().pipelines.get(&text) {
            return Ok(made.clone());
        }
        let pipeline = self.pipeline(dispatch.shader.name, &text, &self.layout_of(entries))?;
        Ok(self.cache().pipelines.entry(text).or_insert(pipeline).clone())
    }

    fn layout_of(&self, entries: &[wgpu::BindGroupLayoutEntry]) -> wgpu::PipelineLayout {
        let group = wgpu::BindGroupLayoutDescriptor { label: None, entries };
        self.device().create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&self.device().create_bind_group_layout(&group))],
            immediate_size: 0,
        })
    }

    fn pipeline(&self, name: &str, text: &str, layout: &wgpu::PipelineLayout) -> Result<wgpu::ComputePipeline> {
        let device = self.device();
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(text.into()) };
        let module = match self.checks() {
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
        match pollster::block_on(scope.pop()) {
            None => Ok(pipeline),
            Some(error) => Err(Error::Gpu { what: format!("shader {name}"), reason: error.to_string() }),
        }
    }
}

#[allow(unsafe_code)]
fn trusted(device: &wgpu::Device, descriptor: wgpu::ShaderModuleDescriptor<'_>) -> wgpu::ShaderModule {
    // SAFETY: every kernel guards its own accesses and has constant loop bounds. tests/ops.rs and
    // tests/textures.rs run each of them with and without the checks on shapes that are not multiples of its tiles, and
    // compare both with the reference.
    unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
}
