// What: classes[step*N + i] = the first c with the largest logits[i,c]; rows past the end are not written
// Shapes: classes [L], logits [N,C], step [1]

@group(0) @binding(0) var<storage, read_write> classes: array<f32>;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> step_number: array<u32>;
@group(0) @binding(3) var<storage, read> candidates: array<u32>;

const L: u32 = 10000u;
const N: u32 = 64u;
const C: u32 = 10u;
// Classes to look at: all, or the candidates that largest_class found.
const COUNT: u32 = 10u;

fn class_of(row: u32, k: u32) -> u32 { return candidates[row * COUNT + k]; }

@compute @workgroup_size(64)
fn classify(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    // The step is bounded before it is multiplied: the product could wrap.
    let row = min(step_number[0], L / N + 1u) * N + i;
    if i >= N || row >= L {
        return;
    }
    var best = 0u;
    var most = logits[i * C];
    for (var k = 0u; k < COUNT; k++) {
        let c = class_of(i, k);
        let logit = logits[i * C + c];
        if logit > most {
            most = logit;
            best = c;
        }
    }
    classes[row] = f32(best);
}
