//! A launch: dispatches that run side by side as one call of the device.

use crate::kernel::{JOINED, Part};
use crate::plan::{Bound, Step};
use crate::{Result, kernel};

/// Steps of a plan that run side by side.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'p> {
    /// At least one.
    pub steps: &'p [Step],
}

impl Launch<'_> {
    /// What is bound, each range once, with the numbers that the text has.
    pub fn bindings(&self) -> Vec<Bound> {
        self.numbered().0
    }

    /// All ranges, and for each step the numbers of its own, no two of one step the same: two names of a shader for one
    /// thing must stay two. A single step keeps those it has.
    fn numbered(&self) -> (Vec<Bound>, Vec<Vec<usize>>) {
        if let [step] = self.steps {
            return (step.bindings.clone(), vec![]);
        }
        let mut all: Vec<(Bound, &str)> = vec![];
        let numbers = self.steps.iter().map(|step| {
            let mut own = vec![];
            for bound in &step.bindings {
                let ty = step.dispatch.declared_type(bound.binding as usize);
                let same = |(b, t): &(Bound, &str)| (b.place, b.writes, *t) == (bound.place, bound.writes, ty);
                let known = (0..all.len()).find(|number| same(&all[*number]) && !own.contains(number));
                own.push(known.unwrap_or_else(|| {
                    all.push((Bound { binding: all.len() as u32, ..*bound }, ty));
                    all.len() - 1
                }));
            }
            own
        });
        let numbers = numbers.collect();
        (all.into_iter().map(|(bound, _)| bound).collect(), numbers)
    }

    /// The entry point.
    pub fn entry(&self) -> &'static str {
        if let [step] = self.steps { step.dispatch.entry() } else { JOINED }
    }

    /// Whether it is one dispatch of an [opaque](kernel::Dispatch::is_opaque) shader, which runs whole.
    pub fn is_opaque(&self) -> bool {
        self.steps.iter().any(|step| step.dispatch.is_opaque())
    }

    /// Whether all of it may run without run-time checks.
    pub fn is_trusted(&self) -> bool {
        self.steps.iter().all(|step| step.dispatch.is_trusted())
    }

    /// The WGSL text.
    ///
    /// Errors: those of [`kernel::Dispatch::source`].
    pub fn source(&self) -> Result<String> {
        if let [step] = self.steps {
            return step.dispatch.source();
        }
        let parts = self.steps.iter().zip(self.numbered().1);
        let parts: Vec<Part<'_>> = parts.map(|(step, numbers)| Part { dispatch: &step.dispatch, numbers }).collect();
        kernel::join(&parts)
    }

    /// How many workgroups there are in all.
    pub fn workgroups(&self) -> u64 {
        match self.steps {
            [step] => step.dispatch.workgroups,
            steps => kernel::joined_workgroups(steps.iter().map(|step| &step.dispatch)),
        }
    }
}
