//! Every operation, from a table of cases: its gradient against central differences on the f64 reference, and every
//! kernel candidate, checked and trusted, plain and in place, against the reference, with outputs poisoned with NaN.
//!
//! To see one case: `OPS_CASE="conv2d lenet conv1" cargo test --test ops -- --nocapture`.

mod check;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/differences.rs"]
mod differences;
mod ends;
mod fused;
mod halves;
mod inlined;
mod special;

use lenslet::ShaderChecks;
use lenslet::check::Case;
use lenslet::check::cases::all;

fn selected() -> Vec<Case> {
    let wanted = std::env::var("OPS_CASE").unwrap_or_default();
    all().into_iter().filter(|case| case.name.contains(&wanted)).collect()
}

#[test]
fn shapes_inferred_are_shapes_produced_and_gradients_match_central_differences() {
    for case in selected().iter().filter(|case| case.differentiable) {
        check::gradients(case);
    }
}

#[test]
fn every_trusted_kernel_matches_the_reference() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    selected().iter().for_each(|case| check::kernels(case, &gpu));
}

#[test]
fn every_checked_kernel_matches_the_reference() {
    let Some(gpu) = common::gpu(ShaderChecks::Checked) else { return };
    selected().iter().for_each(|case| check::kernels(case, &gpu));
}

#[test]
fn what_the_cpu_does_in_f32_matches_the_reference() {
    let tried: Vec<&str> = selected().iter().flat_map(check::on_cpu).collect();
    let wanted = std::env::var("OPS_CASE").unwrap_or_default();
    let missing = ["conv2d", "conv2d_grad_weight", "max_pool2d_grad", "matmul", "sum", "relu", "sgd", "adamw"]
        .into_iter()
        .find(|operation| !tried.contains(operation));
    assert!(!wanted.is_empty() || missing.is_none(), "no case of {missing:?} went by its own path");
}

#[test]
fn fused_forms_match_the_plain_ones() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    for case in selected().iter().filter(|case| !case.updates) {
        fused::every_result(case, &gpu);
    }
}

#[test]
fn what_is_computed_where_it_is_read_matches_the_reference() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    inlined::every_reader(&gpu);
    inlined::what_pays_to_be_written_is(&gpu);
}

#[test]
fn what_kernels_leave_is_what_the_reference_finds() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    let left: usize = selected().iter().filter(|case| case.joined).map(|case| fused::what_is_left(case, &gpu)).sum();
    assert!(left > 0 || std::env::var("OPS_CASE").is_ok(), "no kernel leaves anything");
}

#[test]
fn wild_numbers_go_through_every_operation() {
    let gpu = common::gpu(ShaderChecks::Trusted);
    selected().iter().for_each(|case| special::wild(case, gpu.as_ref()));
}

#[test]
fn halves_are_what_floats_are_but_for_the_storing() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted).filter(|gpu| gpu.limits().f16) else { return };
    let mut seen = halves::Seen::new();
    selected().iter().for_each(|case| halves::kernels(case, &gpu, &mut seen));
    let wanted = std::env::var("OPS_CASE").unwrap_or_default();
    let missing =
        ["conv2d_block", "conv2d_subgroup", "conv2d_grad_weight_rows", "matmul_block", "max_pool2d_grad", "unary"]
            .into_iter()
            .filter(|name| !name.ends_with("_subgroup") || gpu.limits().subgroup == Some(8))
            .find(|name| !seen.keys().any(|(shader, _)| shader == name));
    assert!(!wanted.is_empty() || missing.is_none(), "no case of {missing:?} took halves");
}

#[test]
fn activations_end_as_those_of_pytorch() {
    ends::activations(common::gpu(ShaderChecks::Trusted).as_ref());
}

#[test]
fn norms_of_numbers_that_no_training_should_see() {
    ends::norms(common::gpu(ShaderChecks::Trusted).as_ref());
}

#[test]
fn losses_are_what_their_formulas_say() {
    special::losses_by_hand();
}

#[test]
fn a_function_whose_slope_needs_its_argument_is_not_fused_in_training() {
    fused::what_the_gradient_reads_is_kept();
}

#[test]
fn shifting_the_input_of_a_convolution_shifts_its_response() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    check::translation_equivariance(&gpu);
}
