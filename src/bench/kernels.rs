//! Benchmarks of single kernels.

use std::time::Duration;

use cpu_time::ProcessTime;

use crate::bench::{Peak, Spread, peak_cases};
use crate::check::cases::{Case, case};
use crate::check::{Attempt, Trial};
use crate::gpu::Gpu;
use crate::shape::Window;
use crate::{Error, Result};

/// Rounds in which an operation's candidates alternate.
const ROUNDS: usize = 5;
/// Target time of one submission.
const ROUND: Duration = Duration::from_millis(40);
/// Maximum runs per submission: encoding them takes about as long as running a round.
const MOST_RUNS: u32 = 20_000;

/// The times of a kernel on one operation.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelTime {
    /// The name of the case, with options and shapes.
    pub case: String,
    /// The operation: the case's own or one of its gradients.
    pub operation: &'static str,
    /// The kernel.
    pub kernel: &'static str,
    /// Index among the candidates; the first is used without tuning.
    pub candidate: usize,
    /// Milliseconds of one run.
    pub ms: Spread,
    /// Processor seconds of this process per run; on a software device this is the device's own cost.
    pub core_seconds: f64,
    /// Multiply-adds per second in billions, counted as two operations each; 0 if there are none.
    pub gflops: f64,
    /// Bytes read from all inputs and written to the output per second, in billions.
    pub gbytes_per_s: f64,
}

impl KernelTime {
    /// The fraction of the device's peak: of arithmetic or of memory bandwidth, whichever is larger.
    pub fn share_of(&self, peak: Peak) -> f64 {
        (self.gflops / peak.gflops).max(self.gbytes_per_s / peak.gbytes_per_s)
    }

    /// Multiply-adds per second and core in billions, counted as two operations each.
    pub fn gflops_per_core(&self) -> f64 {
        self.gflops * 1e-3 * self.ms.median / self.core_seconds
    }
}

/// The benchmark cases: large operations that can reach a kernel's peak, and all operations of LeNet-5.
pub fn cases() -> Vec<Case> {
    let matmul = |[m, k, n]: [usize; 3]| {
        case(format!("matmul {m}x{k}x{n}"), &[&[m, k], &[k, n]], |g, i| g.matmul(i[0], i[1], false, false))
            .forward_only()
    };
    let conv = |[n, c, h]: [usize; 3], [k, r]: [usize; 2], window: Window, groups: usize| {
        let kind = if groups == 1 { "conv2d" } else { "depthwise" };
        let name = format!("{kind} {n}x{c}x{h}x{h} with {k}x{r}x{r}");
        let shapes: [&[usize]; 3] = [&[n, c, h, h], &[k, c / groups, r, r], &[k]];
        case(name, &shapes, move |g, i| g.conv2d_grouped(i[0], i[1], Some(i[2]), window, groups))
    };
    let pool = |shape: [usize; 4]| {
        case(format!("max_pool2d {shape:?}"), &[&shape], |g, i| g.max_pool2d(i[0], Window::new(2).stride(2)))
    };
    let dense = |[m, k, n]: [usize; 3]| {
        let shapes: [&[usize]; 3] = [&[m, k], &[k, n], &[n]];
        case(format!("dense {m}x{k}x{n}"), &shapes, |g, i| g.dense(i[0], i[1], Some(i[2])))
    };
    vec![
        matmul([512; 3]),
        matmul([1024; 3]),
        conv([32, 64, 32], [64, 3], Window::new(3).padding(1), 1),
        conv([32, 64, 32], [64, 3], Window::new(3).padding(1), 64),
        conv([64, 32, 14], [64, 3], Window::new(3).padding(1), 1),
        pool([32, 64, 32, 32]),
        conv([64, 1, 28], [6, 5], Window::new(5).padding(2), 1),
        pool([64, 6, 28, 28]),
        conv([64, 6, 14], [16, 5], Window::new(5), 1),
        pool([64, 16, 10, 10]),
        dense([64, 400, 120]),
        dense([64, 120, 84]),
        dense([64, 84, 10]),
        case("sum 64x6x28x28 over N, H, W", &[&[64, 6, 28, 28]], |g, i| g.sum(i[0], &[0, 2, 3], false)).forward_only(),
        case("relu 64x6x28x28", &[&[64, 6, 28, 28]], |g, i| g.relu(i[0])),
    ]
}

/// A benchmark of kernels on one device.
pub struct Bench<'g> {
    gpu: &'g Gpu,
    round: Duration,
}

/// A candidate that agrees with the reference, ready to be timed.
pub struct Ready<'t> {
    attempt: Attempt<'t>,
    /// The kernel.
    pub kernel: &'static str,
    /// Runs per round.
    pub runs: u32,
}

impl Ready<'_> {
    /// The device time and processor time of one round.
    ///
    /// Errors: the device fails.
    pub fn round(&self) -> Result<(Duration, Duration)> {
        let (session, spent) = (self.attempt.session(), ProcessTime::now());
        let wall = session.replay().time_steps(session.gpu(), self.runs)?;
        Ok((wall, spent.elapsed()))
    }
}

impl<'g> Bench<'g> {
    /// A benchmark on this device.
    pub fn new(gpu: &'g Gpu) -> Self {
        Self { gpu, round: ROUND }
    }

    /// A benchmark with rounds of another length.
    pub fn with_round(gpu: &'g Gpu, round: Duration) -> Self {
        Self { gpu, round }
    }

    /// The measured peak performance of the device.
    pub fn peak(&self) -> Result<Peak> {
        let best = |case: &Case| {
            let times = self.case(case)?;
            Ok::<_, Error>(times.into_iter().next().expect("a case has an operation"))
        };
        let [arithmetic, copy] = peak_cases(self.gpu.is_software());
        let (arithmetic, copy) = (best(&arithmetic)?, best(&copy)?);
        let fastest = |t: &KernelTime| t.ms.median / t.ms.min;
        Ok(Peak { gflops: arithmetic.gflops * fastest(&arithmetic), gbytes_per_s: copy.gbytes_per_s * fastest(&copy) })
    }

    /// Times every candidate of every operation of a case.
    ///
    /// Errors: a kernel disagrees with the reference; the device fails.
    pub fn case(&self, case: &Case) -> Result<Vec<KernelTime>> {
        let mut times = vec![];
        for trial in case.trials()? {
            times.extend(self.trial(&trial)?);
        }
        Ok(times)
    }

    fn trial(&self, trial: &Trial<'_>) -> Result<Vec<KernelTime>> {
        let candidates = 0..trial.kernels(self.gpu).len();
        let ready: Vec<Ready<'_>> = candidates.map(|c| self.ready(trial, c)).collect::<Result<_>>()?;
        // Wall and processor times of one run, per round.
        let mut times = vec![(vec![], vec![]); ready.len()];
        for _ in 0..ROUNDS {
            for (candidate, (walls, spents)) in ready.iter().zip(&mut times) {
                let (wall, spent) = candidate.round()?;
                walls.push(wall / candidate.runs);
                spents.push(spent.as_secs_f64() / f64::from(candidate.runs));
            }
        }
        let (multiply_adds, bytes) = trial.work();
        let mut rows = vec![];
        for (candidate, (ready, (walls, spents))) in ready.iter().zip(times).enumerate() {
            let ms = Spread::of_ms(walls);
            rows.push(KernelTime {
                case: trial.case.to_string(),
                operation: trial.op.name(),
                kernel: ready.kernel,
                candidate,
                ms,
                core_seconds: Spread::of(spents).median,
                gflops: 2e-6 * multiply_adds as f64 / ms.median,
                gbytes_per_s: 1e-6 * bytes as f64 / ms.median,
            });
        }
        Ok(rows)
    }

    /// Compares a candidate with the reference, and determines its runs per round.
    ///
    /// Errors: they disagree; the device fails.
    pub fn ready<'t>(&self, trial: &'t Trial<'_>, candidate: usize) -> Result<Ready<'t>> {
        let attempt = trial.attempt(self.gpu, candidate, false)?.expect("an attempt, as nothing is done in place");
        let verdict = attempt.verdict()?;
        if !verdict.passed {
            let what = format!("{} (candidate {candidate} of {})", verdict.kernel, verdict.operation);
            let e = verdict.worst;
            let reason = format!(
                "{}: element {} is {}, the reference's is {} ± {:.1e}; `lenslet doctor` says more",
                verdict.detail, e.index, e.got, e.want, e.budget
            );
            return Err(Error::Gpu { what, reason });
        }
        self.fill(attempt, verdict.kernel)
    }

    /// Determines the runs per round of an attempt that has run before.
    ///
    /// Errors: the device fails.
    pub(super) fn fill<'t>(&self, attempt: Attempt<'t>, kernel: &'static str) -> Result<Ready<'t>> {
        let mut ready = Ready { attempt, kernel, runs: 1 };
        loop {
            let (wall, _) = ready.round()?;
            // The cost of a submission dominates a short round, so the number of runs grows until a round is long
            // enough.
            let missing = self.round.as_secs_f64() / wall.as_secs_f64().max(1e-6);
            if missing < 1.25 || ready.runs == MOST_RUNS {
                return Ok(ready);
            }
            ready.runs = (f64::from(ready.runs) * missing).ceil().min(f64::from(MOST_RUNS)) as u32;
        }
    }
}
