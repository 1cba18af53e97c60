//! Callbacks of a training run: early stopping, time limits, logs, checkpoints.
//!
//! A callback receives each [`Event`](crate::train::Event) and may end the run, which then keeps all finished steps.
//! Closures are callbacks, and so are pairs and boxed lists of callbacks:
//!
//! ```no_run
//! use std::time::Duration;
//! use lenslet::runs::CsvLog;
//! use lenslet::train::Fit;
//! use lenslet::train::callbacks::{EarlyStopping, TimeLimit};
//! # fn f(trainer: &mut lenslet::Trainer<'_>, data: &lenslet::data::Dataset) -> lenslet::Result<()> {
//! let fit = Fit { epochs: 100, validation: 1000, ..Fit::default() };
//! let stop = (EarlyStopping::after(5), TimeLimit::new(Duration::from_secs(600)));
//! trainer.fit_with(data, fit, (stop, CsvLog::create("run.csv")?))?;
//! # Ok(())
//! # }
//! ```

mod callback;
mod early_stopping;
mod time_limit;

pub use callback::Callback;
pub(in crate::train) use callback::NoCallback;
pub(crate) use early_stopping::Best;
pub use early_stopping::EarlyStopping;
pub use time_limit::TimeLimit;
