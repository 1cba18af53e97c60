// What: moments[0, g] = sums[g] / N if CENTERED, else 0; moments[1, g] = squares[g] / N
// Shapes: squares [GROUPS], sums [GROUPS] (unused unless CENTERED), moments [2, GROUPS]; one invocation per group

@group(0) @binding(0) var<storage, read> sums: array<f32>;
@group(0) @binding(1) var<storage, read> squares: array<f32>;
@group(0) @binding(2) var<storage, read_write> moments: array<f32>;

const GROUPS: u32 = 3u;
const N: u32 = 400u;
const CENTERED: u32 = 1u; // 0 or 1

@compute @workgroup_size(64)
fn moments_staged(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = workgroup_index(workgroup, grid) * 64u + lane;
    if group >= GROUPS {
        return;
    }
    moments[group] = select(0.0, sums[group] / f32(N), CENTERED == 1u);
    moments[GROUPS + group] = squares[group] / f32(N);
}
