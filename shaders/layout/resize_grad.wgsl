// What: dx[o,h,i] = sum over p of dy[o,p,i] times the weight of x[o,h,i] in y[o,p,i], in the order of p
// Shapes: dy [outer, TO, INNER], dx [outer, FROM, INNER], FROM and TO below 2^15; one invocation per input

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;

const FROM: u32 = 3u;
const TO: u32 = 6u;
const INNER: u32 = 5u;
const LINEAR: u32 = 1u;

@compute @workgroup_size(64)
fn resize_grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let k = workgroup_index(workgroup, grid) * 64u + lane;
    if k >= arrayLength(&dx) {
        return;
    }
    let i = k % INNER;
    let h = k / INNER % FROM;
    let start = k / (INNER * FROM) * (TO * INNER) + i;
    var sum = 0.0;
    if LINEAR == 0u {
        // floor(p FROM / TO) = h
        let end = ((h + 1u) * TO + FROM - 1u) / FROM;
        for (var p = (h * TO + FROM - 1u) / FROM; p < end; p++) { // rounds: (1u - LINEAR) * (TO / FROM + 1u)
            sum += dy[start + p * INNER];
        }
    } else {
        // Outputs with source coordinates between h - 1 and h + 1, and one more on each side.
        let begin = (2u * max(h, 1u) - 1u) * TO / (2u * FROM);
        let end = min((2u * h + 3u) * TO / (2u * FROM) + 2u, TO);
        for (var p = select(max(begin, 1u) - 1u, 0u, h == 0u); p < end; p++) { // rounds: LINEAR * min(2u * TO / FROM + 4u, TO)
            let at = max((2u * p + 1u) * FROM, TO) - TO;
            let first = at / (2u * TO);
            let second = min(first + 1u, FROM - 1u);
            // The two weights of the last input, which is repeated, are added. From integers: 1 - weight would lose the
            // digits of a small one.
            let past = at % (2u * TO);
            let shares = select(0u, 2u * TO - past, first == h) + select(0u, past, second == h);
            let weight = f32(shares) / f32(2u * TO);
            // Skipped without weight: 0 * dy would be NaN for an infinite dy.
            if weight > 0.0 {
                sum += weight * dy[start + p * INNER];
            }
        }
    }
    dx[k] = sum;
}
