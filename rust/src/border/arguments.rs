//! Reading what the host hands over.

use std::path::PathBuf;

use crate::audit::Program;
use crate::ctx::Dirs;
use crate::error::{Error, Kind, Result};
use crate::net::{Origin, ServerUrl};
use crate::project::{SettingsSource, site_file};
use crate::token::{looks_like_token, token_in_argument};
use crate::value::Value;

/// An operation's arguments. No text among them, at any depth, has the form of a token.
pub(super) struct Arguments(Value);

impl Arguments {
    pub(super) fn new(args: Value) -> Result<Self> {
        refuse_tokens("argument", &args)?;
        Ok(Self(args))
    }

    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| **value != Value::Nothing)
    }

    /// Takes a value out, for one that is too large to be copied.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let Value::List(items) = &mut self.0 else { return None };
        let item = items.iter_mut().find(|(known, _)| known == name)?;
        Some(std::mem::replace(&mut item.1, Value::Nothing)).filter(|value| *value != Value::Nothing)
    }

    pub(super) fn text(&self, name: &str) -> Result<String> {
        self.optional_text(name)?.ok_or_else(|| wrong(name, "is missing; it must be a single text"))
    }

    pub(super) fn optional_text(&self, name: &str) -> Result<Option<String>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Text(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(_) => Err(wrong(name, "must be a single text that is not empty")),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool> {
        match self.value(name) {
            None => Ok(false),
            Some(Value::Flag(flag)) => Ok(*flag),
            Some(_) => Err(wrong(name, "must be `TRUE` or `FALSE`")),
        }
    }

    pub(super) fn whole(&self, name: &str) -> Result<i64> {
        match self.value(name) {
            Some(Value::Whole(number)) => Ok(*number),
            Some(Value::Real(number)) if number.fract() == 0.0 && number.abs() < 9e15 => Ok(*number as i64),
            _ => Err(wrong(name, "must be a whole number")),
        }
    }

    /// `batch_size`: records a request; all at once where it is not given.
    pub(super) fn batch_size(&self) -> Result<Option<usize>> {
        if self.value("batch_size").is_none() {
            return Ok(None);
        }
        match self.whole("batch_size") {
            Ok(size @ 1..) => Ok(Some(usize::try_from(size).unwrap_or(usize::MAX))),
            _ => Err(wrong("batch_size", "is a whole number of at least 1")),
        }
    }

    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>> {
        texts(name, self.value(name))
    }
}

/// The error for an argument that has not the form that is asked for.
pub(super) fn wrong(name: &str, rule: &str) -> Error {
    Error::new(Kind::Argument, format!("`{name}` {rule}")).field("argument", name)
}

/// Refuses a value with the form of a token wherever a host hands one over, under the name it stands under.
fn refuse_tokens(name: &str, value: &Value) -> Result<()> {
    match value {
        Value::Text(text) if looks_like_token(text) => Err(token_in_argument(name)),
        Value::List(items) => items.iter().try_for_each(|(inner, value)| {
            if looks_like_token(inner) {
                return Err(token_in_argument(name));
            }
            refuse_tokens(if inner.is_empty() { name } else { inner }, value)
        }),
        // What stands in the cells is data.
        Value::Table(table) if table.columns.iter().any(|(column, _)| looks_like_token(column)) => {
            Err(token_in_argument(name))
        }
        _ => Ok(()),
    }
}

fn texts(name: &str, value: Option<&Value>) -> Result<Vec<String>> {
    match value {
        None | Some(Value::Nothing) => Ok(Vec::new()),
        Some(Value::Text(text)) => Ok(vec![text.clone()]),
        Some(Value::List(items)) => items
            .iter()
            .map(|(_, item)| item.as_text().map(str::to_owned).ok_or_else(|| wrong(name, "must be a list of texts")))
            .collect(),
        Some(_) => Err(wrong(name, "must be a list of texts")),
    }
}

/// What the host says of its session with each operation.
pub(super) struct Session {
    pub(super) dirs: Dirs,
    interactive: bool,
    options: Vec<(String, String)>,
    script: Option<String>,
    gui: Option<String>,
    pub(super) sandboxes: Vec<Origin>,
}

impl Session {
    pub(super) fn read(session: &Value) -> Result<Self> {
        let folder = |name: &str| {
            session.get(name).and_then(Value::as_text).map(PathBuf::from).ok_or_else(|| wrong(name, "must be a folder"))
        };
        let options = match session.get("options") {
            Some(Value::List(items)) => items
                .iter()
                .filter_map(|(name, value)| {
                    Some((name.strip_prefix("keycap.").unwrap_or(name).to_owned(), value.as_text()?.to_owned()))
                })
                .collect(),
            _ => Vec::new(),
        };
        let sandboxes = texts("sandboxes", session.get("sandboxes"))?;
        let sandboxes = sandboxes.iter().map(|uri| ServerUrl::parse(uri).map(|uri| uri.origin().clone()));
        Ok(Self {
            dirs: Dirs {
                config: folder("config")?,
                data: folder("data")?,
                session: folder("session")?,
                site: site_file(),
            },
            interactive: session.get("interactive") == Some(&Value::Flag(true)),
            options,
            script: session.get("script").and_then(Value::as_text).map(str::to_owned),
            gui: session.get("gui").and_then(Value::as_text).map(str::to_owned),
            sandboxes: sandboxes.collect::<Result<_>>()?,
        })
    }

    /// What the settings are made of; reads the environment, so it is called on the host's thread.
    pub(super) fn settings_source(&self) -> SettingsSource {
        SettingsSource::take(self.interactive, self.options.clone())
    }

    /// What makes the calls, for the audit log; reads the environment, so it is called on the host's thread.
    pub(super) fn program(&self) -> Program {
        Program::here(self.script.as_deref(), self.gui.as_deref())
    }

    /// Whether an address is that of a sandbox that this session started.
    pub(super) fn is_sandbox(&self, uri: &ServerUrl) -> bool {
        uri.is_loopback() && self.sandboxes.contains(uri.origin())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn no_host_can_name_another_file_of_the_sites() {
        let session = Value::list([
            ("config", "/tmp/config".into()),
            ("data", "/tmp/data".into()),
            ("session", "/tmp/session".into()),
            ("site", "/tmp/mine.toml".into()),
            ("options", Value::list([("keycap.site", "/tmp/mine.toml".into())])),
        ]);
        assert_eq!(Session::read(&session).unwrap().dirs.site, site_file());
    }
}
