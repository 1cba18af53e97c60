//! Gradients against central differences.

use std::cell::RefCell;

use lenslet::check::{Built, Case, Random, Value};
use lenslet::cpu::Reference;

/// Compares the gradient of a weighted sum of the result with central differences on the f64 reference, at some
/// elements of each float input. The error names the differing element and both values.
pub fn check(case: &Case) -> Result<(), String> {
    let mut built = Built::of(case).map_err(|e| e.to_string())?;
    let (upstream, grads) = built.differentiate(case).map_err(|e| e.to_string())?;
    let floats = built.floats();
    let Built { mut graph, inputs: ids, values, y } = built;
    graph.output(y);
    grads.iter().for_each(|grad| graph.output(*grad));
    let session = RefCell::new(Reference::new(&graph).map_err(|e| e.to_string())?);
    let run = |values: &[Value]| {
        let mut session = session.borrow_mut();
        for (id, value) in ids.iter().zip(values) {
            let Value::Numbers(v) = value else { panic!("bytes have no gradient") };
            session.write_f64(*id, v).unwrap();
        }
        session.step();
        session.read_f64(y).unwrap().iter().zip(&upstream).map(|(y, w)| y * w).sum::<f64>()
    };
    run(&values);
    let analytic: Vec<Vec<f64>> = grads.iter().map(|g| session.borrow().read_f64(*g).unwrap().to_vec()).collect();
    let mut random = Random::of(&format!("{} elements", case.name));
    for (&input, analytic) in floats.iter().zip(&analytic) {
        assert_eq!(analytic.len(), graph.shape(ids[input]).elements(), "{}: shape of the gradient", case.name);
        let tries = analytic.len().min(12);
        for attempt in 0..tries {
            let at = if tries < 12 { attempt } else { random.bits() as usize % analytic.len() };
            let shifted = |h: f64| {
                let mut values = values.clone();
                if let Value::Numbers(v) = &mut values[input] {
                    v[at] += h;
                }
                run(&values)
            };
            // A step may cross an edge of the function; a shorter step does not. The rounding of the sum, divided by
            // the step, limits the precision of the difference.
            let agrees = |h: f64| {
                let (above, below) = (shifted(h), shifted(-h));
                let numeric = (above - below) / (2.0 * h);
                let blur = 4.0 * f64::EPSILON * above.abs().max(below.abs()) / h;
                let wrong = (numeric - analytic[at]).abs() >= 1e-6 * numeric.abs().max(1.0) + blur;
                let close = !(wrong || numeric.is_nan() || analytic[at].is_nan());
                if close { Ok(()) } else { Err(numeric) }
            };
            if let Err(numeric) = agrees(1e-5).or_else(|_| agrees(1e-8)) {
                let gradient = analytic[at];
                return Err(format!("input {input} element {at}: gradient {gradient}, central difference {numeric}"));
            }
        }
    }
    Ok(())
}
