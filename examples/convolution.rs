//! A single convolution on the GPU: `cargo run --release --example convolution`.

use lenslet::{Gpu, Graph, Tensor, TensorType, Window, device};

fn main() -> lenslet::Result<()> {
    let gpu = Gpu::new()?;
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([1, 1, 8, 8]))?;
    let w = graph.input("w", TensorType::f32([2, 1, 3, 3]))?;
    let y = graph.conv2d(x, w, None, Window::new(3).padding(1))?;
    graph.output(y);
    let image = Tensor::from_fn([1, 1, 8, 8], |i| if i % 8 < 4 { 0.0 } else { 1.0 }); // dark left, bright right
    let filters = Tensor::new(
        [2, 1, 3, 3],
        vec![
            -1.0, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0, // answers to vertical edges
            -1.0, -2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0, 1.0, // answers to horizontal edges
        ],
    )?;
    let maps = device::run(&gpu, &graph, &[(x, &image), (w, &filters)])?;
    for (name, map) in ["vertical edges", "horizontal edges"].iter().zip(maps[0].data().chunks(64)) {
        println!("{name}");
        map.chunks(8).for_each(|row| println!("{}", row.iter().map(|v| format!("{v:4}")).collect::<String>()));
    }
    Ok(())
}
