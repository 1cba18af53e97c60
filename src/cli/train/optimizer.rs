//! Options of the optimizer.

use clap::ValueEnum;
use lenslet::optim::{Adagrad, Adam, AdamW, AnyOptimizer, RmsProp, Sgd};

#[derive(clap::Args)]
pub struct OptimizerOptions {
    /// Optimizer
    #[arg(long, value_enum, default_value_t = OptimizerName::Sgd)]
    optimizer: OptimizerName,
    /// Learning rate [default: 0.05 for sgd, 0.01 for adagrad, 0.001 for the others]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    lr: Option<f32>,
    /// Momentum coefficient (sgd and rmsprop only) [default: 0.9 for sgd, 0 for rmsprop]
    #[arg(long)]
    momentum: Option<f32>,
    /// Nesterov momentum (sgd only)
    #[arg(long)]
    nesterov: bool,
    /// Weight decay [default: 0.01 for adamw, 0 for the others]
    #[arg(long)]
    weight_decay: Option<f32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum OptimizerName {
    Sgd,
    Rmsprop,
    Adam,
    Adamw,
    Adagrad,
}

impl OptimizerOptions {
    /// The optimizer with its settings.
    ///
    /// Errors: an option of another optimizer; a value out of range.
    pub fn optimizer(&self) -> lenslet::Result<AnyOptimizer> {
        let name = self.optimizer.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string());
        let refuse = |option, has| Err(lenslet::Error::option(option, format!("--optimizer {has}"), &name));
        match self.optimizer {
            OptimizerName::Sgd => {}
            _ if self.nesterov => return refuse("--nesterov", "sgd"),
            OptimizerName::Rmsprop => {}
            _ if self.momentum.is_some() => return refuse("--momentum", "sgd or rmsprop"),
            _ => {}
        }
        let (rate, decay) = (|default| self.lr.unwrap_or(default), self.weight_decay.unwrap_or(0.0));
        let optimizer = match self.optimizer {
            OptimizerName::Sgd => AnyOptimizer::Sgd(
                Sgd::new(rate(0.05)).momentum(self.momentum.unwrap_or(0.9)).nesterov(self.nesterov).weight_decay(decay),
            ),
            OptimizerName::Rmsprop => AnyOptimizer::RmsProp(
                RmsProp::new(rate(0.001)).momentum(self.momentum.unwrap_or(0.0)).weight_decay(decay),
            ),
            OptimizerName::Adam => AnyOptimizer::Adam(Adam::new(rate(0.001)).weight_decay(decay)),
            OptimizerName::Adamw => {
                let adamw = AdamW::new(rate(0.001));
                AnyOptimizer::AdamW(self.weight_decay.map_or(adamw, |decay| adamw.weight_decay(decay)))
            }
            OptimizerName::Adagrad => AnyOptimizer::Adagrad(Adagrad::new(rate(0.01)).weight_decay(decay)),
        };
        optimizer.boxed().check()?;
        Ok(optimizer)
    }
}
