//! Operations with random operands and options, and small networks of random layers: a clear error or a right result,
//! never a panic. Right is: every kernel within its budget of the f64 reference, outputs poisoned with NaN; gradients
//! within central differences of the reference; whole networks, with their memory plan, as the reference.
//!
//! What fails is made as small as it goes and printed as one line, which runs alone when pasted back:
//! `PROPERTY_CASE='conv2d x=[1,2,3,4] …' cargo test --test property`. The cases are the same each time;
//! `PROPERTY_SEED=7` draws others. The long test runs with `cargo test --test property -- --ignored`.

mod chain;
mod changes;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/differences.rs"]
mod differences;
mod line;
mod operations;
mod trial;

use std::cell::RefCell;

use lenslet::{Gpu, ShaderChecks};
use proptest::prelude::*;
use proptest::strategy::Union;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use line::{Fields, Line};
use trial::{Devices, Outcome, try_line};

/// A line, and whether it was changed after it was drawn.
type Drawn = (Line, bool);

fn lines() -> impl Strategy<Value = Drawn> {
    let of = |name: &'static str, fields: BoxedStrategy<Fields>| fields.prop_map(move |fields| (name, fields)).boxed();
    let mut drawn: Vec<_> = operations::all().iter().map(|o| (2, of(o.name, (o.draw)()))).collect();
    // Convolution has the most options, and networks the most ways to go wrong.
    drawn[..2].iter_mut().for_each(|(weight, _)| *weight = 10);
    drawn.push((12, of(chain::NAME, chain::draw())));
    let shaders = prop_oneof![Just(ShaderChecks::Trusted), Just(ShaderChecks::Checked)];
    let change = proptest::option::weighted(0.25, changes::change());
    (Union::new_weighted(drawn), shaders, 0u64..1_000_000, change).prop_map(
        |((name, fields), shaders, seed, change)| {
            let fields = fields.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
            let mut line = Line { operation: name.into(), fields, shaders, seed };
            let changed = change.is_some();
            change.iter().for_each(|change| change.apply(&mut line));
            (line, changed)
        },
    )
}

/// How many lines turned out how.
#[derive(Default, Debug)]
struct Count {
    computed: usize,
    planned: usize,
    refused: usize,
}

/// Draws so many lines from the stream of that number and tries each; a failure ends the test with its line.
fn run(cases: u32, stream: u8, devices: impl Fn(u32) -> Devices) -> Count {
    let seed: u64 = std::env::var("PROPERTY_SEED").map_or(0, |n| n.parse().expect("PROPERTY_SEED is a number"));
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] = stream;
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    let state = RefCell::new((Count::default(), 0, Devices::default()));
    let one = |(line, changed): Drawn| {
        let mut state = state.borrow_mut();
        let (count, number, held) = &mut *state;
        if *number % DEVICE_CASES == 0 {
            // The old ones, with all their pipelines, go before the new ones come.
            *held = Devices::default();
            *held = devices(*number);
        }
        *number += 1;
        if std::env::var("SURVEY").is_ok() {
            match try_line(&line, held) {
                Err(e) => eprintln!("FAIL {line:?} :: {}", e.replace('\n', " ")),
                Ok(Outcome::Refused(e)) if !changed => eprintln!("FAIL {line:?} :: refused {e}"),
                _ => {}
            }
            return Ok(());
        }
        match try_line(&line, held).map_err(TestCaseError::fail)? {
            Outcome::Refused(error) if !changed => {
                return Err(TestCaseError::fail(format!("this is right, but was refused: {error}")));
            }
            Outcome::Refused(_) => count.refused += 1,
            Outcome::Planned => count.planned += 1,
            Outcome::Computed => count.computed += 1,
        }
        Ok(())
    };
    match TestRunner::new_with_rng(config, rng).run(&lines(), one) {
        Ok(()) => state.into_inner().0,
        Err(TestError::Fail(reason, (line, _))) => {
            panic!("\n{reason}\nPROPERTY_CASE={line:?} cargo test --test property\n")
        }
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

/// Cases on one device: its pipelines, many for each case, take memory as long as it lives.
const DEVICE_CASES: u32 = 200;

fn opened() -> Devices {
    Devices { trusted: common::gpu(ShaderChecks::Trusted), checked: common::gpu(ShaderChecks::Checked) }
}

#[test]
fn random_operations_are_refused_or_right() {
    if let Ok(text) = std::env::var("PROPERTY_CASE") {
        let line: Line = text.parse().unwrap_or_else(|e| panic!("PROPERTY_CASE={text:?}: {e}"));
        match try_line(&line, &opened()) {
            Ok(outcome) => println!("{line}: {outcome:?}"),
            Err(reason) => panic!("\n{reason}\nPROPERTY_CASE={line:?}"),
        }
        return;
    }
    let count = run(std::env::var("SURVEY").map_or(250, |n| n.parse().unwrap()), 0, |_| opened());
    assert!(count.computed > 170, "{count:?}: most lines are right");
}

#[test]
#[ignore = "takes minutes; scripts/test --long runs it"]
fn ten_thousand_random_operations_are_refused_or_right() {
    const CASES: u32 = 10_000;
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(16) as u32;
    let there = opened();
    let open = |old: &Option<Gpu>| old.as_ref().map(|gpu| Gpu::with_checks(gpu.checks()).expect("it opened before"));
    let counts: Vec<Count> = std::thread::scope(|scope| {
        let part = |thread: u32| {
            let cases = CASES / threads + u32::from(thread < CASES % threads);
            let there = &there;
            scope.spawn(move || {
                run(cases, 1 + thread as u8, |number| {
                    eprintln!("thread {thread}: {number} of {cases} cases");
                    Devices { trusted: open(&there.trusted), checked: open(&there.checked) }
                })
            })
        };
        let running: Vec<_> = (0..threads).map(part).collect();
        running.into_iter().map(|thread| thread.join().unwrap_or_else(|e| std::panic::resume_unwind(e))).collect()
    });
    println!("{counts:?}");
}
