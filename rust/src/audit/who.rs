//! Who writes: host, user, and the name that follows for the log's files.

use std::path::{Path, PathBuf};

use super::cause::Cause;
use crate::error::Result;

/// Behind the name of a log in a second folder. No host's name has an `@` here.
pub(super) const SECOND: &str = "@second";

/// The host and the user of this process, as far as the system tells.
#[derive(Debug)]
pub(super) struct Who {
    pub(super) host: Option<String>,
    /// The effective user id, which owns the files that are made. Not on Windows.
    pub(super) uid: Option<u32>,
    pub(super) user: Option<String>,
}

impl Who {
    #[cfg(unix)]
    pub(super) fn ask() -> Self {
        let uid = nix::unistd::Uid::effective();
        Self {
            host: nix::unistd::gethostname().ok().map(|name| name.to_string_lossy().into_owned()),
            uid: Some(uid.as_raw()),
            user: user_name(uid.as_raw()),
        }
    }

    #[cfg(not(unix))]
    pub(super) fn ask() -> Self {
        let var = |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        Self { host: var("COMPUTERNAME"), uid: None, user: var("USERNAME") }
    }

    /// The names of the log's files in a folder; `second`: in the second one.
    pub(super) fn files(&self, dir: &Path, second: bool) -> Files {
        // The number and not the name of the user: a directory service that is down for a moment would
        // otherwise begin a second log.
        let user = match (self.uid, &self.user) {
            (Some(uid), _) => uid.to_string(),
            (None, Some(name)) => plain(name),
            (None, None) => "user".to_owned(),
        };
        let host = self.host.as_deref().map_or_else(|| "host".to_owned(), plain);
        Files { dir: dir.to_owned(), stem: format!("audit-{user}@{host}{}", if second { SECOND } else { "" }) }
    }
}

/// The name of a user id, where the system knows one.
#[cfg(unix)]
pub(super) fn user_name(uid: u32) -> Option<String> {
    nix::unistd::User::from_uid(uid.into()).ok().flatten().map(|user| user.name)
}

/// A host's or user's name as a part of a file name.
fn plain(name: &str) -> String {
    name.chars().take(64).map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' }).collect()
}

/// The names of one log's files: `audit-<uid>@<host>-000001.jsonl` and so on, `….lock` for all of them, and
/// `…-000001.torn-<offset>-<n>` for what was cut from a segment.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) dir: PathBuf,
    stem: String,
}

impl Files {
    /// The lock.
    pub(super) fn lock(&self) -> PathBuf {
        self.dir.join(format!("{}.lock", self.stem))
    }

    /// The log's name, which begins the names of its files.
    pub(super) fn stem(&self) -> &str {
        &self.stem
    }

    /// The key of the digests of record ids.
    pub(super) fn key(&self) -> PathBuf {
        self.dir.join(format!("{}.key", self.stem))
    }

    /// A segment by its number.
    pub(super) fn segment(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{}-{number:06}.jsonl", self.stem))
    }

    /// The number of the segment that is written to: the highest, and 1 where there is none.
    ///
    /// # Errors
    /// `audit`: the folder cannot be listed.
    pub(super) fn newest(&self) -> Result<u32> {
        let mut newest = 1;
        for item in std::fs::read_dir(&self.dir).map_err(|error| Cause::of(&error).at(&self.dir))? {
            let name = item.map_err(|error| Cause::of(&error).at(&self.dir))?.file_name();
            let number = name.to_str().and_then(segment_of).filter(|(stem, _)| *stem == self.stem);
            newest = newest.max(number.map_or(1, |(_, number)| number));
        }
        Ok(newest)
    }
}

/// The log and the number of a segment, by the name of its file.
pub(super) fn segment_of(name: &str) -> Option<(&str, u32)> {
    let (stem, digits) = name.strip_suffix(".jsonl")?.rsplit_once('-')?;
    let whole = digits.len() >= 6 && digits.bytes().all(|b| b.is_ascii_digit());
    let number = whole.then(|| digits.parse().ok()).flatten().filter(|number| *number > 0)?;
    (stem.starts_with("audit-") && stem.contains('@')).then_some((stem, number))
}

/// The file beside a segment that keeps the `n`-th torn tail that was found at an offset.
pub(super) fn torn(segment: &Path, offset: u64, n: u32) -> PathBuf {
    segment.with_extension(format!("torn-{offset}-{n}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn files(dir: &Path) -> Files {
        Who { host: Some("db 01/x.example".into()), uid: Some(1000), user: Some("miller".into()) }.files(dir, false)
    }

    #[test]
    fn the_log_of_a_second_folder_has_a_name_that_no_host_can_give_to_a_first_one() {
        let who = |host: &str| Who { host: Some(host.into()), uid: Some(1000), user: None };
        let second = who("db01").files(Path::new("/log"), true);
        assert_eq!(second.segment(1), Path::new("/log/audit-1000@db01@second-000001.jsonl"));
        assert_eq!(segment_of("audit-1000@db01@second-000001.jsonl"), Some(("audit-1000@db01@second", 1)));
        assert_ne!(who("db01@second").files(Path::new("/log"), false).stem(), second.stem());
    }

    #[test]
    fn file_names_hold_nothing_that_a_path_could_stumble_over() {
        let files = files(Path::new("/log"));
        assert_eq!(files.segment(1), Path::new("/log/audit-1000@db_01_x.example-000001.jsonl"));
        assert_eq!(files.lock(), Path::new("/log/audit-1000@db_01_x.example.lock"));
        assert_eq!(torn(&files.segment(12), 77, 2), Path::new("/log/audit-1000@db_01_x.example-000012.torn-77-2"));
    }

    #[test]
    fn the_newest_segment_is_the_one_with_the_highest_number_and_others_files_do_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path());
        assert_eq!(files.newest().unwrap(), 1);
        for name in ["000002.jsonl", "000010.jsonl", "000011.torn-5-1", "12.jsonl", "00001x.jsonl"] {
            std::fs::write(dir.path().join(format!("audit-1000@db_01_x.example-{name}")), "").unwrap();
        }
        std::fs::write(dir.path().join("audit-1001@db_01_x.example-000099.jsonl"), "").unwrap();
        assert_eq!(files.newest().unwrap(), 10);
    }
}
