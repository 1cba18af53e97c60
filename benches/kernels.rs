//! Divan benchmarks of the operations of `lenslet bench kernels`, with every kernel: `cargo bench`, or `cargo bench --
//! matmul` for a filter by name.
//!
//! A sample is one submission of several runs, of a kernel that agreed with the reference before. Counters refer to the
//! whole sample: items are multiply-adds, counted as two.

use std::fmt;
use std::sync::LazyLock;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use lenslet::bench::{Bench, cases};
use lenslet::check::Trial;
use lenslet::{Error, Gpu};

/// A candidate for one operation.
struct Row {
    trial: usize,
    candidate: usize,
    name: String,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

static TRIALS: LazyLock<Vec<Trial<'_>>> =
    LazyLock::new(|| cases().leak().iter().flat_map(|case| case.trials().expect("a sound case")).collect());
static DEVICE: LazyLock<Option<Gpu>> = LazyLock::new(|| match Gpu::new() {
    Ok(gpu) => Some(gpu),
    Err(Error::NoDevice(reason)) => {
        eprintln!("skipped: {reason}");
        None
    }
    Err(error) => panic!("{error}"),
});

fn rows() -> Vec<&'static Row> {
    let Some(gpu) = &*DEVICE else { return vec![] };
    let row = |(trial, t): (usize, &Trial<'_>)| {
        let (case, operation) = (t.case, t.op.name());
        let of = |(candidate, kernel): (usize, &str)| Row {
            trial,
            candidate,
            name: format!("{case}: {operation}, {kernel}"),
        };
        t.kernels(gpu).into_iter().enumerate().map(of).collect::<Vec<_>>()
    };
    let rows: Vec<Row> = TRIALS.iter().enumerate().flat_map(row).collect();
    rows.leak().iter().collect()
}

#[divan::bench(args = rows(), sample_count = 5, sample_size = 1)]
fn kernel(bencher: Bencher<'_, '_>, row: &Row) {
    let gpu = DEVICE.as_ref().expect("a device, as there are rows");
    let trial = &TRIALS[row.trial];
    let ready = Bench::new(gpu).ready(trial, row.candidate).unwrap_or_else(|error| panic!("{error}"));
    let (multiply_adds, bytes) = trial.work();
    let runs = u64::from(ready.runs);
    bencher
        .counter(ItemsCount::new(2 * multiply_adds * runs))
        .counter(BytesCount::new(bytes * runs))
        .bench_local(|| ready.round().expect("the device works"));
}

fn main() {
    eprintln!("device: {:?}", *DEVICE);
    divan::main();
}
