//! What naga says about a shader's text.

use std::collections::BTreeSet;

use lenslet::gpu::texture::Bind;
use lenslet::kernel::Limits;
use lenslet::wgpu::TextureFormat;
use naga::valid::{Capabilities, GlobalUse, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, StorageAccess};

use super::nan;

/// Bytes of workgroup memory that every device has.
const WORKGROUP_MEMORY: u32 = 16 << 10;

/// What naga says about a shader.
pub struct Reflection {
    pub entry_point: String,
    /// The number of each binding that is used, and whether it is written. Layouts are made of these.
    pub bindings: Vec<(usize, bool)>,
    /// Those that are no storage buffers.
    pub others: Vec<(usize, Bind)>,
    /// Bindings that are declared only: a kernel may set a function so that nothing reads one (a bias, say).
    pub idle: Vec<String>,
    /// Functions that may lose NaN.
    pub nan_losers: BTreeSet<String>,
}

/// Naga's view of a text.
pub fn validate(about: &str, source: &str) -> (naga::Module, naga::valid::ModuleInfo) {
    let refuse = |message: String| -> ! { panic!("{about}: {message}\n{source}") };
    let module = naga::front::wgsl::parse_str(source).unwrap_or_else(|error| refuse(error.emit_to_string(source)));
    let mut capabilities = Capabilities::empty();
    capabilities.set(Capabilities::SUBGROUP, asks_for_subgroups(source));
    capabilities.set(Capabilities::SHADER_FLOAT16, has_halves(source));
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(SubgroupOperationSet::all());
    let info = validator.validate(&module).unwrap_or_else(|error| refuse(error.emit_to_string(source)));
    (module, info)
}

impl Reflection {
    /// Parses, validates, and holds the rules that need no kernel.
    pub fn of(about: &str, source: &str) -> Self {
        let refuse = |message: String| -> ! { panic!("{about}: {message}\n{source}") };
        let (module, info) = validate(about, source);
        let [entry_point] = &module.entry_points[..] else { refuse("there must be one entry point".into()) };
        if entry_point.workgroup_size.iter().product::<u32>() > Limits::default().max_compute_invocations_per_workgroup
        {
            refuse(format!("workgroups of {:?} are too large", entry_point.workgroup_size));
        }
        let (mut bindings, mut others, mut idle) = (vec![], vec![], vec![]);
        let mut workgroup_memory = 0;
        for (handle, variable) in module.global_variables.iter() {
            let name = variable.name.as_deref().unwrap_or_default();
            if variable.space == AddressSpace::WorkGroup {
                workgroup_memory += module.types[variable.ty].inner.size(module.to_ctx());
            }
            let Some(binding) = &variable.binding else { continue };
            let used = info.get_entry_point(0)[handle];
            if used.is_empty() {
                idle.push(name.to_string());
                continue;
            }
            let AddressSpace::Storage { access } = variable.space else {
                let Some(bind) = other(&module, variable) else { refuse(format!("{name} cannot be bound")) };
                others.push((binding.binding as usize, bind));
                continue;
            };
            let writes = access.contains(StorageAccess::STORE);
            if writes != used.contains(GlobalUse::WRITE) {
                refuse(format!("{name} is declared {access:?}, used for {used:?}"));
            }
            if binding.group != 0 {
                refuse(format!("{name} is in group {}, not 0", binding.group));
            }
            bindings.push((binding.binding as usize, writes));
        }
        if workgroup_memory > WORKGROUP_MEMORY {
            refuse(format!("{workgroup_memory} bytes of workgroup memory, at most {WORKGROUP_MEMORY}"));
        }
        bindings.sort_unstable();
        let (entry_point, nan_losers) = (entry_point.name.clone(), nan::losers(&module, &info));
        Self { entry_point, bindings, others, idle, nan_losers }
    }

    /// All bindings in order.
    pub fn binds(&self) -> Vec<(usize, Bind)> {
        let buffer = |&(number, writes): &(usize, bool)| (number, if writes { Bind::Writes } else { Bind::Reads });
        let mut all: Vec<_> = self.bindings.iter().map(buffer).chain(self.others.iter().copied()).collect();
        all.sort_by_key(|(number, _)| *number);
        all
    }
}

/// What a variable binds that is no storage buffer: only shaders for textures have such.
fn other(module: &naga::Module, variable: &naga::GlobalVariable) -> Option<Bind> {
    use naga::{ImageClass, ImageDimension, StorageFormat, TypeInner};
    let TypeInner::Image { dim: ImageDimension::D2, arrayed: false, class } = module.types[variable.ty].inner else {
        return (variable.space == AddressSpace::Uniform).then_some(Bind::Uniform);
    };
    match class {
        ImageClass::Sampled { kind: naga::ScalarKind::Float, multi: false } => Some(Bind::Loads),
        ImageClass::Storage { format, access: StorageAccess::STORE } => match format {
            StorageFormat::Rgba8Unorm => Some(Bind::Stores(TextureFormat::Rgba8Unorm)),
            StorageFormat::Rgba16Float => Some(Bind::Stores(TextureFormat::Rgba16Float)),
            StorageFormat::Rgba32Float => Some(Bind::Stores(TextureFormat::Rgba32Float)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether its author says so, by asking for a lane's number.
pub fn asks_for_subgroups(source: &str) -> bool {
    source.contains("@builtin(subgroup_")
}

/// Whether it has bindings stored as halves.
pub fn has_halves(source: &str) -> bool {
    source.starts_with("enable f16;")
}
