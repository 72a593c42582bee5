//! Opening the folder and its files: made for this user alone, never through a symbolic link, never somebody
//! else's, and durable in their folder.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::cause::Cause;
use super::setup::Setup;
use crate::error::Result;
use crate::file::Root;

/// Checks the log's folder, and makes it where it is missing (mode 0700, with the folders above it).
///
/// # Errors
/// `audit`: it cannot be made, or it is not this user's own.
pub(super) fn folder(dir: &Path, setup: &Setup) -> Result<()> {
    let at = |error: io::Error| Cause::of(&error).at(dir);
    match std::fs::symlink_metadata(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let missing: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
            let mut builder = DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            match builder.create(dir) {
                // A dangling link, or a file, on the way.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(Cause::NotAFolder.at(dir)),
                made => made.map_err(at)?,
            }
            for made in missing {
                sync_folder(parent(made)).map_err(at)?;
            }
        }
        Err(error) => return Err(at(error)),
        Ok(_) => {}
    }
    let metadata = std::fs::symlink_metadata(dir).map_err(at)?;
    if metadata.is_symlink() {
        return Err(Cause::Symlink.at(dir));
    }
    if !metadata.is_dir() {
        return Err(Cause::NotAFolder.at(dir));
    }
    own(&metadata, dir)?;
    super::network::supported(dir)?;
    share(&metadata, 0o050, setup, |permissions| std::fs::set_permissions(dir, permissions)).map_err(at)
}

/// Where the site wants it so, the group may read what was made for the owner alone.
#[cfg(unix)]
pub(super) fn share(
    metadata: &Metadata,
    rights: u32,
    setup: &Setup,
    set: impl FnOnce(Permissions) -> io::Result<()>,
) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o7777;
    if !setup.group_readable || mode & rights == rights {
        return Ok(());
    }
    set(Permissions::from_mode(mode | rights))
}

/// Windows has no such modes.
#[cfg(not(unix))]
pub(super) fn share(
    _metadata: &Metadata,
    _rights: u32,
    _setup: &Setup,
    _set: impl FnOnce(Permissions) -> io::Result<()>,
) -> io::Result<()> {
    Ok(())
}

/// The folder that a path stands in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A path without a trailing slash, behind which a symbolic link could hide.
pub(super) fn without_trailing_slash(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) } // Windows has no such call and needs none
}

/// How a file is opened.
#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    /// To read, and to append to; made where it is missing.
    Append,
    /// To read, and to write to; made where it is missing.
    Lock,
    /// To cut it, or to make it durable.
    Write,
    /// To read.
    Read,
    /// To write; it must not exist yet.
    New,
}

/// Opens a file of the log.
///
/// # Errors
/// `audit`, and with [`How::New`] also when it exists.
pub(super) fn open(path: &Path, how: How) -> Result<File> {
    open_io(path, how)
        .map_err(|error| match std::fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_symlink() => Cause::Symlink.at(path),
            // A pipe without a reader, a socket, a device.
            Ok(metadata) if !metadata.is_file() => Cause::NotAFile.at(path),
            Ok(metadata) => own(&metadata, path).err().unwrap_or_else(|| Cause::of(&error).at(path)),
            // It is missing and could not be made, so it is the folder that says why.
            Err(_) => Cause::of(&error).at(parent(path)),
        })
        .and_then(|file| {
            let metadata = file.metadata().map_err(|error| Cause::of(&error).at(path))?;
            if !metadata.is_file() {
                return Err(Cause::NotAFile.at(path));
            }
            own(&metadata, path)?;
            Ok(file)
        })
}

fn open_io(path: &Path, how: How) -> io::Result<File> {
    let mut options = OpenOptions::new();
    match how {
        How::Append => options.read(true).append(true).create(true),
        How::Lock => options.read(true).write(true).create(true).truncate(false),
        How::Write => options.write(true),
        How::Read => options.read(true),
        How::New => options.write(true).create_new(true),
    };
    #[cfg(unix)]
    {
        use nix::fcntl::OFlag;
        use std::os::unix::fs::OpenOptionsExt;
        // O_NONBLOCK: a pipe in the file's place must not make us wait for its other end.
        options.mode(0o600).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
    }
    #[cfg(not(unix))]
    if std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
        return Err(io::Error::other("a symbolic link"));
    }
    options.open(path)
}

/// Whether it is this user's, and nobody else may write to it.
fn own(metadata: &Metadata, path: &Path) -> Result<()> {
    crate::file::own(metadata, Root::Refused).map_err(|foreign| Cause::from(foreign).at(path))
}
