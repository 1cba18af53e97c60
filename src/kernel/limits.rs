//! What a device allows.

/// What one dispatch may ask of the device: WebGPU's names, WebGPU's defaults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes one binding may span.
    pub max_storage_buffer_binding_size: u64,
    /// Bytes of one buffer.
    pub max_buffer_size: u64,
    /// Storage buffers of one dispatch.
    pub max_storage_buffers_per_shader_stage: u32,
    /// Workgroups along one axis.
    pub max_compute_workgroups_per_dimension: u32,
    /// Threads of one workgroup.
    pub max_compute_invocations_per_workgroup: u32,
    /// Invocations of a subgroup, if shaders may use subgroups and all have this size. None in core WebGPU.
    pub subgroup: Option<u32>,
    /// Whether shaders may have 16-bit floats: WebGPU's feature `shader-f16`.
    pub f16: bool,
    /// Whether the device is a driver that computes on the CPU.
    pub software: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_storage_buffer_binding_size: 128 << 20,
            max_buffer_size: 256 << 20,
            max_storage_buffers_per_shader_stage: 8,
            max_compute_workgroups_per_dimension: 65_535,
            max_compute_invocations_per_workgroup: 256,
            subgroup: None,
            f16: false,
            software: false,
        }
    }
}

impl Limits {
    /// Whether invocations should share what they load through workgroup memory. Software drivers keep an invocation's
    /// state in memory at each barrier, and subgroups of eight share without any.
    pub fn prefers_workgroup_memory(&self) -> bool {
        !self.software && self.subgroup != Some(8)
    }

    /// What is asked of a desktop's GPU beyond WebGPU's defaults and given by all makes: 16 storage buffers a stage, and
    /// 16-bit floats.
    pub fn desktop() -> Self {
        Self { max_storage_buffers_per_shader_stage: 16, f16: true, ..Self::default() }
    }

    /// WebGPU's defaults, and subgroups of this size.
    pub fn with_subgroups(size: u32) -> Self {
        Self { subgroup: Some(size), ..Self::default() }
    }
}
