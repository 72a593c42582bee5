//! Files that several processes write, and those that others may have put in place: a side lock, replacing a
//! file whole, and opening and reading ordinary files only, so that no link, pipe or device does harm.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};

/// An exclusive lock on a side file, which is never renamed or removed. Opened anew for each use: a lock on a
/// descriptor that was inherited through a fork excludes nothing. Released on drop.
pub(crate) struct SideLock {
    file: File,
}

impl SideLock {
    /// Takes the lock, waiting at most `patience`. A lock in a `shared` folder may be taken by others too.
    pub(crate) fn take(path: &Path, shared: bool, patience: Duration) -> Result<Self> {
        let file = open(path, shared).map_err(|unfit| unfit.at(path, "cannot be opened"))?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { file }),
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

impl SideLock {
    /// Takes the lock where nobody has it, without waiting; `None` where somebody has.
    pub(crate) fn take_if_free(path: &Path) -> Result<Option<Self>> {
        let file = open(path, false).map_err(|unfit| unfit.at(path, "cannot be opened"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(e)) => Err(fault(path, "cannot be locked", &e)),
        }
    }
}

impl Drop for SideLock {
    /// Unlocks by name: closing alone does not unlock while a child process, forked in between, has the descriptor
    /// too.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// Opens a file for writing, made when it is not there: for the user alone, or writable for all who may enter
/// its folder. Others may write to a `shared` folder: a link there, to a name or to the file itself, could lead
/// to a file of this user's, so it is refused.
pub(crate) fn open(path: &Path, shared: bool) -> std::result::Result<File, Unfit> {
    let mut existing = OpenOptions::new();
    existing.write(true);
    let mut new = OpenOptions::new();
    new.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut new, 0o600);
    // Another process may make the file, or remove it, between our two steps.
    for _ in 0..10 {
        match ordinary(path, &mut existing, Links::Refused) {
            Err(Unfit::System(e)) if e.kind() == ErrorKind::NotFound => {}
            Err(unfit) => return Err(unfit),
            Ok((file, metadata)) => return if only_name(&metadata) { Ok(file) } else { Err(Unfit::SeveralNames) },
        }
        match ordinary(path, &mut new, Links::Refused) {
            Err(Unfit::System(e)) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(unfit) => return Err(unfit),
            Ok((file, _)) => {
                // Only what this call has made, and by its descriptor; the umask would take the others' rights away.
                #[cfg(unix)]
                if shared {
                    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
                }
                #[cfg(not(unix))]
                let _ = shared;
                return Ok(file);
            }
        }
    }
    Err(Unfit::System(ErrorKind::NotFound.into()))
}

/// Where a file comes from that keycap reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// From the user, and where tokens go depends on it: links are followed, but the file must be this user's or
    /// root's, and nobody else may write to it.
    User,
    /// From whoever looks after the machine: links are followed.
    Site,
    /// From a folder that several users may write to: no links.
    Shared,
}

/// Reads a file of at most `cap` bytes; `None` where there is none. Only ordinary files are read: a pipe would
/// block for ever, and a device need not end.
pub(crate) fn read_small(path: &Path, cap: u64, source: Source) -> std::result::Result<Option<Vec<u8>>, Unfit> {
    let links = if source == Source::Shared { Links::Refused } else { Links::Followed };
    let (file, metadata) = match ordinary(path, OpenOptions::new().read(true), links) {
        Err(Unfit::System(e)) if e.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    if source == Source::User {
        own(&metadata, Root::Allowed).map_err(Unfit::Foreign)?;
    }
    let mut bytes = Vec::new();
    // The size that the system tells may be out of date, or 0 as in `/proc`.
    file.take(cap + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > cap { Err(Unfit::TooLarge(cap)) } else { Ok(Some(bytes)) }
}

/// Whose eyes may see a file that holds a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Eyes {
    /// The owner's, and a group's where the owner wants it.
    Few,
    /// Anybody's: whoever put it there knows why.
    Any,
}

/// Reads a file that holds a secret, into a buffer that wipes itself; `None` where there is none. Links are followed;
/// the file must be this user's or root's, nobody else may write to it, and not everybody may read what few should.
pub(crate) fn read_secret(
    path: &Path,
    cap: usize,
    eyes: Eyes,
) -> std::result::Result<Option<Zeroizing<Vec<u8>>>, Unfit> {
    let (mut file, metadata) = match ordinary(path, OpenOptions::new().read(true), Links::Followed) {
        Err(Unfit::System(e)) if e.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    own(&metadata, Root::Allowed).map_err(Unfit::Foreign)?;
    #[cfg(not(unix))]
    let _ = eyes;
    #[cfg(unix)]
    if eyes == Eyes::Few && std::os::unix::fs::MetadataExt::mode(&metadata) & 0o004 != 0 {
        return Err(Unfit::Exposed);
    }
    fill(&mut file, cap).map(Some)
}

/// A file that is open, and the secret that it holds.
pub(crate) type OwnSecret = (File, Zeroizing<Vec<u8>>);

/// Reads a file with a secret that is this user's own and nobody else's to read or write: no link leads there, and
/// root's will not do. It is opened for writing too where it is to be wiped afterwards, and has no second name then.
pub(crate) fn read_own_secret(path: &Path, cap: usize, to_wipe: bool) -> std::result::Result<Option<OwnSecret>, Unfit> {
    let (mut file, metadata) = match ordinary(path, OpenOptions::new().read(true).write(to_wipe), Links::Refused) {
        Err(Unfit::System(e)) if e.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let mode = metadata.mode() & 0o777;
        match own(&metadata, Root::Refused) {
            Err(Foreign::Owner(owner)) => return Err(Unfit::Foreign(Foreign::Owner(owner))),
            _ if mode & 0o077 != 0 => return Err(Unfit::NotPrivate(mode)),
            _ => {}
        }
    }
    if to_wipe && !only_name(&metadata) {
        return Err(Unfit::SeveralNames);
    }
    let bytes = fill(&mut file, cap)?;
    Ok(Some((file, bytes)))
}

/// Overwrites an open file, makes that durable, and takes its name away, if the name is still its own.
pub(crate) fn wipe(path: &Path, file: &mut File) -> io::Result<()> {
    use std::io::Seek;
    let metadata = file.metadata()?;
    file.rewind()?;
    io::copy(&mut io::repeat(0).take(metadata.len()), file)?;
    file.sync_all()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let there = fs::symlink_metadata(path)?;
        if (there.dev(), there.ino()) != (metadata.dev(), metadata.ino()) {
            return Err(ErrorKind::NotFound.into());
        }
    }
    fs::remove_file(path)
}

/// The whole of a file with a secret. The buffer has its full size from the start: one that grows leaves copies behind.
fn fill(file: &mut File, cap: usize) -> std::result::Result<Zeroizing<Vec<u8>>, Unfit> {
    let mut bytes = Zeroizing::new(vec![0_u8; cap + 1]);
    let mut length = 0;
    while length < bytes.len() {
        match file.read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    if length > cap {
        return Err(Unfit::TooLarge(cap as u64));
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// Whether a symbolic link is followed to what it leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    Followed,
    Refused,
}

/// Opens an ordinary file, without ever waiting for the other end of a pipe.
pub(crate) fn ordinary(
    path: &Path,
    options: &mut OpenOptions,
    links: Links,
) -> std::result::Result<(File, Metadata), Unfit> {
    #[cfg(unix)]
    {
        use nix::fcntl::OFlag;
        let mut flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        if links == Links::Refused {
            flags |= OFlag::O_NOFOLLOW;
        }
        std::os::unix::fs::OpenOptionsExt::custom_flags(options, flags.bits());
    }
    #[cfg(not(unix))]
    if links == Links::Refused && fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
        return Err(Unfit::Symlink);
    }
    let file = options.open(path).map_err(|error| {
        // The system's word for it ("too many levels", "no such device") would help nobody.
        let looked = if links == Links::Refused { fs::symlink_metadata(path) } else { fs::metadata(path) };
        match looked {
            Ok(_) if matches!(error.kind(), ErrorKind::AlreadyExists) => Unfit::System(error),
            Ok(metadata) if metadata.is_symlink() => Unfit::Symlink,
            Ok(metadata) if !metadata.is_file() => Unfit::NotAFile,
            _ => Unfit::System(error),
        }
    })?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(Unfit::NotAFile) }
}

/// Whether a file has one name only: a second one may be that of a file of this user's elsewhere.
#[cfg(unix)]
pub(crate) fn only_name(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) == 1
}

#[cfg(not(unix))]
pub(crate) fn only_name(_metadata: &Metadata) -> bool {
    true
}

/// Whether root may own a file as well as this user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    Allowed,
    Refused,
}

/// In whose hands a file is besides this user's.
#[derive(Debug)]
pub(crate) enum Foreign {
    /// It belongs to this other user.
    #[cfg(unix)]
    Owner(u32),
    /// The group or everybody may write there.
    #[cfg(unix)]
    WritableByOthers,
}

/// Checks that a file or folder is this user's (or root's, where that will do), and nobody else may write to it.
#[cfg(unix)]
pub(crate) fn own(metadata: &Metadata, root: Root) -> std::result::Result<(), Foreign> {
    use std::os::unix::fs::MetadataExt;
    let owner = metadata.uid();
    if owner != nix::unistd::Uid::effective().as_raw() && !(owner == 0 && root == Root::Allowed) {
        return Err(Foreign::Owner(owner));
    }
    if metadata.mode() & 0o022 != 0 { Err(Foreign::WritableByOthers) } else { Ok(()) }
}

/// Windows keeps rights in lists that a user's own folders inherit; nothing is checked.
#[cfg(not(unix))]
pub(crate) fn own(_metadata: &Metadata, _root: Root) -> std::result::Result<(), Foreign> {
    Ok(())
}

/// Why a file is not used.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// The system refuses.
    System(io::Error),
    /// It is a symbolic link where none is followed.
    Symlink,
    /// It is a folder, a pipe, a device.
    NotAFile,
    /// It has more names than this one.
    SeveralNames,
    /// It is larger than this.
    TooLarge(u64),
    /// It is in other hands than this user's.
    Foreign(Foreign),
    /// Everybody may read it, and it holds a secret.
    #[cfg(unix)]
    Exposed,
    /// Others than its owner may read or write it, by this mode, and it holds a token.
    #[cfg(unix)]
    NotPrivate(u32),
}

impl From<io::Error> for Unfit {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl Unfit {
    /// What is wrong with the file, as the end of a sentence about it.
    pub(crate) fn what(&self) -> String {
        match self {
            Self::System(error) => format!("cannot be used ({})", error.kind()),
            Self::Symlink => "is a symbolic link, which keycap does not follow there".to_owned(),
            Self::NotAFile => "is not an ordinary file".to_owned(),
            Self::SeveralNames => "has several names (hard links), and writing to it would change them all".to_owned(),
            Self::TooLarge(cap) if *cap >= 1 << 20 => format!("is larger than {} MiB", cap >> 20),
            Self::TooLarge(cap) => format!("is larger than {} KiB", cap >> 10),
            #[cfg(unix)]
            Self::Foreign(Foreign::Owner(owner)) => {
                format!("belongs to user {owner}, and R runs as user {}", nix::unistd::Uid::effective())
            }
            #[cfg(unix)]
            Self::Foreign(Foreign::WritableByOthers) => "may be changed by others than its owner".to_owned(),
            #[cfg(unix)]
            Self::Exposed => "holds a secret and may be read by everybody".to_owned(),
            #[cfg(unix)]
            Self::NotPrivate(mode) => format!("has the mode {mode:04o}, so it is not for its owner alone"),
            #[cfg(not(unix))]
            Self::Foreign(foreign) => match *foreign {},
        }
    }

    /// The error for a path; `failed` says what the system refused, where it did.
    pub(crate) fn at(&self, path: &Path, failed: &str) -> Error {
        let place = Quoted(path);
        let hint = match self {
            Self::System(error) => return fault(path, failed, error),
            Self::Symlink | Self::NotAFile | Self::SeveralNames => {
                look(&place, "shows what is there and whose it is; move it away or put an ordinary file in its place")
            }
            Self::TooLarge(_) => look(&place, "shows whose it is; move it away: keycap did not write this"),
            #[cfg(unix)]
            Self::Foreign(Foreign::Owner(_)) => {
                look(&place, "shows whose it is; run R as that user, or move the file away and make it anew")
            }
            #[cfg(unix)]
            Self::Foreign(Foreign::WritableByOthers) => {
                format!("look whether it still says what you want, then `chmod go-w {place}` keeps others from it")
            }
            #[cfg(unix)]
            Self::Exposed => {
                format!("`chmod 600 {place}` keeps others from it; what they may have read should be replaced")
            }
            #[cfg(unix)]
            Self::NotPrivate(_) => {
                format!("`chmod 600 {place}` keeps others from it; if they may have read the token, regenerate it")
            }
            #[cfg(not(unix))]
            Self::Foreign(foreign) => match *foreign {},
        };
        Error::new(Kind::File, format!("`{}` {}", path.display(), self.what()))
            .hint(hint)
            .field("path", path.display().to_string())
    }
}

/// A command that lists a path.
pub(crate) fn look(place: &Quoted<'_>, what: &str) -> String {
    if cfg!(windows) { format!("`icacls {place}` {what}") } else { format!("`ls -ld {place}` {what}") }
}

/// A path as a shell takes it.
pub(crate) struct Quoted<'a>(pub(crate) &'a Path);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.display().to_string();
        if cfg!(windows) {
            write!(f, "\"{text}\"")
        } else if text.chars().all(|c| c.is_alphanumeric() || "/._-+@:".contains(c)) {
            f.write_str(&text)
        } else {
            write!(f, "'{}'", text.replace('\'', r"'\''"))
        }
    }
}

/// An error about a file: its name, what failed, and the system's reason.
pub(crate) fn fault(path: &Path, what: &str, error: &std::io::Error) -> Error {
    let hint = match error.kind() {
        std::io::ErrorKind::PermissionDenied => "check who owns the folder and whether you may write there",
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => "make room on that device",
        std::io::ErrorKind::ReadOnlyFilesystem => "the device is read-only: choose another folder",
        std::io::ErrorKind::NotFound => "check the path: there is no such file, or its folder does not exist",
        _ => "check that the folder exists and that you may write there",
    };
    let reason = match error.kind() {
        std::io::ErrorKind::NotFound => "not there".to_owned(),
        kind => kind.to_string(),
    };
    Error::new(Kind::File, format!("`{}` {what} ({reason})", path.display()))
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
    settle(path);
    Ok(())
}

/// The rename is durable only with its folder; a folder that cannot be opened has still been renamed in.
fn settle(path: &Path) {
    #[cfg(unix)]
    if let Some(parent) = path.parent() {
        let _ = File::open(parent).and_then(|folder| folder.sync_all());
    }
    #[cfg(not(unix))]
    let _ = path;
}

/// The successor of a file, the user's alone, whose content comes later and comes only once: it is there already, with
/// its room on the disk. Dropped before [`Successor::succeed`], it is gone.
pub(crate) struct Successor {
    file: File,
    beside: PathBuf,
    path: PathBuf,
    keep: bool,
}

impl Successor {
    pub(crate) fn of(path: &Path, room: usize) -> Result<Self> {
        let cannot = |error| fault(path, "cannot be written", &error);
        // A file does not take a folder's place.
        if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
            return Err(cannot(std::io::ErrorKind::IsADirectory.into()));
        }
        let beside = beside(path);
        let written = write_new(&beside, &vec![0; room], Readers::Owner);
        let file = written.and_then(|()| OpenOptions::new().write(true).open(&beside)).map_err(|error| {
            let _ = fs::remove_file(&beside);
            cannot(error)
        })?;
        Ok(Self { file, beside, path: path.to_owned(), keep: false })
    }

    /// The file that it is written into before it takes the other's place.
    pub(crate) fn place(&self) -> &Path {
        &self.beside
    }

    /// Puts the content, which has no more than the room, in the file's place. Where that fails and the content is
    /// written, it stays beside.
    pub(crate) fn succeed(mut self, content: &[u8]) -> Result<()> {
        let length = content.len() as u64;
        let written = self.file.write_all(content).and_then(|()| self.file.set_len(length));
        written.map_err(|error| fault(&self.path, "cannot be written", &error))?;
        self.keep = true;
        let renamed = self.file.sync_all().and_then(|()| fs::rename(&self.beside, &self.path));
        renamed.map_err(|error| {
            let beside = self.beside.display();
            fault(&self.path, "cannot be written", &error).hint(format!("its content is in `{beside}`; move it there"))
        })?;
        settle(&self.path);
        Ok(())
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_file(&self.beside);
        }
    }
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

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::sync::mpsc;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn pipe(path: &Path) {
        nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    }

    /// Fails, rather than hangs, where a call blocks.
    fn soon<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || sender.send(call()));
        receiver.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    fn refused(path: &Path, shared: bool) -> Error {
        let at = path.to_owned();
        let error = soon(move || open(&at, shared)).unwrap_err().at(path, "cannot be opened");
        assert_eq!(error.kind, Kind::File);
        assert!(error.message.contains(&path.display().to_string()), "{}", error.message);
        assert!(error.hints[0].contains(&path.display().to_string()), "{:?}", error.hints);
        error
    }

    #[test]
    fn a_new_file_is_for_the_user_alone_or_for_all_and_an_existing_one_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        for (shared, new) in [(false, 0o600), (true, 0o666)] {
            let path = folder.path().join(format!("{shared}"));
            open(&path, shared).unwrap().write_all(b"12345678").unwrap();
            assert_eq!(mode(&path), new);
            chmod(&path, 0o640);
            open(&path, shared).unwrap();
            assert_eq!((mode(&path), fs::read(&path).unwrap()), (0o640, b"12345678".to_vec()));
        }
    }

    #[test]
    fn a_successor_has_its_room_before_its_content_and_leaves_nothing_unless_it_succeeds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let names = || fs::read_dir(&folder).unwrap().count();
        let successor = Successor::of(&path, 5000).unwrap();
        assert_eq!((fs::metadata(&successor.beside).unwrap().len(), mode(&successor.beside)), (5000, 0o600));
        drop(successor);
        assert_eq!(names(), 0);
        Successor::of(&path, 5000).unwrap().succeed(b"content").unwrap();
        assert_eq!((fs::read(&path).unwrap(), names()), (b"content".to_vec(), 1));
        // What comes only once is not thrown away.
        let successor = Successor::of(&path, 5000).unwrap();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let beside = successor.beside.clone();
        let error = successor.succeed(b"once").unwrap_err();
        assert!(error.hints.iter().any(|hint| hint.contains(beside.to_str().unwrap())), "{error:?}");
        assert_eq!(fs::read(&beside).unwrap(), b"once");
        assert!(Successor::of(&path, 10).is_err());
    }

    #[test]
    fn a_link_in_a_shared_folder_neither_exposes_nor_changes_what_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("victim"), "precious").unwrap();
        chmod(&at("victim"), 0o600);
        symlink(at("victim"), at("soft")).unwrap();
        symlink(at("absent"), at("dangling")).unwrap();
        for shared in [true, false] {
            assert!(refused(&at("soft"), shared).message.contains("symbolic link"));
            assert!(refused(&at("dangling"), shared).message.contains("symbolic link"));
        }
        fs::hard_link(at("victim"), at("hard")).unwrap();
        assert!(refused(&at("hard"), true).message.contains("hard links"));
        assert_eq!((mode(&at("victim")), fs::read_to_string(at("victim")).unwrap()), (0o600, "precious".to_owned()));
        assert!(!at("absent").exists());
    }

    #[test]
    fn a_lock_is_not_taken_on_a_pipe_a_device_or_a_folder_and_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        pipe(&fifo);
        for path in [&fifo, Path::new("/dev/zero"), folder.path()] {
            assert!(refused(path, true).message.contains("not an ordinary file"));
        }
        // With a reader at its other end the pipe opens, and is refused all the same.
        let _reader = OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
        assert!(refused(&fifo, false).message.contains("not an ordinary file"));
        let error = SideLock::take(&fifo, true, Duration::ZERO).map(|_| ()).unwrap_err();
        assert_eq!(error.kind, Kind::File);
    }

    #[test]
    fn a_child_that_has_inherited_the_descriptor_does_not_keep_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let held = SideLock::take(&path, false, Duration::ZERO).unwrap();
        let inherited = held.file.try_clone().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").stdin(inherited).spawn().unwrap();
        drop(held);
        let again = SideLock::take(&path, false, Duration::ZERO).map(drop);
        child.kill().unwrap();
        child.wait().unwrap();
        again.unwrap();
    }

    #[test]
    fn side_by_side_openers_of_a_new_file_all_get_the_same_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        let inodes: Vec<u64> = std::thread::scope(|scope| {
            let openers: Vec<_> =
                (0..8).map(|_| scope.spawn(|| open(&path, true).unwrap().metadata().unwrap().ino())).collect();
            openers.into_iter().map(|opener| opener.join().unwrap()).collect()
        });
        assert!(inodes.iter().all(|inode| *inode == inodes[0]));
    }

    #[test]
    fn only_ordinary_files_are_read_whoever_they_come_from() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        pipe(&at("fifo"));
        symlink("/dev/zero", at("zero")).unwrap();
        symlink(at("fifo"), at("to fifo")).unwrap();
        for source in [Source::User, Source::Site, Source::Shared] {
            for path in [at("fifo"), at("zero"), at("to fifo"), PathBuf::from("/dev/zero"), folder.path().to_owned()] {
                let unfit = soon(move || read_small(&path, 100, source)).unwrap_err();
                assert!(matches!(unfit, Unfit::NotAFile | Unfit::Symlink), "{unfit:?}");
                assert_eq!(matches!(unfit, Unfit::Symlink), source == Source::Shared && unfit.what().contains("link"));
            }
            assert_eq!(read_small(&at("absent"), 100, source).unwrap(), None);
        }
    }

    #[test]
    fn a_file_is_read_up_to_its_cap() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small");
        fs::write(&path, [7; 1024]).unwrap();
        assert_eq!(read_small(&path, 1024, Source::Shared).unwrap(), Some(vec![7; 1024]));
        fs::write(&path, [7; 1025]).unwrap();
        let error = read_small(&path, 1024, Source::Shared).unwrap_err().at(&path, "cannot be read");
        assert!(error.message.ends_with("is larger than 1 KiB"), "{}", error.message);
        // It says that its size is 0.
        assert!(matches!(read_small(Path::new("/proc/self/status"), 16, Source::Site), Err(Unfit::TooLarge(16))));
    }

    #[test]
    fn links_are_followed_for_the_users_own_files_and_not_in_shared_folders() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("dotfile"), folder.path().join("link"));
        fs::write(&real, "x").unwrap();
        chmod(&real, 0o600);
        symlink(&real, &link).unwrap();
        for source in [Source::User, Source::Site] {
            assert_eq!(read_small(&link, 10, source).unwrap(), Some(b"x".to_vec()));
        }
        assert!(matches!(read_small(&link, 10, Source::Shared), Err(Unfit::Symlink)));
    }

    #[test]
    fn a_file_of_the_users_that_others_may_change_is_refused_with_the_command_that_helps() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("its own");
        fs::write(&path, "x").unwrap();
        for open_to in [0o620, 0o602, 0o666] {
            chmod(&path, open_to);
            let error = read_small(&path, 10, Source::User).unwrap_err().at(&path, "cannot be read");
            assert_eq!(error.kind, Kind::File);
            assert!(error.hints[0].contains(&format!("`chmod go-w {}`", Quoted(&path))), "{}", error.hints[0]);
            assert!(read_small(&path, 10, Source::Shared).is_ok());
        }
        chmod(&path, 0o644);
        assert!(read_small(&path, 10, Source::User).is_ok());
    }

    #[test]
    fn a_file_is_this_users_or_roots_and_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "x").unwrap();
        let of_root = fs::metadata("/proc/version").unwrap();
        assert_eq!(of_root.uid(), 0);
        assert!(own(&of_root, Root::Allowed).is_ok());
        if nix::unistd::Uid::effective().is_root() {
            // Only root can give a file away.
            nix::unistd::chown(&path, Some(12345.into()), None).unwrap();
            let unfit = read_small(&path, 10, Source::User).unwrap_err();
            assert!(unfit.what().contains("user 12345"), "{}", unfit.what());
            assert!(read_small(&path, 10, Source::Site).is_ok());
        } else {
            assert!(matches!(own(&of_root, Root::Refused), Err(Foreign::Owner(0))));
        }
    }
}
