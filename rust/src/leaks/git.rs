//! What a git repository keeps: every version of every file, also those that no branch has any more. Read by `git`
//! itself, which neither writes nor fetches anything for this.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use zeroize::Zeroizing;

use super::content::{Place, look};
use super::input::{Input, Stop};
use super::{Found, MOST_FINDINGS, Sought, Unread};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::store::run_program;

/// A list of objects is not longer: about a million.
const LIST: usize = 80 << 20;
/// Objects are taken so many bytes at a time, and so many of them: their names fit into a pipe.
const BATCH: u64 = 8 << 20;
const MANY: usize = 1000;
/// An object that is larger is not read.
const LARGEST: u64 = 64 << 20;
const LIMIT: Duration = Duration::from_secs(600);

/// Looks into all objects of a repository.
///
/// # Errors
/// None of git's: what it does not read is told.
pub(crate) async fn search_repository(ctx: &Ctx, sought: &Sought, folder: &Path, found: &mut Found) -> Result<()> {
    let shown = super::walk::shown(sought, &folder.join("objects").display().to_string());
    let unread = |why: String| Unread { path: shown.clone(), reason: why };
    let listed = match run(ctx, folder, "--batch-check=%(objectname) %(objecttype) %(objectsize)", None, LIST).await {
        Ok(listed) => listed,
        Err(error) => {
            found.unread.push(unread(format!("git does not read its objects: {}", error.message)));
            return Ok(());
        }
    };
    let mut batches: Vec<(Vec<u8>, u64)> = Vec::new();
    let mut too_large = 0;
    for line in String::from_utf8_lossy(&listed).lines() {
        let mut words = line.split(' ');
        let (Some(name), Some(kind), Some(size)) = (words.next(), words.next(), words.next()) else { continue };
        let Ok(size) = size.parse::<u64>() else { continue };
        // A tree has names of files, and hashes that are no text.
        if !matches!(kind, "blob" | "commit" | "tag") {
            continue;
        }
        if size > LARGEST {
            too_large += 1;
            continue;
        }
        let has_room = |(names, sum): &(Vec<u8>, u64)| {
            sum + size <= BATCH.max(size) && names.len() + name.len() < MANY * (name.len() + 1)
        };
        if !batches.last().is_some_and(has_room) {
            batches.push((Vec::new(), 0));
        }
        if let Some((names, sum)) = batches.last_mut() {
            names.extend_from_slice(name.as_bytes());
            names.push(b'\n');
            *sum += size;
        }
    }
    if too_large > 0 {
        found.unread.push(unread(format!("objects of more than {} MiB: {too_large}", LARGEST >> 20)));
    }
    for (names, size) in batches {
        if found.findings.len() >= MOST_FINDINGS {
            found.unread.push(unread("not all objects were looked into".to_owned()));
            break;
        }
        let most = usize::try_from(size).unwrap_or(usize::MAX).saturating_add(MANY * 128);
        let objects = match run(ctx, folder, "--batch", Some(&names), most).await {
            Ok(objects) => objects,
            Err(error) => {
                found.unread.push(unread(format!("git does not read its objects: {}", error.message)));
                return Ok(());
            }
        };
        each(sought, &objects, &shown, found);
    }
    Ok(())
}

async fn run(ctx: &Ctx, folder: &Path, how: &str, input: Option<&[u8]>, most: usize) -> Result<Zeroizing<Vec<u8>>> {
    let folder = folder.to_str().ok_or_else(|| Error::new(crate::Kind::File, "the folder's name is not UTF-8"))?;
    let dir = format!("--git-dir={folder}");
    let mut line = vec!["git", "--no-optional-locks", "--no-replace-objects", "-c", "protocol.allow=never", &dir];
    line.extend(["cat-file", how]);
    if input.is_none() {
        line.extend(["--batch-all-objects", "--unordered"]);
    }
    let line: Vec<String> = line.into_iter().map(str::to_owned).collect();
    run_program(ctx, &line, input, LIMIT, most).await.map(Zeroizing::new)
}

/// The objects of a batch: a line with name, kind and size, the content, and an end of line, each.
fn each(sought: &Sought, mut objects: &[u8], path: &str, found: &mut Found) {
    let never = AtomicBool::new(false);
    while let Some(end) = memchr::memchr(b'\n', objects) {
        let head = String::from_utf8_lossy(&objects[..end]).into_owned();
        objects = &objects[end + 1..];
        let mut words = head.split(' ');
        let (Some(name), Some(kind)) = (words.next(), words.next()) else { return };
        // An object that went meanwhile.
        let Some(size) = words.next().and_then(|size| size.parse::<usize>().ok()) else { continue };
        let Some((content, rest)) = objects.split_at_checked(size) else { return };
        objects = rest.get(1..).unwrap_or_default();
        let inside = format!("{kind} {}", name.get(..12).unwrap_or(name));
        let place = Place { path, inside: Some(inside.clone()) };
        if let Err(Stop::Unread(reason)) = look(sought, &mut Input::new(content, &never), &place, &mut found.findings) {
            found.unread.push(Unread { path: path.to_owned(), reason: format!("{inside}: {reason}") });
        }
    }
}
