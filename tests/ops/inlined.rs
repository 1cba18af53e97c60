//! What becomes of an operation whose elements the next kernels compute where they read them.

use lenslet::check::{Fill, Random, Trial, Value};
use lenslet::compile::{inline, pull_back};
use lenslet::cpu::Reference;
use lenslet::kernel::Limits;
use lenslet::{Gpu, Graph, NodeId, Padding, Result, TensorType, Window};

/// Appends a value of this shape that is computed element by element from leaves of its own, told to the second argument.
type Produce = fn(&mut Graph, &mut Vec<(NodeId, Fill)>, &[usize]) -> Result<NodeId>;
/// Appends what reads that value, and returns its nodes.
type Consume = fn(&mut Graph, &mut Vec<(NodeId, Fill)>, NodeId) -> Result<Vec<NodeId>>;

fn leaf(graph: &mut Graph, leaves: &mut Vec<(NodeId, Fill)>, ty: TensorType, fill: Fill) -> Result<NodeId> {
    let leaf = graph.input("leaf", ty)?;
    leaves.push((leaf, fill));
    Ok(leaf)
}

const PRODUCERS: [(&str, Produce); 8] = [
    ("relu", |graph, leaves, shape| {
        let x = leaf(graph, leaves, TensorType::f32(shape), Fill::Any)?;
        graph.relu(x)
    }),
    ("gradient of tanh", |graph, leaves, shape| {
        let x = leaf(graph, leaves, TensorType::f32(shape), Fill::Any)?;
        let dy = leaf(graph, leaves, TensorType::f32(shape), Fill::Any)?;
        let y = graph.tanh(x)?;
        Ok(pull_back(graph, y, dy, &[x])?[0])
    }),
    ("sum", |graph, leaves, shape| {
        let a = leaf(graph, leaves, TensorType::f32(shape), Fill::Any)?;
        let b = leaf(graph, leaves, TensorType::f32(shape), Fill::Any)?;
        graph.add(a, b)
    }),
    ("gradient of pooling", |graph, leaves, shape| {
        let [n, c, h, w] = shape[..] else { unreachable!("pictures") };
        let size = if w % 2 == 0 { [3, 2] } else { [2, 2] };
        let x = leaf(graph, leaves, TensorType::f32([n, c, h, w]), Fill::Ties)?;
        let y = graph.max_pool2d(
            x,
            Window::new(size).stride(size).padding(Padding::Explicit { top: 1, bottom: 0, left: 0, right: 0 }),
        )?;
        let dy = leaf(graph, leaves, graph.ty(y).clone(), Fill::Any)?;
        Ok(pull_back(graph, y, dy, &[x])?[0])
    }),
    ("gradient of the loss", |graph, leaves, shape| {
        let [n, classes] = shape[..] else { unreachable!("rows") };
        let logits = leaf(graph, leaves, TensorType::f32(shape), Fill::Large)?;
        let labels = leaf(graph, leaves, TensorType::u32([n]), Fill::BelowOrIgnore(classes as u32))?;
        let dy = leaf(graph, leaves, TensorType::f32([]), Fill::Any)?;
        let loss = graph.softmax_cross_entropy(logits, labels)?;
        Ok(pull_back(graph, loss, dy, &[logits])?[0])
    }),
    ("gathered pictures", gathered),
    ("normalized values", |graph, leaves, shape| {
        let x = leaf(graph, leaves, TensorType::f32(shape), Fill::Any)?;
        graph.normalize(x, &[0.25], &[0.5])
    }),
    // Computed inside what is computed inside.
    ("normalized pictures", |graph, leaves, shape| {
        let x = gathered(graph, leaves, shape)?;
        graph.normalize(x, &[0.4, 0.5, 0.6], &[0.3, 0.2, 0.1])
    }),
];

fn gathered(graph: &mut Graph, leaves: &mut Vec<(NodeId, Fill)>, shape: &[usize]) -> Result<NodeId> {
    let mut set = shape.to_vec();
    set[0] = 5;
    let set = leaf(graph, leaves, TensorType::u8(set), Fill::Bytes)?;
    // One index in six names no picture.
    let order = leaf(graph, leaves, TensorType::u32([3 * shape[0]]), Fill::Below(6))?;
    let step = leaf(graph, leaves, TensorType::u32([1]), Fill::Below(4))?;
    graph.gather_images(set, order, step, shape[0])
}

const READERS: [(&str, Consume); 5] = [
    ("convolution", |graph, leaves, x| {
        let (c, padded) = (graph.shape(x)[1], Window::new([3, 2]).padding(Padding::Same));
        let w = leaf(graph, leaves, TensorType::f32([9, c, 3, 2]), Fill::Any)?;
        let b = leaf(graph, leaves, TensorType::f32([9]), Fill::Any)?;
        let strided = leaf(graph, leaves, TensorType::f32([4, c, 2, 2]), Fill::Any)?;
        Ok(vec![graph.conv2d(x, w, Some(b), padded)?, graph.conv2d(x, strided, None, Window::new(2).stride(2))?])
    }),
    ("gradient to filters, of the pictures", |graph, leaves, x| {
        let w = leaf(graph, leaves, TensorType::f32([6, graph.shape(x)[1], 3, 3]), Fill::Any)?;
        let z = leaf(graph, leaves, graph.ty(x).clone(), Fill::Any)?;
        let y = graph.conv2d(z, w, None, Window::new(3).padding(1))?;
        let dy = leaf(graph, leaves, graph.ty(y).clone(), Fill::Any)?;
        let dw = pull_back(graph, y, dy, &[w])?[0];
        let op = graph.node(dw).op().expect("computed").clone();
        Ok(vec![graph.append_shared(op, &[x, dy])?])
    }),
    ("both gradients, of what comes from above", |graph, leaves, dy| {
        let [n, k, p, q] = graph.shape(dy)[..] else { unreachable!("pictures") };
        let w = leaf(graph, leaves, TensorType::f32([k, 5, 2, 2]), Fill::Any)?;
        let x = leaf(graph, leaves, TensorType::f32([n, 5, p + 1, q + 1]), Fill::Any)?;
        let y = graph.conv2d(x, w, None, Window::new(2))?;
        pull_back(graph, y, dy, &[w, x])
    }),
    ("augmentation", |graph, leaves, x| {
        let step = leaf(graph, leaves, TensorType::u32([1]), Fill::Below(100))?;
        let how = "rotate:40,shift:0.2,shear:10,zoom:0.7:1.4,flip:both,contrast:0.3,fill:reflect".parse()?;
        Ok(vec![graph.augment(x, step, how, 3)?])
    }),
    ("two products", |graph, leaves, a| {
        let [m, k] = graph.shape(a)[..] else { return Ok(vec![]) };
        let right = leaf(graph, leaves, TensorType::f32([k, 11]), Fill::Any)?;
        let left = leaf(graph, leaves, TensorType::f32([7, m]), Fill::Any)?;
        Ok(vec![graph.matmul(a, right, false, false)?, graph.matmul(left, a, false, false)?])
    }),
];

/// Every kernel of products and convolutions with an operand that they compute, against the reference, as this device and
/// as a hardware GPU would run it.
pub fn every_reader(gpu: &Gpu) {
    for (produced, produce) in PRODUCERS {
        for (read, reads) in READERS {
            let shape: &[usize] = if read == "two products" { &[13, 9] } else { &[2, 3, 7, 6] };
            let is_for = match produced {
                "gradient of pooling" | "gathered pictures" | "normalized pictures" => shape.len() == 4,
                "gradient of the loss" => shape.len() == 2,
                _ => true,
            };
            if !is_for {
                continue;
            }
            let case = format!("{read} of {produced}");
            let (mut graph, mut leaves) = (Graph::new(), vec![]);
            let x = produce(&mut graph, &mut leaves, shape).unwrap_or_else(|e| panic!("{case}: {e}"));
            let readers = reads(&mut graph, &mut leaves, x).unwrap_or_else(|e| panic!("{case}: {e}"));
            readers.iter().for_each(|&reader| graph.output(reader));
            let mut random = Random::of(&case);
            let values: Vec<Value> = leaves.iter().map(|&(id, fill)| random.value(graph.ty(id), fill)).collect();
            let all = Reference::values(&graph, &values);
            for gpu in [gpu.clone(), gpu.planned_for(Limits::default())] {
                let inlined = inline(&graph, gpu.limits());
                for &reader in &readers {
                    let inputs = inlined.node(reader).inputs();
                    assert!(!inputs.contains(&x), "{case} reads it from memory");
                    let input = |i: &NodeId| (inlined.ty(*i).clone(), all[i.index()].clone());
                    let op = inlined.node(reader).op().expect("computed").clone();
                    let trial = Trial { case: &case, op, inputs: inputs.iter().map(input).collect() };
                    for v in trial.run(&gpu).unwrap_or_else(|e| panic!("{case}: {e}")) {
                        assert!(v.passed, "{case}: {}, kernel {}: {:?}", v.detail, v.kernel, v.worst);
                    }
                }
            }
        }
    }
}

/// What is an output, is read by others too, or would be computed too often is written once.
pub fn what_pays_to_be_written_is(gpu: &Gpu) {
    let inlines = |limits: &Limits, batch: usize, change: fn(&mut Graph, NodeId)| {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([batch, 8, 32, 32])).expect("a shape");
        let w = graph.input("w", TensorType::f32([64, 8, 5, 5])).expect("a shape");
        let doubled = graph.relu(x).expect("a float");
        let y = graph.conv2d(doubled, w, None, Window::new(5)).expect("it fits");
        graph.output(y);
        change(&mut graph, doubled);
        inline(&graph, limits).node(y).inputs()[0] != doubled
    };
    let hardware = Limits::default();
    assert!(inlines(&hardware, 1, |_, _| ()));
    assert!(!inlines(&hardware, 4096, |_, _| ()), "64 filters of 25 taps load each element more than once");
    assert!(!inlines(&hardware, 1, |graph, x| graph.output(x)));
    assert!(!inlines(&hardware, 1, |graph, x| {
        let sum = graph.sum(x, &[], false).expect("a float");
        graph.output(sum);
    }));
    if gpu.limits().software {
        assert!(!inlines(gpu.limits(), 1, |_, _| ()));
    }
}
