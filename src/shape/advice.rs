//! Alternatives that fit: for a window larger than its input, or for an output size that no whole stride reaches.
//!
//! Axes are independent, so each is treated separately.

use std::fmt;

use serde::Serialize;

use crate::shape::{LARGEST, Window};
use crate::{Error, Result};

/// A window along one axis. Values of `None` for stride and padding are searched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Axis {
    /// Rows or columns of the input.
    pub input: usize,
    /// Rows or columns of the window.
    pub window: usize,
    /// Distance between adjacent elements of the window.
    pub dilation: usize,
    /// Distance between the starts of adjacent windows, if fixed.
    pub stride: Option<usize>,
    /// Padding at the beginning and at the end, if fixed.
    pub padding: Option<[usize; 2]>,
}

/// Window parameters that fit, and their output size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Fit {
    /// Rows or columns of the window.
    pub window: usize,
    /// Distance between adjacent elements of the window.
    pub dilation: usize,
    /// Distance between the starts of adjacent windows.
    pub stride: usize,
    /// Padding at the beginning and at the end.
    pub padding: [usize; 2],
    /// Whether the output size is rounded up.
    pub ceil_mode: bool,
    /// Rows or columns of the output.
    pub output: usize,
    /// Rows or columns at the end that no window covers, including padding.
    pub unseen: usize,
}

/// The ways to reach an output size, or to change the parameters.
#[derive(Clone, PartialEq, Debug)]
pub struct Reach {
    /// The requested window.
    pub axis: Axis,
    /// The requested output size.
    pub output: usize,
    /// The exact stride at which the last window ends at the input's last element, possibly not whole. `None` for an
    /// output of 1, which any stride reaches, and for a window that does not fit.
    pub stride: Option<f64>,
    /// The given window with strides that reach the output, ordered by the number of uncovered elements.
    pub fits: Vec<Fit>,
    /// If `fits` is empty: other padding, at most half a window more on each side.
    pub paddings: Vec<Fit>,
    /// If `fits` is empty: rounding up.
    pub ceil: Vec<Fit>,
    /// If `fits` is empty: other window sizes.
    pub windows: Vec<Fit>,
    /// If `fits` is empty: the nearest output sizes that are reached.
    pub outputs: Vec<Fit>,
}

/// Maximum number of strides or padding amounts that are tried.
const MOST: usize = 8;

impl Axis {
    /// A window over an input, with stride and padding to be searched.
    pub fn new(input: usize, window: usize) -> Self {
        Self { input, window, dilation: 1, stride: None, padding: None }
    }

    /// Checks the ranges of the parameters.
    ///
    /// Errors: an input, window, dilation or stride that is 0 or too large.
    pub fn check(&self) -> Result<()> {
        let [begin, end] = self.padding.unwrap_or_default();
        for (option, value, least) in [
            ("input", self.input, 1),
            ("window", self.window, 1),
            ("dilation", self.dilation, 1),
            ("stride", self.stride.unwrap_or(1), 1),
            ("padding", begin.max(end), 0),
        ] {
            if !(least..=LARGEST).contains(&value) {
                return Err(Error::option(option, format!("{least} to {LARGEST}"), value));
            }
        }
        Ok(())
    }

    fn with(self, window: usize, stride: usize, padding: [usize; 2], ceil_mode: bool) -> Option<Fit> {
        let [left, right] = padding;
        let explicit = crate::shape::Padding::Explicit { top: 0, bottom: 0, left, right };
        let sliding = Window::new([1, window]).stride([1, stride]).dilation([1, self.dilation]).padding(explicit);
        let output = sliding.ceil_mode(ceil_mode).place([1, self.input]).ok()?.out[1];
        let reached = (output - 1) * stride + (window - 1) * self.dilation + 1;
        let unseen = (self.input + left + right).saturating_sub(reached);
        Some(Fit { window, dilation: self.dilation, stride, padding, ceil_mode, output, unseen })
    }

    /// The effective size of the window: `dilation·(window − 1) + 1`.
    fn effective(&self) -> usize {
        (self.window - 1) * self.dilation + 1
    }

    /// Equal padding on both sides from none to half a window, or the fixed padding.
    fn paddings(&self) -> Vec<[usize; 2]> {
        let some = || (0..=(self.effective() / 2).min(MOST)).map(|n| [n, n]).collect();
        self.padding.map_or_else(some, |fixed| vec![fixed])
    }

    /// The strides and paddings that fit, with their output sizes: strides from 1 to the window size and padding from
    /// none to half of it, or the fixed values.
    ///
    /// Errors: those of [`Axis::check`]; nothing fits.
    pub fn options(&self) -> Result<Vec<Fit>> {
        self.check()?;
        let strides = self.stride.map_or(1..=self.effective().clamp(2, MOST), |fixed| fixed..=fixed);
        let over = |padding| strides.clone().filter_map(move |stride| self.with(self.window, stride, padding, false));
        let options: Vec<Fit> = self.paddings().into_iter().flat_map(over).collect();
        if options.is_empty() {
            let padding = self.padding.unwrap_or_else(|| [(self.effective() / 2).min(MOST); 2]);
            let reach = self.input + padding[0] + padding[1];
            let reason = no_fit("elements", [self.window, self.dilation], self.input, padding, reach);
            return Err(Error::option("window", "one that fits", reason));
        }
        Ok(options)
    }

    /// The ways to reach `output` with the fixed padding, or none; if there is none, the parameters to change.
    ///
    /// Errors: those of [`Axis::check`]; an output that is 0 or too large.
    pub fn reach(&self, output: usize) -> Result<Reach> {
        self.check()?;
        if !(1..=LARGEST).contains(&output) {
            return Err(Error::option("output", format!("1 to {LARGEST}"), output));
        }
        let padding = self.padding.unwrap_or_default();
        let padded = self.input + padding[0] + padding[1];
        let room = padded.checked_sub(self.effective());
        let stride = room.filter(|_| output > 1).map(|room| room as f64 / (output - 1) as f64);
        let mut reach = Reach {
            axis: *self,
            output,
            stride,
            fits: vec![],
            paddings: vec![],
            ceil: vec![],
            windows: vec![],
            outputs: vec![],
        };
        let reaches = |fit: &Fit| fit.output == output;
        let with = |stride, padding, ceil| self.with(self.window, stride, padding, ceil);
        // Outputs decrease with the stride: the strides that reach this one end with the largest such stride.
        let largest = room.map_or(1, |room| if output > 1 { room / (output - 1) } else { room + 1 });
        let strides = |near: usize| match self.stride {
            Some(fixed) => vec![fixed],
            None => (near.saturating_sub(MOST).max(1)..=near.clamp(1, LARGEST)).rev().collect(),
        };
        reach.fits = strides(largest).into_iter().filter_map(|s| with(s, padding, false)).filter(reaches).collect();
        if !reach.fits.is_empty() {
            return Ok(reach);
        }
        // The whole strides below and above the exact one.
        let near = stride.unwrap_or(1.0);
        let mut around = self.stride.map_or(vec![near.floor() as usize, near.ceil() as usize], |fixed| vec![fixed]);
        around.retain(|&stride| stride > 0);
        around.dedup();
        for &stride in &around {
            let needed = (output - 1) * stride + self.effective();
            let more = needed.saturating_sub(padded);
            let wider = [padding[0] + more / 2, padding[1] + more.div_ceil(2)];
            if more > 0 && more <= 2 * (self.effective() / 2) {
                reach.paddings.extend(with(stride, wider, false).filter(reaches));
            }
            reach.ceil.extend(with(stride, padding, true).filter(reaches));
            // The window that ends at the input's last element, if there are no gaps between windows.
            let window = padded.saturating_sub((output - 1) * stride + 1) / self.dilation + 1;
            let fit = self.with(window, stride, padding, false).filter(reaches);
            reach.windows.extend(fit.filter(|fit| fit.window >= fit.stride.min(self.window)));
            reach.outputs.extend(with(stride, padding, false));
        }
        Ok(reach)
    }
}

impl fmt::Display for Fit {
    /// `stride 2, padding 1 + 1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stride, padding: [begin, end], .. } = self;
        write!(f, "stride {stride}, padding {begin} + {end}{}", if self.ceil_mode { ", ceil_mode" } else { "" })
    }
}

impl fmt::Display for Reach {
    /// The obstacle and the alternatives.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { axis: Axis { input, window, dilation, .. }, output, .. } = *self;
        let [begin, end] = self.axis.padding.unwrap_or_default();
        let dilated = if dilation > 1 { format!(" with dilation {dilation}") } else { String::new() };
        write!(f, "{input} under a window of {window}{dilated} to {output} with padding {begin} + {end}")?;
        if let Some(fit) = self.fits.first() {
            return write!(f, ": stride {}", fit.stride);
        }
        match (self.stride, self.axis.stride) {
            (None, _) if output > 1 => write!(f, ": the window does not fit")?,
            (None, _) => write!(f, ": not with this stride")?,
            (Some(needed), Some(stride)) => write!(f, " needs a stride of {needed:.2}, not {stride}")?,
            (Some(needed), None) => write!(f, " needs a stride of {needed:.2}, which is not whole or not positive")?,
        }
        let ways: Vec<String> = self
            .ways()
            .map(|(what, fit)| match what {
                "window" => format!("a window of {} with {fit}", fit.window),
                "output" => format!("an output of {} with {fit}", fit.output),
                _ => fit.to_string(),
            })
            .collect();
        let none = "a smaller output, or more padding".to_string();
        write!(f, "; what fits: {}", if ways.is_empty() { none } else { ways.join("; or ") })
    }
}

impl Reach {
    /// The alternatives, each with the parameter it changes: `padding`, `ceil_mode`, `window` or `output`.
    pub fn ways(&self) -> impl Iterator<Item = (&'static str, &Fit)> {
        [("padding", &self.paddings), ("ceil_mode", &self.ceil), ("window", &self.windows), ("output", &self.outputs)]
            .into_iter()
            .flat_map(|(what, fits)| fits.iter().map(move |fit| (what, fit)))
    }
}

impl Window {
    /// Sets the largest stride for which an `input` of `[rows, columns]` gives `output`.
    ///
    /// Errors: no whole stride does; the message gives the exact stride, and padding, windows or outputs that fit.
    /// [`Padding::Same`](crate::shape::Padding::Same), which determines the output size itself.
    pub fn reaching(mut self, input: [usize; 2], output: [usize; 2]) -> Result<Self> {
        let explicit = match self.padding {
            crate::shape::Padding::Valid => [[0; 2]; 2],
            crate::shape::Padding::Explicit { top, bottom, left, right } => [[top, bottom], [left, right]],
            same => {
                return Err(Error::option(
                    "padding",
                    "valid or explicit, where an output is asked for",
                    format!("{same:?}"),
                ));
            }
        };
        for axis in 0..2 {
            let (window, dilation) = (self.size[axis], self.dilation[axis]);
            let asked = Axis { input: input[axis], window, dilation, stride: None, padding: Some(explicit[axis]) };
            let reach = asked.reach(output[axis])?;
            let fit = reach.fits.first().ok_or_else(|| {
                Error::option(["output rows", "output columns"][axis], "one that a whole stride reaches", &reach)
            })?;
            self.stride[axis] = fit.stride;
        }
        Ok(self)
    }
}

/// The error for a window of `[size, dilation]` that is larger than the `most` elements available.
pub(super) fn no_fit(
    name: &str,
    [size, dilation]: [usize; 2],
    input: usize,
    [begin, end]: [usize; 2],
    most: usize,
) -> String {
    let effective = (size - 1) * dilation + 1;
    let dilated = if dilation > 1 { format!(" (dilated to {effective})") } else { String::new() };
    let more = effective - most;
    let (more_begin, more_end) = (begin + more / 2, end + more.div_ceil(2));
    format!(
        "window of {size} {name}{dilated} does not fit the input of {input} {name} with padding {begin} + {end}; use a \
         window of at most {}{}, or padding of at least {more_begin} + {more_end}",
        (most - 1) / dilation + 1,
        if dilation > 1 { format!(" with dilation {dilation}") } else { String::new() },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Input 7, window 3, output 4: a stride of 1.33.
    #[test]
    fn the_fractional_stride_and_the_ways_out() {
        let reach = Axis::new(7, 3).reach(4).unwrap();
        assert!((reach.stride.unwrap() - 4.0 / 3.0).abs() < 1e-12 && reach.fits.is_empty());
        let fit = |fit: &Fit| (fit.window, fit.stride, fit.padding, fit.output);
        assert_eq!(reach.paddings.iter().map(fit).collect::<Vec<_>>(), [(3, 2, [1, 1], 4)]);
        assert_eq!(reach.windows.iter().map(fit).collect::<Vec<_>>(), [(4, 1, [0, 0], 4)]);
        assert_eq!(reach.outputs.iter().map(fit).collect::<Vec<_>>(), [(3, 1, [0, 0], 5), (3, 2, [0, 0], 3)]);
        let text = reach.to_string();
        for part in ["1.33", "stride 2, padding 1 + 1", "window of 4 with stride 1", "output of 5", "output of 3"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn every_fit_is_what_the_rule_says() {
        for (input, window, dilation, output) in
            (0..6 * 5 * 3 * 8).map(|i| (i % 6 + 3, i / 6 % 5 + 1, i / 30 % 3 + 1, i / 90 + 1))
        {
            let axis = Axis { dilation, ..Axis::new(input, window) };
            let reach = axis.reach(output).unwrap();
            let possible = (1..=input).any(|s| axis.with(window, s, [0, 0], false).is_some_and(|f| f.output == output));
            assert_eq!(reach.fits.is_empty(), !possible, "{reach}");
            assert!(reach.fits.iter().all(|fit| fit.output == output), "{reach}");
            let mut changes = reach.ways().filter(|(what, _)| *what != "output");
            assert!(changes.all(|(_, fit)| fit.output == output), "{reach}");
        }
    }

    #[test]
    fn a_window_takes_the_stride_that_reaches_an_output() {
        let window = Window::new(3).padding(1).reaching([7, 9], [4, 9]).unwrap();
        assert_eq!(window.stride, [2, 1]);
        let error = Window::new(3).reaching([7, 7], [5, 4]).unwrap_err().to_string();
        assert!(error.contains("output columns") && error.contains("1.33"), "{error}");
        assert!(Window::new(3).padding(crate::shape::Padding::Same).reaching([7, 7], [4, 4]).is_err());
    }

    #[test]
    fn options_are_within_half_a_window() {
        let options = Axis::new(7, 3).options().unwrap();
        let outputs: Vec<_> = options.iter().map(|o| (o.padding[0], o.stride, o.output, o.unseen)).collect();
        assert_eq!(outputs, [(0, 1, 5, 0), (0, 2, 3, 0), (0, 3, 2, 1), (1, 1, 7, 0), (1, 2, 4, 0), (1, 3, 3, 0)]);
        let error = Axis { padding: Some([0, 0]), ..Axis::new(2, 5) }.options().unwrap_err().to_string();
        assert!(error.contains("at most 2") && error.contains("at least 1 + 2"), "{error}");
        assert!(Axis::new(7, 0).options().is_err() && Axis::new(7, 3).reach(0).is_err());
    }

    #[test]
    fn ceil_mode_keeps_a_window_that_begins_inside() {
        let out = |input, window: Window| window.ceil_mode(true).place([1, input]).unwrap();
        assert_eq!(
            (out(6, Window::new([1, 3]).stride(2)).out[1], out(6, Window::new([1, 3]).stride(2)).overhang[1]),
            (3, 1)
        );
        assert_eq!(out(7, Window::new([1, 3]).stride(2)).overhang, [0, 0]);
        // The window would begin in the padding at the end.
        let padded = Window::new([1, 2]).stride(2).padding(crate::shape::Padding::Explicit {
            top: 0,
            bottom: 0,
            left: 1,
            right: 1,
        });
        assert_eq!(out(5, padded).out[1], 3);
        assert_eq!(out(2, Window::new([1, 3]).stride(2)).out[1], 1);
        assert!(Window::new([1, 4]).stride(2).ceil_mode(true).place([1, 2]).is_err());
    }
}
