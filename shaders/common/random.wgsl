// The upper 32 bits of the 64-bit product, from products of 16-bit halves.
fn upper(a: u32, b: u32) -> u32 {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let cross = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let other = (a & 0xffffu) * (b >> 16u) + (cross & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (cross >> 16u) + (other >> 16u);
}

// Philox4x32 with ten rounds: 128 random bits of a counter under a key.
fn philox(counter: vec4<u32>, seed: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var key = seed;
    for (var round = 0u; round < 10u; round++) {
        c = vec4<u32>(
            upper(0xcd9e8d57u, c.z) ^ c.y ^ key.x,
            0xcd9e8d57u * c.z,
            upper(0xd2511f53u, c.x) ^ c.w ^ key.y,
            0xd2511f53u * c.x,
        );
        key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return c;
}
