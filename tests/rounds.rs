//! No invocation makes so many rounds of loops that a software driver ends them (after 65,535 in all, silently): counted
//! from the text of each dispatch, and tried on sums longer than that.

#[path = "rounds/cases.rs"]
mod cases;
mod common;
#[path = "rounds/text.rs"]
mod text;
#[path = "shaders/textures.rs"]
mod textures;

use cases::small;
use lenslet::ShaderChecks;
use lenslet::check::cases::all;
use lenslet::check::{Built, Case};
use lenslet::kernel::{Limits, MOST_ROUNDS};

/// A loop along one axis of a window may go over all of it, which is at most 32,767 taps.
const MOST: u64 = 3 * MOST_ROUNDS as u64;

fn counted(case: &Case) {
    let mut built = Built::of(case).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    if case.backward {
        built.differentiate(case).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    }
    let graph = &built.graph;
    for id in graph.ids() {
        let Some(op) = graph.node(id).op() else { continue };
        let io = graph.io(id);
        let kernels = [Limits::default(), Limits::with_subgroups(8)].map(|limits| op.kernels(&io, &limits));
        for kernel in kernels.into_iter().flatten() {
            for dispatch in &kernel.dispatches {
                let about = format!("{}: {op:?}, kernel {}, shader {}", case.name, kernel.name, dispatch.shader.name);
                let source = dispatch.source().unwrap_or_else(|e| panic!("{about}: {e}"));
                let rounds = text::rounds(&source).unwrap_or_else(|reason| panic!("{about}: {reason}"));
                assert!(rounds <= MOST, "{about}: {rounds} rounds of loops, at most {MOST}");
            }
        }
    }
}

#[test]
fn no_invocation_loops_for_too_long() {
    all().iter().chain(&cases::all()).for_each(counted);
    for (about, pass) in textures::passes() {
        let source = pass.dispatch.source().unwrap_or_else(|e| panic!("{about}: {e}"));
        let rounds = text::rounds(&source).unwrap_or_else(|reason| panic!("{about}: {reason}"));
        assert!(rounds <= MOST, "{about}: {rounds} rounds of loops, at most {MOST}");
    }
}

#[test]
fn long_loops_end_where_they_should() {
    let Some(gpu) = common::gpu(ShaderChecks::Trusted) else { return };
    let wanted = std::env::var("OPS_CASE").unwrap_or_default();
    for case in small().iter().filter(|case| case.name.contains(&wanted)) {
        for trial in case.trials().unwrap_or_else(|e| panic!("{}: {e}", case.name)) {
            for v in trial.run(&gpu).unwrap_or_else(|e| panic!("OPS_CASE={:?}: {e}", case.name)) {
                let about = format!("OPS_CASE={:?}: {}, kernel {}", v.case, v.operation, v.kernel);
                assert!(v.passed, "{about}: {:?}", v.worst);
            }
        }
    }
}

#[test]
fn rounds_are_counted_with_those_inside() {
    let text = "const R: u32 = 6u / 2u;\nconst S = (R + 1u) * 2u;\nconst TILE_K: u32 = 8u;\nfn f() {\n\
                for (var r = 1u; r < R; r++) {\nfor (var s = 0u; s < S; s++) {\n}\n}\n\
                for (var k = 0u; k < TILE_K; k++) {\nfor (var q = 0u; q < TILE_K; q++) {\n}\n}\n\
                for (var k = 0u; k < TILE_K; k++) {\nfor (var s = 0u; s < S; s++) {\n}\n}\n\
                for (var i = a; i < b; i++) { // rounds: S * 10u\n}\n}\n";
    assert_eq!(text::rounds(text), Ok((2 + 2 * 8) + (8 + 8 * 8) + 80));
    assert!(text::rounds(&text.replace(" // rounds: S * 10u", "")).unwrap_err().contains("i < b"));
}
