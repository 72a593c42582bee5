//! An export to a file: the bytes as they come, under another name until the last one is on disk.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use super::body::{Body, Cells, MOST_HEADER};
use super::csv::Reader;
use super::dictionary::Dictionary;
use super::download::no_header;
use super::intake::Target;
use crate::error::{Error, Kind, Result};
use crate::file::fault;
use crate::redcap::repair;

/// Refuses a name that is taken, unless what is there is to be replaced.
///
/// # Errors
/// `file`.
pub(super) fn check_free(path: &Path, overwrite: bool) -> Result<()> {
    if overwrite || path.is_dir() || path.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(Error::new(Kind::File, format!("`{}` is there already", path.display()))
        .hint("`overwrite = TRUE` puts the new file in its place once that is whole")
        .hint("or move it away, or give another `to`")
        .field("path", path.display().to_string()))
}

/// A file that is being written beside the one that it will be. Dropped before it is whole, it is removed.
pub(super) struct Partial {
    path: PathBuf,
    beside: PathBuf,
    file: Option<File>,
    kept: u64,
    length: u64,
}

impl Partial {
    /// Begins `<path>.partial`, for the user alone.
    ///
    /// # Errors
    /// `file`: it cannot be made, or is there.
    pub(super) fn new(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Err(Error::new(Kind::File, format!("`{}` is a folder", path.display()))
                .hint("give the name of a file")
                .field("path", path.display().to_string()));
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let beside = path.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&beside).map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Error::new(Kind::File, format!("`{}` is there already", beside.display()))
                    .hint("another export to this file is under way, or one was killed: then remove that file")
                    .field("path", beside.display().to_string())
            }
            _ => fault(path, "cannot be made", &e),
        })?;
        Ok(Self { path: path.to_owned(), beside, file: Some(file), kept: 0, length: 0 })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(bytes).map_err(|e| fault(&self.beside, "cannot be written", &e))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn back(&mut self) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.set_len(self.kept)
            .and_then(|()| file.seek(SeekFrom::Start(self.kept)))
            .map_err(|e| fault(&self.beside, "cannot be written", &e))?;
        self.length = self.kept;
        Ok(())
    }

    /// Makes the file durable and gives it its name. Blocks.
    ///
    /// # Errors
    /// `file`; then nothing is left.
    pub(super) fn commit(self) -> Result<()> {
        self.named(|beside, path| fs::rename(beside, path)).map(|_| ())
    }

    /// The same, where a file of that name must not be there. The path.
    ///
    /// # Errors
    /// `file`; then nothing is left.
    pub(super) fn commit_new(self) -> Result<PathBuf> {
        self.named(|beside, path| {
            // A new name for the same file fails where that name is taken; renaming would write over it.
            match fs::hard_link(beside, path) {
                Ok(()) => fs::remove_file(beside),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Err(e),
                // A file system without such names.
                Err(_) if path.symlink_metadata().is_err() => fs::rename(beside, path),
                Err(_) => Err(std::io::ErrorKind::AlreadyExists.into()),
            }
        })
    }

    fn named(mut self, name: impl FnOnce(&Path, &Path) -> std::io::Result<()>) -> Result<PathBuf> {
        let Some(file) = self.file.take() else { return Ok(std::mem::take(&mut self.path)) };
        let named = file.sync_all().and_then(|()| {
            drop(file);
            name(&self.beside, &self.path)
        });
        if let Err(e) = named {
            let _ = fs::remove_file(&self.beside);
            return Err(fault(&self.path, "cannot be written", &e));
        }
        #[cfg(unix)]
        if let Some(parent) = self.path.parent() {
            // The new name is durable only with its folder; a folder that cannot be opened has still been renamed in.
            let _ = File::open(parent).and_then(|folder| folder.sync_all());
        }
        Ok(std::mem::take(&mut self.path))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            drop(file);
            let _ = fs::remove_file(&self.beside);
        }
    }
}

/// Reads along to see whether the body is whole, and of which records it is.
struct Tally<D> {
    dictionary: D,
    /// The column of the records' ids, once they are to be remembered.
    ids_in: Option<usize>,
    watched: bool,
    /// The ids; rows of one record behind each other have one.
    ids: Vec<Box<str>>,
    kept: usize,
}

impl<D: Deref<Target = Dictionary>> Cells for Tally<D> {
    fn header(&mut self, names: &[String]) -> Result<()> {
        self.dictionary.check_header(names)?;
        let place = names.iter().position(|name| *name == self.dictionary.record_id);
        self.ids_in = place.filter(|_| self.watched);
        Ok(())
    }

    #[inline]
    fn cell(&mut self, column: usize, cell: &[u8]) {
        if Some(column) == self.ids_in && self.ids.last().is_none_or(|last| last.as_bytes() != cell) {
            self.ids.push(repair::shown(cell).into());
        }
    }

    fn end(&mut self) {}
}

/// Writes bodies one behind the other, with one header. Nothing is written before the header was seen to be one:
/// what is no export may hold the server's secrets.
pub(super) struct ToFile<D> {
    body: Body<Tally<D>>,
    partial: Partial,
    /// The beginning of the first body, as long as its header has not ended.
    held: Vec<u8>,
    /// A header is written.
    begun: bool,
    kept_begun: bool,
}

impl<D: Deref<Target = Dictionary>> ToFile<D> {
    pub(super) fn new(dictionary: D, partial: Partial) -> Self {
        let tally = Tally { dictionary, ids_in: None, watched: false, ids: Vec::new(), kept: 0 };
        let body = Body::new(tally);
        Self { body, partial, held: Vec::new(), begun: false, kept_begun: false }
    }

    /// The file, and the ids that came since they were watched.
    pub(super) fn finish(self) -> (Partial, Vec<Box<str>>) {
        (self.partial, self.body.cells.ids)
    }
}

impl<D: Deref<Target = Dictionary> + Send> Target for ToFile<D> {
    fn take(&mut self, reader: &mut Reader, chunk: &[u8]) -> Result<()> {
        reader.feed(chunk, &mut self.body)?;
        let ended_here = self.body.header_end.take();
        if !self.body.has_header() {
            if !self.begun {
                self.held.extend_from_slice(chunk);
            }
            return if self.held.len() > MOST_HEADER { Err(no_header()) } else { Ok(()) };
        }
        let rest = match ended_here {
            Some(end) if self.begun => &chunk[end..],
            Some(_) => {
                self.begun = true;
                let held = std::mem::take(&mut self.held);
                self.partial.write(&held)?;
                chunk
            }
            None => chunk,
        };
        self.partial.write(rest)
    }

    fn cut_short(&self) -> Error {
        self.body.cut_short()
    }

    fn keep(&mut self) {
        self.kept_begun = self.begun;
        self.partial.kept = self.partial.length;
        self.held.clear();
        self.body.cells.kept = self.body.cells.ids.len();
        self.body.settle();
    }

    fn back(&mut self) -> Result<()> {
        self.begun = self.kept_begun;
        self.held.clear();
        let kept = self.body.cells.kept;
        self.body.cells.ids.truncate(kept);
        self.body.redo();
        self.partial.back()
    }

    fn watch(&mut self) {
        self.body.cells.watched = true;
    }

    fn rows(&self) -> u64 {
        self.body.rows()
    }
}
