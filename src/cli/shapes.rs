//! `lenslet shapes`.

use std::io::Write;

use lenslet::shape::advice::{Axis, Fit, Reach};
use serde_json::{Value, json};

use crate::cli::JsonOption;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  lenslet shapes --input 28 --window 5              which stride and padding give which output
  lenslet shapes --input 28 --window 3 --stride 1 --output 28
  lenslet shapes --input 7 --window 3 --output 4    needs a stride of 1.33: what to change
Rows and columns are independent: ask for one at a time. output = floor((input + padding - e) / stride) + 1, where the
window reaches over e = dilation * (window - 1) + 1 elements.")]
pub struct Options {
    /// Rows or columns of the input
    #[arg(long)]
    input: usize,
    /// Rows or columns of the window
    #[arg(long)]
    window: usize,
    /// Distance between windows [default: every stride up to the window size]
    #[arg(long)]
    stride: Option<usize>,
    /// Padding on each side, or at the beginning and the end as in 1,2 [default: every padding up to half the window]
    #[arg(long, value_name = "PADDING", value_parser = padding)]
    padding: Option<[usize; 2]>,
    /// Distance between the elements of a window
    #[arg(long, default_value_t = 1)]
    dilation: usize,
    /// The wanted output size
    #[arg(long)]
    output: Option<usize>,
    #[command(flatten)]
    json: JsonOption,
}

/// Parses `1` or `1,2`.
fn padding(text: &str) -> Result<[usize; 2], String> {
    let number = |text: &str| text.trim().parse().map_err(|_| format!("{text:?} is no whole number, as in 1 or 1,2"));
    match text.split_once(',') {
        Some((begin, end)) => Ok([number(begin)?, number(end)?]),
        None => Ok([number(text)?; 2]),
    }
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let &Options { input, window, stride, padding, dilation, .. } = options;
    let axis = Axis { input, window, dilation, stride, padding };
    let mut out = std::io::stdout().lock();
    match options.output {
        None => {
            let fits = axis.options()?;
            if options.json.json {
                fits.iter().try_for_each(|fit| writeln!(out, "{}", line(fit, None)))?;
            } else {
                writeln!(out, "{}", title(&axis))?;
                write!(out, "{}", table(fits.iter().map(|fit| (None, fit))))?;
            }
        }
        Some(output) => {
            let reach = axis.reach(output)?;
            let rows =
                reach.fits.iter().map(|fit| (None, fit)).chain(reach.ways().map(|(what, fit)| (Some(what), fit)));
            if options.json.json {
                for (change, fit) in rows {
                    writeln!(out, "{}", line(fit, change))?;
                }
                let reached = !reach.fits.is_empty();
                let end = json!({ "event": "end", "output": output, "stride": reach.stride, "reached": reached });
                writeln!(out, "{end}")?;
            } else {
                writeln!(out, "{}", verdict(&reach))?;
                write!(out, "{}", table(rows))?;
            }
        }
    }
    Ok(())
}

fn line(fit: &Fit, change: Option<&str>) -> Value {
    let mut line = json!(fit);
    line["change"] = json!(change);
    line
}

fn title(axis: &Axis) -> String {
    let dilated = if axis.dilation > 1 { format!(", dilation {}", axis.dilation) } else { String::new() };
    format!("input {}, window {}{dilated}", axis.input, axis.window)
}

/// Whether the output is reached, and the exact stride.
fn verdict(reach: &Reach) -> String {
    let [begin, end] = reach.axis.padding.unwrap_or_default();
    let asked = format!("{} to output {} with padding {begin} + {end}", title(&reach.axis), reach.output);
    match reach.stride {
        _ if !reach.fits.is_empty() => format!("{asked}: reached"),
        Some(stride) => {
            let room = stride * (reach.output - 1) as f64;
            format!("{asked}: no whole stride reaches it; {room}/{} = {stride:.2} would. What fits:", reach.output - 1)
        }
        None => format!("{asked}: not reached. What fits:"),
    }
}

/// A table with a row per fit, which starts with the changed parameter.
fn table<'a>(rows: impl Iterator<Item = (Option<&'a str>, &'a Fit)>) -> String {
    let rows: Vec<_> = rows.collect();
    let change = |what: Option<&str>| what.map_or(String::new(), |what| format!("other {what}"));
    let wide = rows.iter().map(|(what, _)| change(*what).len()).max().unwrap_or(0);
    let lead = if wide > 0 { wide + 2 } else { 0 };
    let mut text = format!("{:lead$}window  stride  padding  output  not reached\n", "");
    for (what, fit) in rows {
        let Fit { window, stride, padding: [begin, end], output, unseen, .. } = *fit;
        let padding = format!("{begin} + {end}");
        let what = change(what).replace("other ceil_mode", "ceil_mode");
        let row = format!("{what:lead$}{window:>6}  {stride:>6}  {padding:>7}  {output:>6}  {unseen:>11}");
        text += &(row + "\n");
    }
    text
}
