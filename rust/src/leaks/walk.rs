//! Going through folders.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::content::{Place, look};
use super::hunt::hunt;
use super::input::{Input, Stop};
use super::{Finding, Found, MOST_FINDINGS, Sought, Unread};
use crate::error::{Error, Kind, Result};
use crate::file::{Links, ordinary};

/// No token is shorter.
const SHORTEST: usize = 20;

/// Folders in folders, so many.
const DEEPEST: usize = 100;

/// Looks into files and folders, with all that is in them. Symbolic links in folders are not followed: what they lead
/// to is in the folder too, or is none of it. Blocks.
///
/// # Errors
/// `interrupted`.
pub(crate) fn search(sought: &Sought, paths: &[PathBuf], cancelled: &AtomicBool) -> Result<Found> {
    let mut walk = Walk { sought, cancelled, found: Found::default() };
    for path in paths {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => walk.folder(path, 0)?,
            Ok(_) => walk.file(path, Links::Followed)?,
            Err(error) => walk.unread(path, reason(&error)),
        }
    }
    Ok(walk.found)
}

struct Walk<'a> {
    sought: &'a Sought,
    cancelled: &'a AtomicBool,
    found: Found,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, depth: usize) -> Result<()> {
        if depth > DEEPEST {
            self.unread(folder, format!("it is in more than {DEEPEST} folders"));
            return Ok(());
        }
        let items = std::fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        let mut items = match items {
            Ok(items) => items,
            Err(error) => {
                self.unread(folder, reason(&error));
                return Ok(());
            }
        };
        items.sort_by_key(std::fs::DirEntry::file_name);
        // What a repository keeps is compressed, in a form of its own.
        let has = |name: &str| items.iter().any(|item| item.file_name() == name);
        let is_repository = has("HEAD") && has("objects") && has("refs");
        if is_repository {
            self.found.repositories.push(folder.to_owned());
        }
        for item in items {
            let path = item.path();
            self.name(&path);
            match item.file_type() {
                Ok(kind) if kind.is_dir() && !(is_repository && item.file_name() == "objects") => {
                    self.folder(&path, depth + 1)?;
                }
                Ok(kind) if kind.is_file() => self.file(&path, Links::Refused)?,
                // Links, pipes, sockets, devices.
                Ok(_) => {}
                Err(error) => self.unread(&path, reason(&error)),
            }
        }
        Ok(())
    }

    /// A file's name may be a token.
    fn name(&mut self, path: &Path) {
        let Some(name) = path.file_name().filter(|name| name.len() >= SHORTEST) else { return };
        let mut hits = Vec::new();
        let mut input = Input::new(name.as_encoded_bytes(), self.cancelled);
        if hunt(self.sought, &mut input, &mut hits).is_err() {
            return;
        }
        let path = shown(self.sought, &path.display().to_string());
        for hit in hits {
            self.found.findings.push(Finding {
                path: path.clone(),
                inside: Some("the file's name".to_owned()),
                line: None,
                offset: hit.offset,
                what: hit.what,
                fingerprint: hit.fingerprint,
                project: hit.project,
            });
        }
    }

    fn file(&mut self, path: &Path, links: Links) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Interrupted, "the search was cancelled"));
        }
        if self.found.findings.len() >= MOST_FINDINGS {
            self.found.findings.truncate(MOST_FINDINGS);
            if !self.found.unread.iter().any(|unread| unread.reason == enough()) {
                self.unread(path, enough());
            }
            return Ok(());
        }
        let file = match ordinary(path, OpenOptions::new().read(true), links) {
            Ok((file, _)) => file,
            Err(unfit) => {
                self.unread(path, unfit.what());
                return Ok(());
            }
        };
        self.found.files += 1;
        let shown = shown(self.sought, &path.display().to_string());
        let place = Place { path: &shown, inside: None };
        let mut input = Input::new(file, self.cancelled);
        match look(self.sought, &mut input, &place, &mut self.found.findings) {
            Ok(()) => {}
            Err(Stop::Cancelled) => return Err(Error::new(Kind::Interrupted, "the search was cancelled")),
            Err(Stop::System(error)) => self.unread(path, reason(&error)),
            Err(Stop::Unread(why)) => self.unread(path, why),
        }
        Ok(())
    }

    fn unread(&mut self, path: &Path, reason: String) {
        let path = shown(self.sought, &path.display().to_string());
        self.found.unread.push(Unread { path, reason });
    }
}

fn enough() -> String {
    format!("this and what follows was not looked into: {MOST_FINDINGS} places are enough")
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "it is not there".to_owned(),
        kind => format!("it cannot be read ({kind})"),
    }
}

/// A path or name as it may be shown: without what is a token in it, or looks like one.
pub(super) fn shown(sought: &Sought, name: &str) -> String {
    if name.split(['/', '\\']).all(|part| part.len() < SHORTEST) {
        return name.to_owned();
    }
    let mut hits = Vec::new();
    let never = AtomicBool::new(false);
    if hunt(sought, &mut Input::new(name.as_bytes(), &never), &mut hits).is_err() {
        return "(a name that cannot be shown)".to_owned();
    }
    let mut shown = name.to_owned();
    for hit in hits.iter().rev() {
        let from = hit.offset as usize;
        let to = (from + hit.bytes).min(shown.len());
        if shown.is_char_boundary(from) && shown.is_char_boundary(to) {
            shown.replace_range(from..to, "****");
        }
    }
    shown
}
