//! Files that several processes write: a side lock, and replacing a file whole.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};

/// An exclusive lock on a side file, which is never renamed or removed. Opened anew for each use: a lock on a
/// descriptor that was inherited through a fork excludes nothing. Released on drop.
pub(crate) struct SideLock {
    _file: File,
}

impl SideLock {
    /// Takes the lock, waiting at most `patience`. A lock in a `shared` folder may be taken by others too.
    pub(crate) fn take(path: &Path, shared: bool, patience: Duration) -> Result<Self> {
        let file = open(path, shared).map_err(|e| fault(path, "cannot be opened", &e))?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(fs::TryLockError::Error(e)) => return Err(fault(path, "cannot be locked", &e)),
                Err(fs::TryLockError::WouldBlock) if start.elapsed() >= patience => {
                    return Err(Error::new(Kind::File, format!("`{}` is locked by another process", path.display()))
                        .hint("try again; if it stays so, look for a hanging R process"));
                }
                Err(fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

/// Opens a file for writing, made when it is not there: for the user alone, or writable for all who may enter
/// its folder.
pub(crate) fn open(path: &Path, shared: bool) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if shared { 0o666 } else { 0o600 });
    let file = options.open(path)?;
    #[cfg(unix)]
    if shared {
        // The umask took the others' rights away. Where the file is another user's, that user has done this.
        let _ = file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    }
    #[cfg(not(unix))]
    let _ = shared;
    Ok(file)
}

/// An error about a file: its name, what failed, and the system's reason.
pub(crate) fn fault(path: &Path, what: &str, error: &std::io::Error) -> Error {
    let hint = match error.kind() {
        std::io::ErrorKind::PermissionDenied => "check who owns the folder and whether you may write there",
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => "make room on that device",
        std::io::ErrorKind::ReadOnlyFilesystem => "the device is read-only: choose another folder",
        _ => "check that the folder exists and that you may write there",
    };
    Error::new(Kind::File, format!("`{}` {what} ({})", path.display(), error.kind()))
        .hint(hint)
        .field("path", path.display().to_string())
}

/// Makes a folder and its parents, for the user alone.
pub(crate) fn make_private_folder(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|e| fault(path, "cannot be made", &e))
}

/// Who may read a file that keycap writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// The user alone (0600).
    Owner,
    /// Whom the user's umask allows: files in shared project folders.
    AsUsual,
}

/// Replaces a file whole: written beside it, made durable, renamed. Readers see the old one or the new one.
pub(crate) fn replace(path: &Path, content: &[u8], readers: Readers) -> Result<()> {
    let beside = beside(path);
    let written = write_new(&beside, content, readers).and_then(|()| fs::rename(&beside, path));
    if let Err(e) = written {
        let _ = fs::remove_file(&beside);
        return Err(fault(path, "cannot be written", &e));
    }
    #[cfg(unix)]
    if let Some(parent) = path.parent() {
        // The rename is durable only with its folder; a folder that cannot be opened has still been renamed in.
        let _ = File::open(parent).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

fn write_new(path: &Path, content: &[u8], readers: Readers) -> std::io::Result<()> {
    // A left-over of a killed process with our id; `create_new` below then follows no link that others put there.
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if readers == Readers::Owner { 0o600 } else { 0o666 });
    #[cfg(not(unix))]
    let _ = readers;
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}
