// What: each[n] = (1 if the argmax of logits[n], the first of equals, is labels[n] else 0, 0 if the label is IGNORE
// else 1)
// Shapes: logits [N,C], labels [N], each [N,2]; one invocation per row

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> each: array<f32>;
@group(0) @binding(3) var<storage, read> candidates: array<u32>;

const N: u32 = 64u;
const C: u32 = 10u;
// Number of classes to compare: all, or the candidates of largest_class.
const COUNT: u32 = 10u;
const IGNORE: u32 = 4294967295u;

fn class_of(row: u32, k: u32) -> u32 { return candidates[row * COUNT + k]; }

@compute @workgroup_size(64)
fn count_correct(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = workgroup_index(workgroup, grid) * 64u + lane;
    if n >= N {
        return;
    }
    var largest = logits[n * C];
    var best = 0u;
    for (var k = 0u; k < COUNT; k++) {
        let c = class_of(n, k);
        let v = logits[n * C + c];
        if v > largest {
            largest = v;
            best = c;
        }
    }
    each[2u * n] = select(0.0, 1.0, best == labels[n]);
    each[2u * n + 1u] = select(1.0, 0.0, labels[n] == IGNORE);
}
