// What: for each n whose l = labels[n] is a class: tally[l, argmax of logits[n]] += 1 (the first of equals), and
// tally[l, C+1] += 1 if fewer than TOP classes rank before l, by larger logits or by equal ones with a lower index;
// only tally[l, C] += 1 if a logit of the row is NaN
// Shapes: tally [C,C+2], logits [N,C], labels [N]; one invocation per row
// Cost: one load per logit, at most two atomic additions per row

@group(0) @binding(0) var<storage, read_write> counts: array<atomic<u32>>;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;

const N: u32 = 64u;
const C: u32 = 10u;
const TOP: u32 = 5u;

@compute @workgroup_size(64)
fn tally(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = workgroup_index(workgroup, grid) * 64u + lane;
    if n >= N {
        return;
    }
    let label = labels[n];
    if label >= C {
        return;
    }
    let own = logits[n * C + label];
    var most = logits[n * C];
    var best = 0u;
    var before = 0u;
    var has_nan = false;
    for (var c = 0u; c < C; c++) {
        let v = logits[n * C + c];
        has_nan |= is_nan(v);
        before += select(0u, 1u, v > own || (v == own && c < label));
        if v > most {
            most = v;
            best = c;
        }
    }
    let row = label * (C + 2u);
    atomicAdd(&counts[row + select(best, C, has_nan)], 1u);
    if before < TOP && !has_nan {
        atomicAdd(&counts[row + C + 1u], 1u);
    }
}
