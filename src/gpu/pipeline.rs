//! Compute pipelines, made once per shader text and kept with the device.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Gpu, ShaderChecks};
use crate::plan::Launch;
use crate::{Error, Result};

/// Pipelines by WGSL text.
pub(super) type Cache = HashMap<String, wgpu::ComputePipeline>;

impl Gpu {
    /// The pipelines of these launches, in order. Those not made before are compiled on all cores.
    ///
    /// Errors: the driver refuses a shader.
    pub(super) fn pipelines<'a>(
        &self,
        launches: impl Iterator<Item = Launch<'a>>,
    ) -> Result<Vec<wgpu::ComputePipeline>> {
        let texts: Vec<(&str, String)> = launches.map(|l| Ok((l.entry(), l.source()?))).collect::<Result<_>>()?;
        let mut seen = HashSet::new();
        let missing: Vec<&(&str, String)> = {
            let cache = self.shared.pipelines.lock().expect("no panic while the cache is held");
            texts.iter().filter(|(_, text)| !cache.contains_key(text) && seen.insert(text.as_str())).collect()
        };
        let next = AtomicUsize::new(0);
        let worker = || {
            let mut made = vec![];
            while let Some((entry, text)) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                made.push((text.clone(), self.pipeline(entry, text)));
            }
            made
        };
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(missing.len());
        let made: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().flat_map(|w| w.join().expect("a driver does not panic")).collect()
        });
        let mut cache = self.shared.pipelines.lock().expect("no panic while the cache is held");
        for (text, pipeline) in made {
            cache.insert(text, pipeline?);
        }
        Ok(texts.iter().map(|(_, text)| cache[text].clone()).collect())
    }

    fn pipeline(&self, name: &str, text: &str) -> Result<wgpu::ComputePipeline> {
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
            layout: None,
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
    // SAFETY: every kernel guards its own accesses and has constant loop bounds. tests/ops.rs runs each of them with
    // and without the checks on shapes that are not multiples of its tiles, and compares both with the reference.
    unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
}
