// What: y[n, c, p, q] = clamp(GAIN * v + OFFSET), where v is x[n, c] at (X_X q + X_Y p + X_0, Y_X q + Y_Y p + Y_0) by
// bilinear interpolation; the coefficients are random per image n. In integers, as src/ops/training/warp.rs
// Shapes: x, y [N,C,H,W]; step [1]; one invocation per up to 8 elements of an image, LANES apart
// joined with common/random.wgsl

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> step_number: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

const N: u32 = 64u;
const C: u32 = 1u;
const H: u32 = 28u;
const W: u32 = 28u;
const SEED_LOW: u32 = 1u;
const SEED_HIGH: u32 = 0u;
// Maxima in either direction: turns in 2^-24; slopes, pixels and tones in 2^-16; the crop in pixels.
const TURN: u32 = 0u;
const SLOPE: u32 = 0u;
const ZOOM: u32 = 65536u;
const ZOOM_SPAN: u32 = 0u;
const SHIFT_X: u32 = 0u;
const SHIFT_Y: u32 = 0u;
const CROP: u32 = 0u;
// 1: left-right; 2: top-bottom; 3: both.
const FLIPS: u32 = 0u;
const BRIGHTNESS: u32 = 0u;
const CONTRAST: u32 = 0u;
// Padding mode: 0 FILL_VALUE, 1 nearest pixel, 2 reflection.
const FILL: u32 = 0u;
const FILL_VALUE: f32 = 0.0;

const ROW = C * H * W;
const LANES = (ROW + 7u) / 8u;

fn random(block: u32, image: u32) -> vec4<u32> {
    return philox(vec4<u32>(block, step_number[0], image, 1u), vec2<u32>(SEED_LOW, SEED_HIGH));
}

// A random integer from -most to most.
fn around_zero(word: u32, most: u32) -> i32 {
    return i32(upper(word, 2u * most + 1u)) - i32(most);
}

// The product of numbers below 256 in 2^-16, rounded toward 0.
fn times(a: i32, b: i32) -> i32 {
    let size = i32(upper(u32(abs(a)) << 8u, u32(abs(b)) << 8u));
    return select(size, -size, (a ^ b) < 0);
}

// Cosine and sine in 2^-16 of an angle in 2^-32 turns: a Taylor series up to an eighth of a turn, then symmetry.
fn direction(angle: u32) -> vec2<i32> {
    let part = angle & 0x3fffffffu;
    let mirrored = part > 0x20000000u;
    let r = upper(select(part, 0x40000000u - part, mirrored) << 2u, 3373259426u) << 1u;
    let z = upper(r, r);
    let c = upper(z, 2147483648u - upper(z, 178956971u - upper(z, 5965232u - upper(z, 106522u))));
    let s = upper(r, upper(z, 715827883u - upper(z, 35791394u - upper(z, 852176u))));
    var turned = vec2<i32>(65536 - i32((c + 32768u) >> 16u), i32((r - s + 32768u) >> 16u));
    turned = select(turned, turned.yx, mirrored);
    if (angle & 0x40000000u) != 0u {
        turned = vec2<i32>(-turned.y, turned.x);
    }
    return select(turned, -turned, (angle & 0x80000000u) != 0u);
}

// The index that replaces one outside the image.
fn inside(i: i32, size: i32) -> u32 {
    if FILL == 2u {
        let place = (i % (2 * size) + 2 * size) % (2 * size);
        return u32(select(place, 2 * size - 1 - place, place >= size));
    }
    return u32(clamp(i, 0, size - 1));
}

// The weighted value of one pixel; without weight it is not read, because it may be NaN.
fn tap(plane: u32, column: i32, row: i32, share: f32) -> f32 {
    if share == 0.0 {
        return 0.0;
    }
    if FILL == 0u && (column < 0 || row < 0 || column >= i32(W) || row >= i32(H)) {
        return share * FILL_VALUE;
    }
    let place = plane + inside(row, i32(H)) * W + inside(column, i32(W));
    return share * x[place];
}

@compute @workgroup_size(64)
fn augment(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(workgroup, grid) * 64u + lane;
    if i >= N * LANES {
        return;
    }
    let image = i / LANES;

    var shift = vec2<i32>();
    if SHIFT_X + SHIFT_Y + CROP > 0u {
        let words = random(0u, image);
        let whole = vec2<i32>(around_zero(words.z, CROP), around_zero(words.w, CROP));
        shift = vec2<i32>(around_zero(words.x, SHIFT_X), around_zero(words.y, SHIFT_Y)) + 65536 * whole;
    }
    var to_x = vec2<i32>(65536, 0);
    var to_y = vec2<i32>(0, 65536);
    if TURN + SLOPE + ZOOM_SPAN + FLIPS > 0u || ZOOM != 65536u {
        let words = random(1u, image);
        let zoom = ZOOM + upper(words.z, ZOOM_SPAN + 1u);
        let inverse = i32((0u - zoom) / zoom + 1u);
        let turned = direction(u32(around_zero(words.x, TURN)) << 8u);
        let slope = around_zero(words.y, SLOPE);
        to_y = vec2<i32>(-times(turned.y, inverse), times(turned.x, inverse));
        to_x = vec2<i32>(to_y.y - times(slope, to_y.x), -to_y.x - times(slope, to_y.y));
        let flips = words.w & FLIPS;
        to_x = select(to_x, -to_x, (flips & 1u) != 0u);
        to_y = select(to_y, -to_y, (flips & 2u) != 0u);
    }
    // The center is the fixed point.
    let span = vec2<i32>(i32(W) - 1, i32(H) - 1);
    let start = span * 32768 - ((vec2<i32>(dot(to_x, span), dot(to_y, span))) >> vec2<u32>(1u)) - shift;

    var gain = 1.0;
    var offset = 0.0;
    if BRIGHTNESS + CONTRAST > 0u {
        let words = random(2u, image);
        let contrast = around_zero(words.y, CONTRAST);
        gain = f32(65536 + contrast) / 65536.0;
        offset = f32(2 * around_zero(words.x, BRIGHTNESS) - contrast) / 131072.0;
    }

    for (var k = 0u; k < 8u; k++) {
        let element = i % LANES + k * LANES;
        if element < ROW {
            let to = vec2<i32>(i32(element % W), i32(element / W % H));
            let at = start + vec2<i32>(dot(to_x, to), dot(to_y, to));
            let first = at >> vec2<u32>(16u);
            let share = vec2<f32>(at & vec2<i32>(65535)) / 65536.0;
            let plane = image * ROW + element / (H * W) * (H * W);
            let above = tap(plane, first.x, first.y, (1.0 - share.x) * (1.0 - share.y))
                + tap(plane, first.x + 1, first.y, share.x * (1.0 - share.y));
            let below = tap(plane, first.x, first.y + 1, (1.0 - share.x) * share.y)
                + tap(plane, first.x + 1, first.y + 1, share.x * share.y);
            var v = above + below;
            if BRIGHTNESS + CONTRAST > 0u {
                v = at_most(at_least(gain * v + offset, 0.0), 1.0);
            }
            y[image * ROW + element] = v;
        }
    }
}
