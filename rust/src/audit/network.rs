//! File systems on which the log's lock and its appending are not known to hold.

use std::path::Path;

use super::cause::Cause;
use crate::error::Result;

/// Refuses a folder on a file system of which it is not known that a lock excludes this host's other processes, that
/// owners and modes are real, and that `fdatasync` reaches the disk. See the module's words on where a log may be.
///
/// # Errors
/// `audit`.
#[cfg(target_os = "linux")]
pub(super) fn supported(dir: &Path) -> Result<()> {
    let found = nix::sys::statfs::statfs(dir).map_err(|errno| Cause::of(&errno.into()).at(dir))?;
    // The type's width differs between architectures; the numbers have 32 bits.
    #[allow(clippy::unnecessary_cast)]
    match refused(found.filesystem_type().0 as u32) {
        Some(name) => Err(Cause::Network(name).at(dir)),
        None => Ok(()),
    }
}

/// macOS and others name the file system.
#[cfg(all(unix, not(target_os = "linux")))]
pub(super) fn supported(dir: &Path) -> Result<()> {
    #[cfg(target_os = "macos")]
    {
        let found = nix::sys::statfs::statfs(dir).map_err(|errno| Cause::of(&errno.into()).at(dir))?;
        for name in ["smbfs", "afpfs", "webdav", "macfuse", "osxfuse"] {
            if found.filesystem_type_name() == name {
                return Err(Cause::Network(name).at(dir));
            }
        }
    }
    let _ = dir;
    Ok(())
}

/// On Windows a folder of another machine's is known by its path.
#[cfg(windows)]
pub(super) fn supported(dir: &Path) -> Result<()> {
    use std::path::{Component, Prefix};
    match dir.components().next() {
        Some(Component::Prefix(prefix)) if matches!(prefix.kind(), Prefix::UNC(..) | Prefix::VerbatimUNC(..)) => {
            Err(Cause::Network("a network share").at(dir))
        }
        _ => Ok(()),
    }
}

/// The name of a file system that is refused, by its number in `statfs(2)`.
#[cfg(target_os = "linux")]
fn refused(number: u32) -> Option<&'static str> {
    match number {
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => Some("SMB"),
        0x6573_5546 => Some("FUSE"),
        0x0102_1997 => Some("9P"),
        0x5346_414f | 0x6b41_4653 => Some("AFS"),
        0x7375_7245 => Some("Coda"),
        0x564c => Some("NCP"),
        0x786f_4256 => Some("a folder of VirtualBox's host"),
        _ => None,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn local_disks_memory_and_nfs_are_supported_and_smb_fuse_and_9p_are_not() {
        supported(tempfile::tempdir().unwrap().path()).unwrap();
        for good in [0xef53, 0x0102_1994, 0x5846_5342, 0x9123_683e, 0x794c_7630, 0x6969] {
            assert_eq!(refused(good), None, "{good:x}");
        }
        for bad in [0xff53_4d42, 0xfe53_4d42, 0x6573_5546, 0x0102_1997] {
            let error = Cause::Network(refused(bad).unwrap()).at(Path::new("/home/x"));
            assert!(error.hints[0].contains("audit_dir"), "{:?}", error.hints);
        }
    }
}
