//! Parameter groups: settings for the parameters whose names match a pattern.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::graph::{Graph, NodeId};
use crate::optim::{Flat, Optimizer, in_range};
use crate::{Error, Result};

/// A parameter group: a pattern of parameter names, and the settings for them.
///
/// Names are those in weight files, such as `conv1.weight`. In a pattern `*` matches any text and `?` any one
/// character: `*.bias`, `conv?.*`. The text form is `*.bias:lr=2,decay=0` or `conv1.*:freeze`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Group {
    pattern: String,
    rate_factor: f32,
    weight_decay: Option<f32>,
    frozen: bool,
}

impl Group {
    /// A group without settings.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self { pattern: pattern.into(), rate_factor: 1.0, weight_decay: None, frozen: false }
    }

    /// Factor of the learning rate, above 0.
    pub fn rate_factor(mut self, factor: f32) -> Self {
        self.rate_factor = factor;
        self
    }

    /// Weight decay instead of the optimizer's.
    pub fn weight_decay(mut self, decay: f32) -> Self {
        self.weight_decay = Some(decay);
        self
    }

    /// Freezes the parameters: no gradient is computed and no optimizer state kept for them.
    pub fn frozen(mut self) -> Self {
        self.frozen = true;
        self
    }

    /// The pattern of parameter names.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether the parameters are frozen.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// The factor of the learning rate, and the weight decay if it differs from the optimizer's.
    pub fn settings(&self) -> (f32, Option<f32>) {
        (self.rate_factor, self.weight_decay)
    }

    /// Whether the group contains the parameter `name`.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name): (Vec<char>, Vec<char>) = (self.pattern.chars().collect(), name.chars().collect());
        let (mut p, mut n) = (0, 0);
        // The last star, and the end of the text that it matches.
        let mut star: Option<(usize, usize)> = None;
        while n < name.len() {
            match (pattern.get(p), star) {
                (Some('*'), _) => {
                    star = Some((p, n));
                    p += 1;
                }
                (Some(&c), _) if c == '?' || c == name[n] => (p, n) = (p + 1, n + 1),
                (_, Some((at, reached))) => {
                    star = Some((at, reached + 1));
                    (p, n) = (at + 1, reached + 1);
                }
                (_, None) => return false,
            }
        }
        pattern[p..].iter().all(|&c| c == '*')
    }

    fn check(&self) -> Result<()> {
        let of = |what: &str| format!("{what} of group \"{}\"", self.pattern);
        in_range(&of("rate factor"), self.rate_factor, f32::MIN_POSITIVE..f32::MAX)?;
        self.weight_decay.map_or(Ok(()), |decay| in_range(&of("weight decay"), decay, 0.0..f32::MAX))?;
        match self.frozen && (self.rate_factor != 1.0 || self.weight_decay.is_some()) {
            true => Err(Error::option(of("settings"), "none, as it is frozen", "a rate factor or a weight decay")),
            false => Ok(()),
        }
    }
}

impl FromStr for Group {
    type Err = Error;

    /// Reads `PATTERN:SETTINGS`, where the settings are `lr=FACTOR`, `decay=DECAY` and `freeze`, separated by commas.
    fn from_str(text: &str) -> Result<Self> {
        let invalid = || {
            let form = "PATTERN:SETTINGS, where settings are lr=FACTOR, decay=DECAY or freeze, separated by commas, as \
                        in *.bias:lr=2,decay=0";
            Error::option("group", form, text)
        };
        let number = |text: &str| text.parse::<f32>().map_err(|_| invalid());
        let (pattern, settings) = text.rsplit_once(':').ok_or_else(invalid)?;
        let mut group = Self::new(pattern);
        for setting in settings.split(',') {
            group = match setting.trim().split_once('=') {
                Some(("lr", factor)) => group.rate_factor(number(factor)?),
                Some(("decay", decay)) => group.weight_decay(number(decay)?),
                None if setting.trim() == "freeze" => group.frozen(),
                _ => return Err(invalid()),
            };
        }
        group.check().map(|()| group)
    }
}

impl fmt::Display for Group {
    /// Writes the form that [`FromStr`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.pattern)?;
        match (self.frozen, self.weight_decay) {
            (true, _) => f.write_str("freeze"),
            (false, None) => write!(f, "lr={}", self.rate_factor),
            (false, Some(decay)) if self.rate_factor == 1.0 => write!(f, "decay={decay}"),
            (false, Some(decay)) => write!(f, "lr={},decay={decay}", self.rate_factor),
        }
    }
}

impl TryFrom<String> for Group {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Group> for String {
    fn from(group: Group) -> Self {
        group.to_string()
    }
}

/// An optimizer with parameter groups. A parameter belongs to the first group whose pattern matches its name; the
/// optimizer's own settings apply to parameters without a group.
///
/// ```
/// use lenslet::optim::{AdamW, Group, Grouped};
///
/// let rule = Grouped::new(
///     AdamW::new(0.001).weight_decay(0.05),
///     [Group::new("conv1.*").frozen(), Group::new("*.bias").weight_decay(0.0), Group::new("fc?.*").rate_factor(10.0)],
/// );
/// ```
#[derive(Debug)]
pub struct Grouped {
    optimizer: Box<dyn Optimizer>,
    groups: Vec<Group>,
}

impl Grouped {
    /// `optimizer` with `groups`, in order of precedence.
    pub fn new(optimizer: impl Optimizer + 'static, groups: impl Into<Vec<Group>>) -> Self {
        Self::boxed(Box::new(optimizer), groups)
    }

    /// [`Grouped::new`] for an optimizer chosen at run time.
    pub fn boxed(optimizer: Box<dyn Optimizer>, groups: impl Into<Vec<Group>>) -> Self {
        let mut groups = groups.into();
        groups.extend_from_slice(optimizer.groups());
        Self { optimizer, groups }
    }
}

impl Optimizer for Grouped {
    fn name(&self) -> &'static str {
        self.optimizer.name()
    }

    fn learning_rate(&self) -> f32 {
        self.optimizer.learning_rate()
    }

    fn states(&self) -> &'static [&'static str] {
        self.optimizer.states()
    }

    fn check(&self) -> Result<()> {
        self.groups.iter().try_for_each(Group::check)?;
        self.optimizer.check()
    }

    fn groups(&self) -> &[Group] {
        &self.groups
    }

    fn update(&self, graph: &mut Graph, values: Flat<'_>) -> Result<NodeId> {
        self.optimizer.update(graph, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::Sgd;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, expected) in [
            ("*.bias", "conv1.bias", true),
            ("*.bias", "conv1.bias2", false),
            ("conv?.*", "conv1.weight", true),
            ("conv?.*", "conv12.weight", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("conv1", "conv1.weight", false),
            ("*n*1*ias", "bn1.bn1.bias", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXcXb", false),
            ("**?", "ä", true),
            ("?", "", false),
        ] {
            assert_eq!(Group::new(pattern).matches(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn groups_round_trip_through_text() {
        for text in ["*.bias:lr=2,decay=0", "conv1.*:freeze", "fc?.*:lr=0.1", "*:decay=0.05"] {
            assert_eq!(text.parse::<Group>().unwrap().to_string(), text);
        }
        let expected = Group::new("*.bias").rate_factor(2.0).weight_decay(0.0);
        assert_eq!("*.bias:lr=2, decay=0".parse::<Group>().unwrap(), expected);
        assert_eq!(Group::new("fc1.*").to_string().parse::<Group>().unwrap(), Group::new("fc1.*"));
        for text in ["*.bias", "*.bias:", "*:lr", "*:lr=x", "*:rate=2", "*:lr=0", "*:decay=-1", "*:freeze,lr=2"] {
            assert!(text.parse::<Group>().is_err(), "{text}");
        }
    }

    #[test]
    fn errors_of_settings_name_the_group() {
        for (group, part) in [
            (Group::new("*.bias").rate_factor(0.0), "rate factor of group \"*.bias\""),
            (Group::new("*.bias").weight_decay(-1.0), "weight decay of group \"*.bias\""),
            (Group::new("fc*").rate_factor(2.0).frozen(), "none, as it is frozen"),
        ] {
            let error = Grouped::new(Sgd::new(0.1), [group]).check().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(Grouped::new(Sgd::new(0.0), []).check().unwrap_err().to_string().contains("learning rate"));
    }
}
