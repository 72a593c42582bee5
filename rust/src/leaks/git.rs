//! What a git repository keeps: every version of every file, also those that no branch has any more. Read by `git`
//! itself, which neither writes nor fetches anything for this.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use zeroize::Zeroizing;

use super::content::{Place, look};
use super::input::{Input, Stop};
use super::{Found, MOST_FINDINGS, Sought, Unread};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::file::{self, Readers, Source};
use crate::hex::hex;
use crate::net::io;
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
pub(crate) async fn search_repository(
    ctx: &Ctx,
    sought: &Arc<Sought>,
    folder: &Path,
    found: &mut Found,
    stop: &Arc<AtomicBool>,
) -> Result<()> {
    let shown = super::walk::shown(sought, &folder.join("objects").display().to_string());
    let unread = |why: String| Unread { path: shown.clone(), reason: why };
    let stand_in = match StandIn::of(ctx, folder) {
        Ok(stand_in) => stand_in,
        Err(why) => {
            found.unread.push(unread(why));
            return Ok(());
        }
    };
    let folder = stand_in.0.as_path();
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
        // Beside the I/O thread, which serves all operations, and until nobody waits for it.
        let (its_sought, its_path, its_stop) = (Arc::clone(sought), shown.clone(), Arc::clone(stop));
        let part = io::blocking(move || {
            let mut part = Found::default();
            each(&its_sought, &objects, &its_path, &mut part, &its_stop);
            Ok(part)
        });
        let part = part.await?;
        found.findings.extend(part.findings);
        found.findings.truncate(MOST_FINDINGS);
        found.unread.extend(part.unread);
    }
    Ok(())
}

/// A repository of our own that lends its objects from another one. The other one's settings, which may name programs to
/// run, are read by nobody.
struct StandIn(PathBuf);

impl StandIn {
    /// Why not, in words.
    fn of(ctx: &Ctx, folder: &Path) -> std::result::Result<Self, String> {
        let objects = std::path::absolute(folder.join("objects")).map_err(|error| error.to_string())?;
        let is_link = std::fs::symlink_metadata(&objects).is_ok_and(|metadata| metadata.is_symlink());
        if is_link || objects.join("info/alternates").symlink_metadata().is_ok() {
            return Err("its objects stand in another place too, which is not looked into".to_owned());
        }
        let line = objects.to_str().filter(|text| !text.contains(['\n', '\r']) && !text.starts_with(['"', '#']));
        let line = line.ok_or("git does not read its objects: its name is not a plain text")?;
        // What a newer git names its objects by; all else in the file is nobody's business here.
        let config = file::read_small(&folder.join("config"), 1 << 20, Source::User).ok().flatten().unwrap_or_default();
        let config = String::from_utf8_lossy(&config).to_ascii_lowercase();
        let by_sha256 = config.lines().any(|line| line.contains("objectformat") && line.contains("sha256"));
        let ours = if by_sha256 {
            "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectformat = sha256\n"
        } else {
            "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
        };
        let mut number = [0; 8];
        ctx.random.fill(&mut number).map_err(|error| error.message)?;
        let stand_in = Self(ctx.dirs.session.join(format!("objects_{}", hex(&number))));
        let make = || {
            file::make_private_folder(&stand_in.0.join("objects").join("info"))?;
            file::make_private_folder(&stand_in.0.join("refs"))?;
            let files = [
                ("HEAD", "ref: refs/heads/none\n".to_owned()),
                ("config", ours.to_owned()),
                ("objects/info/alternates", format!("{line}\n")),
            ];
            files
                .iter()
                .try_for_each(|(name, text)| file::replace(&stand_in.0.join(name), text.as_bytes(), Readers::Owner))
        };
        make().map_err(|error: Error| error.message)?;
        Ok(stand_in)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
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
fn each(sought: &Sought, mut objects: &[u8], path: &str, found: &mut Found, stop: &AtomicBool) {
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
        if let Err(Stop::Unread(reason)) = look(sought, &mut Input::new(content, stop), &place, &mut found.findings) {
            found.unread.push(Unread { path: path.to_owned(), reason: format!("{inside}: {reason}") });
        }
    }
}
