// What: candidates[n, part] = the first c of the part's 4096 with the largest logits[n,c], if that exceeds logits[n,0],
// else 0: the row's argmax is among its candidates
// Shapes: logits [N,C], candidates [N,PARTS]; one invocation per part

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> candidates: array<u32>;

const C: u32 = 10000u;
const PARTS: u32 = 3u;

@compute @workgroup_size(64)
fn largest_class(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= arrayLength(&candidates) {
        return;
    }
    let row = i / PARTS * C;
    let first = i % PARTS * 4096u;
    var best = 0u;
    var most = logits[row];
    for (var c = first; c < min(first + 4096u, C); c++) { // rounds: 4096u
        let logit = logits[row + c];
        if logit > most {
            most = logit;
            best = c;
        }
    }
    candidates[i] = best;
}
