//! A table of a network file under reading.

use std::ops::Range;
use std::path::Path;

use toml::de::DeTable;

use crate::Error;
use crate::formats::toml::value::{self, Found, unknown_key};
use crate::nn::setting::{Default, Setting, Value};

/// An error, and its place in the text.
pub(super) struct Fault {
    pub at: usize,
    pub reason: String,
}

impl Fault {
    /// As the library's error.
    pub fn at(self, text: &str, path: Option<&Path>) -> Error {
        let before = text.as_bytes().iter().take(self.at);
        let line = 1 + before.filter(|&&byte| byte == b'\n').count();
        Error::Network { path: path.map(Into::into), line, reason: self.reason }
    }
}

/// A table under reading. Its first error is reported at the end, when unknown keys, which may be missing keys misspelled,
/// are known.
pub(super) struct Section<'a> {
    file: &'a str,
    /// The table's name in messages.
    what: &'a str,
    at: usize,
    table: &'a DeTable<'a>,
    known: Vec<&'static str>,
    fault: Option<Fault>,
}

impl<'a> Section<'a> {
    pub fn new(file: &'a str, what: &'a str, span: Range<usize>, table: &'a DeTable<'a>) -> Self {
        Self { file, what, at: span.start, table, known: vec![], fault: None }
    }

    /// A key that is read elsewhere.
    pub fn knows(&mut self, key: &'static str) {
        self.known.push(key);
    }

    /// Errors: an unknown key; else the first error of a value.
    pub fn end(self) -> Result<(), Fault> {
        let colon = if self.what.is_empty() { "" } else { ": " };
        let Self { what, known, fault, table, .. } = self;
        if let Some((at, reason)) = unknown_key(table, &known) {
            return Err(Fault { at, reason: format!("{what}{colon}{reason}") });
        }
        fault.map_or(Ok(()), |fault| Err(Fault { reason: format!("{what}{colon}{}", fault.reason), ..fault }))
    }

    /// The value at a key, if it is there and right.
    pub fn get<T>(&mut self, key: &'static str, read: impl FnOnce(&Found<'_>, &str) -> Result<T, String>) -> Option<T> {
        self.known.push(key);
        let value = self.table.get(key)?;
        match read(value, self.file) {
            Ok(value) => Some(value),
            Err(reason) => {
                let fault = Fault { at: value.span().start, reason: format!("{key}: {reason}") };
                self.fault.get_or_insert(fault);
                None
            }
        }
    }

    /// As [`Section::get`], for a key that must be there.
    pub fn must<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Found<'_>, &str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.get(key, read);
        if !self.table.contains_key(key) {
            self.fault.get_or_insert(Fault { at: self.at, reason: format!("the key \"{key}\" is missing") });
        }
        value
    }

    /// The value of an option.
    pub fn option(&mut self, setting: &Setting<'_>) -> Option<Value> {
        let read = |found: &Found<'_>, file: &str| value::read(setting.form(), found, file);
        match setting.default {
            Default::Required => self.must(setting.key, read),
            _ => self.get(setting.key, read),
        }
    }
}
