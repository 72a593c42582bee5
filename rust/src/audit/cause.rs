//! Why the log takes no entry, in words, with the command that helps.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::error::{Error, Kind};
use crate::file::{Foreign, Quoted, look};
use crate::value::Value;

/// Why the log takes no entry.
#[derive(Debug)]
pub(super) enum Cause {
    /// The process may not write there.
    Permission,
    /// The file system is mounted read-only.
    ReadOnly,
    /// The disk is full.
    Full,
    /// The user's quota is used up.
    Quota,
    /// The file may not grow further (a limit of the process or of the file system).
    TooLarge,
    /// A folder is missing and cannot be made.
    Missing,
    /// Something that is no folder stands in the folder's place.
    NotAFolder,
    /// Something that is no ordinary file stands in a file's place.
    NotAFile,
    /// A symbolic link stands where the folder or a file belongs.
    Symlink,
    /// The folder or a file belongs to somebody else.
    #[cfg(unix)]
    ForeignOwner(u32),
    /// The group or everybody may write there.
    #[cfg(unix)]
    WritableByOthers,
    /// Another process holds the lock; who, if that can be known.
    Locked(Option<Holder>),
    /// The log is damaged in a way that cannot be passed over.
    Damaged(&'static str),
    /// A newer version of keycap has written here.
    Newer,
    /// It is on a file system that is not supported, of this kind.
    Network(&'static str),
    /// Anything else, in the system's words.
    System(String),
}

/// The process that holds the lock.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) pid: u32,
    pub(super) host: Option<String>,
    /// The program's name, where the system tells.
    pub(super) program: Option<String>,
}

impl Cause {
    /// What an error of the system means here.
    pub(super) fn of(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::PermissionDenied => Self::Permission,
            ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            ErrorKind::StorageFull | ErrorKind::WriteZero => Self::Full,
            ErrorKind::QuotaExceeded => Self::Quota,
            ErrorKind::FileTooLarge => Self::TooLarge,
            ErrorKind::NotFound => Self::Missing,
            ErrorKind::NotADirectory => Self::NotAFolder,
            ErrorKind::IsADirectory => Self::NotAFile,
            _ => Self::System(error.to_string()),
        }
    }

    /// The name, for programs.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Permission => "permission",
            Self::ReadOnly => "read_only",
            Self::Full => "full",
            Self::Quota => "quota",
            Self::TooLarge => "too_large",
            Self::Missing => "missing",
            Self::NotAFolder => "not_a_folder",
            Self::NotAFile => "not_a_file",
            Self::Symlink => "symlink",
            #[cfg(unix)]
            Self::ForeignOwner(_) => "foreign_owner",
            #[cfg(unix)]
            Self::WritableByOthers => "writable_by_others",
            Self::Locked(_) => "locked",
            Self::Damaged(_) => "damaged",
            Self::Newer => "newer",
            Self::Network(_) => "network",
            Self::System(_) => "system",
        }
    }

    /// The error for a path.
    pub(super) fn at(self, path: &Path) -> Error {
        let place = Quoted(path);
        let (message, hint) = match &self {
            Self::Permission => {
                ("this process may not write there".to_owned(), look(&place, "shows whose it is and who may write"))
            }
            Self::ReadOnly => (
                "its file system is read-only".to_owned(),
                format!("`findmnt -T {place}` shows the file system and how it is mounted"),
            ),
            Self::Full => (
                "the disk is full".to_owned(),
                format!("free some space: `df -h {place}` and `df -i {place}` show what is left"),
            ),
            Self::Quota => (
                "your disk quota is used up".to_owned(),
                "free some space or ask for more: `quota -s` shows what you may use".to_owned(),
            ),
            Self::TooLarge => (
                "the file may not grow further".to_owned(),
                "`ulimit -f` shows the largest file that this process may write".to_owned(),
            ),
            Self::Missing => (
                "it does not exist and cannot be made".to_owned(),
                "without a home folder, as in cron, set `HOME` or `R_USER_DATA_DIR` to a folder that exists".to_owned(),
            ),
            Self::NotAFolder => (
                "a folder belongs there, and something else is in its place".to_owned(),
                look(&place, "shows what is there; move it away"),
            ),
            Self::NotAFile => (
                "an ordinary file belongs there, and something else is in its place".to_owned(),
                look(&place, "shows what is there; move it away"),
            ),
            Self::Symlink => (
                "it is a symbolic link, and the log is never written through one".to_owned(),
                look(&place, "shows where it leads; put the real folder or file in its place"),
            ),
            #[cfg(unix)]
            Self::ForeignOwner(owner) => {
                let name = super::who::user_name(*owner).map_or_else(String::new, |name| format!(" (`{name}`)"));
                let own = nix::unistd::Uid::effective();
                (
                    format!("it belongs to user {owner}{name}, and this process runs as user {own}"),
                    "run R as the user who owns the log, or set `R_USER_DATA_DIR` to a folder of your own".to_owned(),
                )
            }
            #[cfg(unix)]
            Self::WritableByOthers => (
                "others than its owner may write to it".to_owned(),
                format!("`chmod go-w {place}` takes that from them"),
            ),
            Self::Locked(None) => (
                "another process holds the lock".to_owned(),
                format!("`fuser -v {place}` shows which process it is; try again when it is done"),
            ),
            Self::Locked(Some(holder)) => (
                format!("{holder} holds the lock"),
                format!("try again when it is done; `fuser -v {place}` shows who has the lock open"),
            ),
            Self::Damaged(what) => (
                format!("it is damaged: {what}"),
                "it was left as it is: show it to whoever is in charge of the log, then move it elsewhere, and a \
                 new one is begun"
                    .to_owned(),
            ),
            Self::Newer => {
                ("a newer version of keycap has written to it".to_owned(), "update keycap on this machine".to_owned())
            }
            Self::Network(kind) => (
                format!("it is on a file system ({kind}) where neither locks nor durable writing can be relied upon"),
                "set `audit_dir` to a folder on a disk of this machine, or on NFS".to_owned(),
            ),
            Self::System(words) => (
                format!("the system says: {words}"),
                look(&place, "shows whether the folder or file is there as it should be"),
            ),
        };
        let mut error =
            Error::new(Kind::Audit, format!("the audit log cannot take an entry at `{}`: {message}", path.display()))
                .hint(hint)
                .field("path", path.display().to_string())
                .field("cause", self.as_str());
        if let Self::Locked(holder) = &self {
            error = error.field("holder", holder.as_ref().map(|holder| i64::from(holder.pid)).map(Value::from));
        }
        error
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {}", self.pid)?;
        if let Some(program) = &self.program {
            write!(f, " (`{program}`)")?;
        }
        if let Some(host) = &self.host {
            write!(f, " on host `{host}`")?;
        }
        Ok(())
    }
}

impl From<Foreign> for Cause {
    fn from(foreign: Foreign) -> Self {
        match foreign {
            #[cfg(unix)]
            Foreign::Owner(owner) => Self::ForeignOwner(owner),
            #[cfg(unix)]
            Foreign::WritableByOthers => Self::WritableByOthers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_has_its_cause() {
        for (kind, cause) in [
            (ErrorKind::PermissionDenied, "permission"),
            (ErrorKind::ReadOnlyFilesystem, "read_only"),
            (ErrorKind::StorageFull, "full"),
            (ErrorKind::QuotaExceeded, "quota"),
            (ErrorKind::FileTooLarge, "too_large"),
            (ErrorKind::NotFound, "missing"),
            (ErrorKind::NotADirectory, "not_a_folder"),
            (ErrorKind::IsADirectory, "not_a_file"),
            (ErrorKind::Other, "system"),
        ] {
            let error = Cause::of(&kind.into()).at(Path::new("/a b"));
            assert_eq!((error.kind, error.fields[1].1.as_text()), (Kind::Audit, Some(cause)));
            assert_eq!(error.fields[0].1.as_text(), Some("/a b"));
            assert_eq!(error.hints.len(), 1);
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_command_that_helps_can_be_pasted_into_a_shell() {
        let error = Cause::Full.at(Path::new("/it's here/log"));
        assert!(error.hints[0].contains(r"`df -h '/it'\''s here/log'`"), "{}", error.hints[0]);
    }
}
