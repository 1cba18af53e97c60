//! What becomes of a scalar function after an operation whose kernels can end in one.

use lenslet::check::{Built, Case, Random, Value, agrees, interpret};
use lenslet::compile::{compile_with, first, fuse, gradients};
use lenslet::cpu::budget;
use lenslet::gpu::GpuSession;
use lenslet::ops::{From, TABLE};
use lenslet::tensor::View;
use lenslet::{Gpu, Graph, TensorType};

/// Some scalar functions, others for each case, after the case's result, in the same kernel, where its operation takes
/// one.
pub fn every_result(case: &Case, gpu: &Gpu) {
    let start = Random::of(&case.name).bits() as usize;
    for row in TABLE.iter().cycle().skip(start % TABLE.len()).take(3) {
        let built = Built::of(case).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        let Built { mut graph, inputs: ids, values, y } = built;
        if !graph.traits(y).takes_epilogue {
            return;
        }
        let z = graph.unary(row.name, y).unwrap();
        graph.output(z);
        let plan = compile_with(&graph, gpu.limits(), &first).unwrap();
        let fused = fuse(&graph);
        let op = fused.node(z).op().expect("computed").clone();
        assert_eq!(fused.node(z).inputs(), graph.node(y).inputs(), "{} takes no {}", case.name, row.name);
        let session = GpuSession::from_plan(gpu, &graph, plan).unwrap();
        for (id, value) in ids.iter().zip(&values) {
            value.with_host_data(graph.dtype(*id), |data| session.write(*id, data)).unwrap();
        }
        session.submit(1);
        let got = session.read(z).unwrap();
        let all = interpret(&graph, &values);
        let (Value::Numbers(plain), Value::Numbers(want)) = (&all[y.index()], &all[z.index()]) else {
            panic!("numbers");
        };
        let views: Vec<View> = graph.node(y).inputs().iter().zip(&values).map(|(i, v)| v.view(graph.ty(*i))).collect();
        let before = budget(graph.node(y).op().expect("computed").as_ref(), &graph.io(y), &views, plain);
        let scalar = graph.node(z).op().expect("computed");
        let own = budget(scalar.as_ref(), &graph.io(z), &[View::new(graph.shape(y), plain)], want);
        for i in 0..want.len() {
            // The error before the scalar function passes through it, perhaps out of where it is defined.
            let a = row.parameter.as_ref().map_or(0.0, |p| f64::from(p.default));
            let [below, above] = [-before[i], before[i]].map(|error| ((row.f)(plain[i] + error, a) - want[i]).abs());
            let allowed = own[i] + below.max(above);
            let (got, want) = (f64::from(got[i]), want[i]);
            assert!(
                agrees(got, want, allowed) || below.is_nan() != above.is_nan(),
                "OPS_CASE={:?}: {op:?}: element {i} is {got}, the reference says {want}, allowed {allowed:.3e}",
                case.name
            );
        }
    }
}

/// A product, then a scalar function, then its gradient: joined only if the gradient does not read the product.
pub fn what_the_gradient_reads_is_kept() {
    for row in TABLE {
        let mut graph = Graph::new();
        let a = graph.input("a", TensorType::f32([2, 3])).unwrap();
        let b = graph.input("b", TensorType::f32([3, 4])).unwrap();
        let x = graph.matmul(a, b, false, false).unwrap();
        let y = graph.unary(row.name, x).unwrap();
        let da = gradients(&mut graph, y, &[a]).unwrap()[0];
        graph.output(da);
        graph.output(y);
        let joined = fuse(&graph).node(y).inputs() == [a, b];
        assert_eq!(joined, row.from == From::Y, "{}", row.name);
    }
}
