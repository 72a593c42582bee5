//! One file of the log: its tail, what is cut from it, and appending to it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::cause::Cause;
use super::entry::{Opening, Recover};
use super::file::{self, How};
use super::line::{self, LONGEST, Link, Place, VERSION};
use super::setup::Setup;
use super::who;
use crate::error::{Error, Result};

/// A file of the log, open to append. Whoever appends holds the lock.
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    size: u64,
}

/// How a segment ends.
#[derive(Debug)]
struct Tail {
    /// The end of the last whole line.
    end: u64,
    /// What the next line says of it.
    place: Place,
    /// What stands behind it, and has to go.
    torn: Vec<u8>,
}

impl Segment {
    /// Opens it, or makes it; then its name is durable before it has a first line.
    ///
    /// # Errors
    /// `audit`.
    pub(super) fn open(path: PathBuf, setup: &Setup) -> Result<Self> {
        let file = file::open(&path, How::Append)?;
        let at = |error: io::Error| Cause::of(&error).at(&path);
        let metadata = file.metadata().map_err(at)?;
        let size = metadata.len();
        file::share(&metadata, 0o040, setup, |permissions| file.set_permissions(permissions)).map_err(at)?;
        if size == 0 {
            file::sync_folder(file::parent(&path)).map_err(|error| Cause::of(&error).at(&path))?;
        }
        Ok(Self { path, file, size })
    }

    /// Whether it has no line yet.
    pub(super) fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Its size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Its file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its first line is its last.
    ///
    /// # Errors
    /// `audit`.
    pub(super) fn has_one_line(&mut self) -> Result<bool> {
        Ok(self.line_before(self.size)?.is_some_and(|line| line.len() as u64 == self.size))
    }

    /// What the segment behind this one says of it.
    pub(super) fn opening(&self, reason: &'static str, place: &Place) -> Opening {
        let after = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Opening { reason, after, after_size: self.size, after_hash: place.hash.clone() }
    }

    /// The place behind its last entry; nothing is cut.
    ///
    /// # Errors
    /// `audit`.
    pub(super) fn place(&mut self) -> Result<Place> {
        Ok(self.tail()?.place)
    }

    /// The place in the chain to go on from, and what was cut from the end to come there.
    ///
    /// A torn tail is first copied, durably, into a file of its own, then cut; then the caller writes what is
    /// returned here as the next entries. A crash in between is made good by the next append: a file with a
    /// tail that was torn just where the log ends has no entry yet.
    ///
    /// # Errors
    /// `audit`.
    pub(super) fn recover(&mut self, setup: &Setup) -> Result<(Place, Vec<Recover>)> {
        let tail = self.tail()?;
        let mut kept = Vec::new();
        let mut is_kept = tail.torn.is_empty();
        for n in 1.. {
            let path = who::torn(&self.path, tail.end, n);
            if std::fs::symlink_metadata(&path).is_ok() {
                let mut bytes = Vec::new();
                file::open(&path, How::Read)?.read_to_end(&mut bytes).map_err(|error| Cause::of(&error).at(&path))?;
                is_kept = is_kept || bytes == tail.torn;
                kept.push(describe(&path, tail.end, &bytes));
            } else if is_kept {
                break;
            } else {
                keep(&path, &tail.torn, setup)?;
                kept.push(describe(&path, tail.end, &tail.torn));
                break;
            }
        }
        if self.size > tail.end {
            self.cut(tail.end)?;
        }
        Ok((tail.place, kept))
    }

    /// Appends lines in one write. When that fails, what was written of them is taken back.
    ///
    /// # Errors
    /// `audit`.
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<()> {
        self.file.write_all(lines).map_err(|error| {
            // Should this fail too, the next append finds a torn tail.
            let _ = self.cut(self.size);
            self.error(&error)
        })?;
        self.size += lines.len() as u64;
        Ok(())
    }

    /// Makes everything that was appended durable, by whomever.
    ///
    /// # Errors
    /// `audit`.
    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|error| self.error(&error))
    }

    /// An append handle cannot cut on Windows, so the file is opened once more.
    fn cut(&mut self, size: u64) -> Result<()> {
        file::open(&self.path, How::Write)?.set_len(size).map_err(|error| self.error(&error))?;
        self.size = size;
        Ok(())
    }

    fn error(&self, error: &io::Error) -> Error {
        Cause::of(error).at(&self.path)
    }

    /// Reads backwards, as far as the last entry.
    fn tail(&mut self) -> Result<Tail> {
        let mut end = self.size;
        let mut torn = Vec::new();
        let mut hash = None;
        let mut passed = 0;
        while let Some(line) = self.line_before(end)? {
            match Link::of(&line) {
                Some(link) if link.v > VERSION => return Err(Cause::Newer.at(&self.path)),
                Some(link) => {
                    let place = Place {
                        seq: link.seq.saturating_add(passed),
                        hash: hash.unwrap_or_else(|| line::sha256(&line)),
                    };
                    return Ok(Tail { end: self.size - torn.len() as u64, place, torn });
                }
                // The last line is cut when it is no entry. One before it is damage that did not come of a
                // crash: it stays, is counted, and the chain goes on over it.
                None if end == self.size => {
                    end -= line.len() as u64;
                    torn = line;
                    continue;
                }
                None => {
                    hash.get_or_insert_with(|| line::sha256(&line));
                    passed += 1;
                }
            }
            end -= line.len() as u64;
        }
        if passed > 0 {
            return Err(Cause::Damaged("it has lines, and none of them is an entry").at(&self.path));
        }
        Ok(Tail { end: 0, place: Place::start(), torn })
    }

    /// The line that ends at an offset, with its `\n` if it has one; `None` at the beginning of the file.
    fn line_before(&mut self, end: u64) -> Result<Option<Vec<u8>>> {
        // What is read at first is enough for a few entries.
        let mut block = 4096;
        if end == 0 {
            return Ok(None);
        }
        loop {
            let start = end.saturating_sub(block);
            let mut bytes = vec![0; usize::try_from(end - start).unwrap_or(usize::MAX)];
            self.file
                .seek(SeekFrom::Start(start))
                .and_then(|_| self.file.read_exact(&mut bytes))
                .map_err(|error| self.error(&error))?;
            let before = &bytes[..bytes.len() - 1];
            if let Some(at) = before.iter().rposition(|byte| *byte == b'\n') {
                return Ok(Some(bytes.split_off(at + 1)));
            }
            if start == 0 {
                return Ok(Some(bytes));
            }
            if block >= LONGEST {
                return Err(Cause::Damaged("it ends with something too long to be an entry").at(&self.path));
            }
            block *= 4;
        }
    }
}

fn describe(path: &Path, offset: u64, bytes: &[u8]) -> Recover {
    let kept_as = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Recover { offset, bytes: bytes.len() as u64, sha256: line::sha256(bytes), kept_as }
}

/// Keeps a torn tail, durably.
fn keep(path: &Path, bytes: &[u8], setup: &Setup) -> Result<()> {
    let mut file = file::open(path, How::New)?;
    file.metadata()
        .and_then(|metadata| file::share(&metadata, 0o040, setup, |permissions| file.set_permissions(permissions)))
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_all())
        .and_then(|()| file::sync_folder(file::parent(path)))
        .map_err(|error| Cause::of(&error).at(path))
}
