//! Leaks: looking for tokens in files where none belongs. What is found is told by its place and its fingerprint, and
//! never by a character of it; what holds the contents of files wipes itself.
//!
//! A *token* is 32 hexadecimal characters, wherever they stand, whose fingerprint is known: the audit log has it, or the
//! environment holds it for a project that is set up here. What *looks like a token* is a run of exactly 32 hexadecimal
//! characters (64: a super token) of which 8 or more differ, in upper case as REDCap shows tokens, or in any letter case
//! where the word before it has `token`, `redcap`, `api_key` or `apikey` in it. So MD5 sums, which programs write in lower
//! case, are none. Where the institution has a form of its own, tokens of that form are found too if they are known, or
//! stand behind such a word.

mod content;
mod git;
mod hunt;
mod inflate;
mod input;
mod known;
mod walk;

pub(crate) use git::search_repository;
pub(crate) use known::Known;
pub(crate) use walk::search;

use crate::token::FormRule;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A token that is known here.
    Token,
    /// What has a token's form, and is not known.
    Like,
    /// What has a super token's form.
    LikeSuper,
}

impl What {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Like => "looks like a token",
            Self::LikeSuper => "looks like a super token",
        }
    }
}

/// A token, or what looks like one, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    /// Where in the file, if it holds others: an object of a git repository, a member of an archive.
    pub(crate) inside: Option<String>,
    /// The line, from 1; nothing in what is no text, and in the file's own name.
    pub(crate) line: Option<u64>,
    /// How many bytes stand before it, in what is compressed after that was undone.
    pub(crate) offset: u64,
    pub(crate) what: What,
    pub(crate) fingerprint: String,
    /// Whose token it is.
    pub(crate) project: Option<String>,
}

/// What could not be read, as a whole or in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unread {
    pub(crate) path: String,
    pub(crate) reason: String,
}

/// What looking came to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) findings: Vec<Finding>,
    pub(crate) unread: Vec<Unread>,
    /// How many files were looked into.
    pub(crate) files: u64,
    /// Folders of git repositories, whose objects are for `git` to read.
    pub(crate) repositories: Vec<std::path::PathBuf>,
}

/// What is looked for.
#[derive(Clone, Debug)]
pub(crate) struct Sought {
    pub(crate) known: Known,
    pub(crate) rule: FormRule,
}

/// More is not told of.
const MOST_FINDINGS: usize = 10_000;

/// Of one file no more is read, compressed or not.
const MOST_BYTES: u64 = 1 << 30;

#[cfg(test)]
mod tests;
