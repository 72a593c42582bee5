//! The one error type that crosses the border.
//!
//! The list of kinds is closed: R raises an [`Error`] as the condition classes `keycap_error_<kind>` and
//! `keycap_error`, so a kind is part of the public interface. The wording lives here in the core; R shows it
//! as data and never as a format string.

use crate::value::Value;

/// What went wrong, by what the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// An argument is not of the form that is asked for.
    Argument,
    /// A value that has the form of a token was given where a name belongs.
    TokenInArgument,
    /// The token name is blank (unset or empty) in every store.
    TokenMissing,
    /// The token is set but has not the form of a REDCap project token.
    TokenForm,
    /// REDCap refused the token.
    TokenRefused,
    /// The origin is not the one that the token name is bound to.
    Origin,
    /// The project is not set up, or set up differently.
    Project,
    /// A file of keycap's own is damaged; it was left as it is.
    Damaged,
    /// A file or folder could not be read or written.
    File,
    /// A store is there and fails: locked, denied, unreachable.
    Store,
    /// The audit log could not take an entry, so the call was not made.
    Audit,
    /// A policy forbids the call.
    Policy,
    /// A rotation cannot go on: what came is not the new token, or two tokens work.
    Rotation,
    /// The limiter could not give a permit.
    Limit,
    /// The server's name could not be resolved.
    NameLookup,
    /// No connection to the server, or it broke off.
    Connection,
    /// The server did not answer in time.
    Timeout,
    /// The server's certificate is not trusted.
    Certificate,
    /// The server redirects elsewhere; redirects are never followed.
    Redirect,
    /// The answer is not REDCap's (HTML, single sign-on, a firewall).
    NotRedcap,
    /// The server or its gateway reports a failure of its own (5xx, out of memory, database).
    Server,
    /// REDCap answered with an error about the request.
    Redcap,
    /// The project behind the token is another one than before.
    ProjectChanged,
    /// A data body contained the token; it was withheld.
    TokenEcho,
    /// An import was sent and its outcome is not known; it is not sent again.
    OutcomeUnknown,
    /// The sandbox could not be started or does not answer.
    Sandbox,
    /// The user interrupted the operation.
    Interrupted,
    /// The computer has no memory left for what was asked.
    Memory,
    /// A fault in keycap itself.
    Internal,
}

impl Kind {
    /// Every kind, for tests and documentation that walk the list.
    pub const ALL: [Kind; 29] = [
        Kind::Argument,
        Kind::TokenInArgument,
        Kind::TokenMissing,
        Kind::TokenForm,
        Kind::TokenRefused,
        Kind::Origin,
        Kind::Project,
        Kind::Damaged,
        Kind::File,
        Kind::Store,
        Kind::Audit,
        Kind::Policy,
        Kind::Rotation,
        Kind::Limit,
        Kind::NameLookup,
        Kind::Connection,
        Kind::Timeout,
        Kind::Certificate,
        Kind::Redirect,
        Kind::NotRedcap,
        Kind::Server,
        Kind::Redcap,
        Kind::ProjectChanged,
        Kind::TokenEcho,
        Kind::OutcomeUnknown,
        Kind::Sandbox,
        Kind::Interrupted,
        Kind::Memory,
        Kind::Internal,
    ];

    /// The name as it stands in the R class `keycap_error_<name>` and in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Argument => "argument",
            Kind::TokenInArgument => "token_in_argument",
            Kind::TokenMissing => "token_missing",
            Kind::TokenForm => "token_form",
            Kind::TokenRefused => "token_refused",
            Kind::Origin => "origin",
            Kind::Project => "project",
            Kind::Damaged => "damaged",
            Kind::File => "file",
            Kind::Store => "store",
            Kind::Audit => "audit",
            Kind::Policy => "policy",
            Kind::Rotation => "rotation",
            Kind::Limit => "limit",
            Kind::NameLookup => "name_lookup",
            Kind::Connection => "connection",
            Kind::Timeout => "timeout",
            Kind::Certificate => "certificate",
            Kind::Redirect => "redirect",
            Kind::NotRedcap => "not_redcap",
            Kind::Server => "server",
            Kind::Redcap => "redcap",
            Kind::ProjectChanged => "project_changed",
            Kind::TokenEcho => "token_echo",
            Kind::OutcomeUnknown => "outcome_unknown",
            Kind::Sandbox => "sandbox",
            Kind::Interrupted => "interrupted",
            Kind::Memory => "memory",
            Kind::Internal => "internal",
        }
    }
}

/// An error as it crosses the border: what happened in one sentence, what to do in one sentence each, and
/// the facts by name for programs.
#[derive(Clone, Debug)]
pub struct Error {
    /// What the caller can do about it, as a closed list.
    pub kind: Kind,
    /// One sentence: lower case start, no full stop, literals in backquotes.
    pub message: String,
    /// What to do, one sentence each.
    pub hints: Vec<String>,
    /// Facts for programs, by name.
    pub fields: Vec<(String, Value)>,
}

/// The core's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with a message and nothing else.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new(), fields: Vec::new() }
    }

    /// The error where the computer has no memory left.
    pub fn memory() -> Self {
        Self::new(Kind::Memory, "there is not enough memory for this much data")
            .hint("export to a file with `to`, which takes hardly any memory, or fewer fields or records at once")
            .hint("or remove what R does not need any more; a scheduler may have set a limit, which can be raised")
    }

    /// Adds a sentence that says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds a fact for programs, in place of one of the same name: no host has two fields of one name.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.into()));
        self
    }
}

impl Error {
    /// The error with each of its texts as `change` makes it.
    pub(crate) fn map_texts(mut self, change: impl Fn(&str) -> String) -> Self {
        self.message = change(&self.message);
        self.hints.iter_mut().for_each(|hint| *hint = change(hint));
        for (_, value) in &mut self.fields {
            if let Value::Text(text) = value {
                *text = change(text);
            }
        }
        self
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_distinct_names_that_are_legal_in_an_r_class() {
        let mut names: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Kind::ALL.len());
    }
}
