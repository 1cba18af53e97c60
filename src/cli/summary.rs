//! `lenslet summary`.

use std::io::Write;

use lenslet::nn::Summary;

use crate::cli::JsonOption;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  lenslet summary lenet5
  lenslet summary convnet
  lenslet summary convnet-no-pool    why pooling: 30,976 features that each see 7x7 pixels
  lenslet summary net.toml           a network of your own; docs/your-network.md says how to write one")]
pub struct Options {
    #[arg(help = crate::cli::model_help())]
    model: String,
    #[command(flatten)]
    json: JsonOption,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let summary = Summary::of(&crate::cli::model(&options.model)?)?;
    let mut out = std::io::stdout().lock();
    if options.json.json {
        for row in &summary.rows {
            writeln!(out, "{}", serde_json::to_string(row)?)?;
        }
        writeln!(out, "{}", serde_json::to_string(&summary.total())?)?;
    } else {
        write!(out, "{summary}")?;
    }
    Ok(())
}
