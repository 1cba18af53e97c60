//! What a session promises, alike on every device: what a value reads as, and which graphs are refused.

mod common;

use lenslet::device::Session;
use lenslet::{Device, Graph, NodeId, Result, ShaderChecks, TensorType, Window};

/// The CPU, and the GPU if there is one.
fn devices() -> Vec<Device> {
    std::iter::once(Device::Cpu).chain(common::gpu(ShaderChecks::Trusted).map(Device::Gpu)).collect()
}

#[test]
fn integers_and_bytes_read_as_their_values() -> Result<()> {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([1, 1, 2, 4]))?;
    let labels = graph.input("labels", TensorType::u32([3]))?;
    let bytes = graph.input("bytes", TensorType::u8([3, 1, 1, 2]))?;
    let order = graph.input("order", TensorType::u32([3]))?;
    let step = graph.input("step", TensorType::u32([1]))?;
    let [maxima, positions] = graph.max_pool2d_with_positions(x, Window::new(2).stride(2))?;
    let same = graph.copy(labels)?;
    let pictures = graph.gather_images(bytes, order, step, 3)?;
    [maxima, positions, same, pictures].into_iter().for_each(|node| graph.output(node));
    for device in devices() {
        let mut session = Session::new(&device, &graph)?;
        session.write(x, [0.5f32, 1.5, 3.0, 2.0, 2.5, 1.0, 0.0, 4.0].as_slice())?;
        session.write(labels, [7u32, 16_777_217, u32::MAX].as_slice())?;
        session.write(bytes, [0u8, 1, 2, 253, 254, 255].as_slice())?;
        session.run(1);
        let about = device.name();
        assert_eq!(session.read(maxima)?, [2.5, 4.0], "{about}");
        assert_eq!(session.read(positions)?, [4.0, 7.0], "{about}");
        assert_eq!(session.read(bytes)?, [0.0, 1.0, 2.0, 253.0, 254.0, 255.0], "{about}");
        for node in [labels, same] {
            assert_eq!(session.read_f64(node)?, [7.0, 16_777_217.0, 4_294_967_295.0], "{about}");
            assert_eq!(session.read(node)?, [7.0, 16_777_216.0, 4_294_967_296.0], "{about}");
        }
    }
    Ok(())
}

/// What a batch of three is taken for, added to a variable once a step.
fn counting(tally: impl Fn(&mut Graph) -> Result<NodeId>) -> Result<(Graph, [NodeId; 3])> {
    let mut graph = Graph::new();
    let tally = tally(&mut graph)?;
    let logits = graph.input("logits", TensorType::f32([3, 2]))?;
    let labels = graph.input("labels", TensorType::u32([3]))?;
    let before = graph.reshape(tally, [4, 2])?;
    graph.tally(tally, logits, labels)?;
    Ok((graph, [logits, labels, before]))
}

#[test]
fn a_view_of_a_variable_that_the_step_replaces_is_no_output() -> Result<()> {
    let (mut graph, [logits, labels, before]) = counting(|graph| graph.variable("tally", TensorType::u32([2, 4])))?;
    let tally = graph.node(before).inputs()[0];
    let mut viewed = graph.clone();
    viewed.output(before);
    let copied = graph.copy(before)?;
    graph.output(copied);
    for device in devices() {
        let refused = Session::new(&device, &viewed).err().expect("a view of what is replaced").to_string();
        assert!(refused.contains("output 3 is a view of the variable 0 (\"tally\")"), "{refused}");
        assert!(refused.contains("a copy of the view"), "{refused}");
        assert!(device.check(&viewed).is_err(), "{}", device.name());
        let mut session = Session::new(&device, &graph)?;
        session.write(logits, [0.0f32, 1.0, 1.0, 0.0, 0.0, 1.0].as_slice())?;
        session.write(labels, [0u32, 0, 1].as_slice())?;
        session.run(1);
        let about = device.name();
        assert_eq!(session.read(copied)?, [0.0; 8], "{about}: before the step");
        assert_eq!(session.read(tally)?, [1.0, 1.0, 0.0, 2.0, 0.0, 1.0, 0.0, 1.0], "{about}: after it");
    }
    Ok(())
}

#[test]
fn a_graph_that_breaks_its_invariants_is_refused_in_every_build() -> Result<()> {
    let (graph, _) = counting(|graph| graph.input("tally", TensorType::u32([2, 4])))?;
    for device in devices() {
        let refused = device.check(&graph).unwrap_err().to_string();
        assert!(refused.contains("updates node 0, which is no variable"), "{refused}");
        assert!(Session::new(&device, &graph).is_err(), "{}", device.name());
    }
    Ok(())
}
