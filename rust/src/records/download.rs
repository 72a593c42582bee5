//! A body as it comes: into one text, or to a file on disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use super::body::{Body, Cells, MOST_HEADER};
use super::csv::Reader;
use super::file::Partial;
use super::intake::Target;
use super::sheet::{Header, nul};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::redcap::repair;
use crate::redcap::{Expect, Sink, safe_name};

/// The longest text that is held in memory.
const MOST: usize = 256 * 1024 * 1024;

/// The pause between two words about the progress.
const PAUSE: Duration = Duration::from_millis(100);

/// Where bytes go.
pub(super) trait Place: Send {
    /// A body begins, under the server's name for it.
    fn begin(&mut self, name: Option<&str>) -> Result<()>;

    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Forgets what came.
    fn back(&mut self) -> Result<()>;
}

/// Memory.
pub(super) struct InMemory(Zeroizing<Vec<u8>>);

impl InMemory {
    pub(super) fn new() -> Self {
        Self(Zeroizing::new(Vec::new()))
    }

    /// The text, and how many of its bytes were no UTF-8 and were read as Latin-1. A file is text or it is not:
    /// nothing of it is repaired.
    pub(super) fn text(self, expect: Expect) -> Result<(String, bool)> {
        let bytes = self.0.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.0);
        if memchr::memchr(0, bytes).is_some() {
            return Err(nul());
        }
        let (text, repaired) = match std::str::from_utf8(bytes) {
            Ok(text) => {
                let mut owned = String::new();
                owned.try_reserve_exact(text.len()).map_err(|_| Error::memory())?;
                owned.push_str(text);
                (owned, false)
            }
            Err(_) if expect == Expect::Bytes => {
                return Err(Error::new(Kind::NotRedcap, "the answer is no text in UTF-8")
                    .hint("take it as it is: `as = \"file\"` with `to`"));
            }
            Err(_) => (repair::latin1(bytes), true),
        };
        // Names, numbers and links have no use for a line break; in data it may be the value's.
        let bare = matches!(expect, Expect::Version | Expect::Text);
        Ok((if bare { text.trim_ascii().to_owned() } else { text }, repaired))
    }
}

impl Place for InMemory {
    fn begin(&mut self, _: Option<&str>) -> Result<()> {
        self.back()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.0.len() + bytes.len() > MOST {
            return Err(Error::new(Kind::NotRedcap, "the answer is larger than 256 MB, too large for one text")
                .hint("take it as a file: `as = \"file\"` with `to`"));
        }
        self.0.try_reserve(bytes.len()).map_err(|_| Error::memory())?;
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn back(&mut self) -> Result<()> {
        self.0.clear();
        Ok(())
    }
}

/// A file that is not there before it is whole.
pub(super) struct OnDisk {
    /// The file, or the folder in which it gets the server's name.
    to: PathBuf,
    /// Its name where the server gives none that can be used.
    fallback: String,
    partial: Option<Partial>,
}

impl OnDisk {
    /// # Errors
    /// `file`: something is there already.
    pub(super) fn new(to: &Path, fallback: String) -> Result<Self> {
        if !to.is_dir() {
            free(to)?;
        }
        Ok(Self { to: to.to_owned(), fallback, partial: None })
    }

    /// Gives the file its name. Blocks. The full path of the file.
    ///
    /// # Errors
    /// `file`; then nothing is left.
    pub(super) fn commit(self) -> Result<PathBuf> {
        let missing = || Error::new(Kind::Internal, "no file was begun");
        self.partial.ok_or_else(missing)?.commit_new()
    }
}

impl Place for OnDisk {
    fn begin(&mut self, name: Option<&str>) -> Result<()> {
        let path = if self.to.is_dir() {
            self.to.join(name.and_then(safe_name).unwrap_or_else(|| self.fallback.clone()))
        } else {
            self.to.clone()
        };
        // What an earlier try began is removed first: it may be in the way.
        self.partial = None;
        free(&path)?;
        self.partial = Some(Partial::new(&path)?);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.partial.as_mut().map_or(Ok(()), |partial| partial.write(bytes))
    }

    fn back(&mut self) -> Result<()> {
        self.partial.as_mut().map_or(Ok(()), Partial::back)
    }
}

/// Nothing is ever written over.
pub(super) fn free(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(taken(path))
}

/// The error for a name that is taken.
pub(super) fn taken(path: &Path) -> Error {
    Error::new(Kind::File, format!("`{}` is there already, and keycap writes over nothing", path.display()))
        .hint("move it away, or give another `to`")
        .field("path", path.display().to_string())
}

/// Bytes as they come. Where they should be a table with another delimiter than a comma, nothing goes on before the
/// header was seen to be one.
pub(super) struct Raw<P> {
    ctx: Ctx,
    pub(super) place: P,
    header: Option<(Header, char)>,
    held: Option<Vec<u8>>,
    bytes: u64,
    told: Duration,
}

impl<P: Place> Raw<P> {
    pub(super) fn new(ctx: &Ctx, place: P, header: Option<(Header, char)>) -> Self {
        let told = ctx.clock.elapsed();
        let held = header.as_ref().map(|_| Vec::new());
        Self { ctx: ctx.clone(), place, header, held, bytes: 0, told }
    }

    /// Lets go what was held, once the first line is there.
    fn release(&mut self, ended: bool) -> Result<()> {
        let (Some((header, delimiter)), Some(held)) = (&self.header, &self.held) else { return Ok(()) };
        let end = memchr::memchr(b'\n', held);
        if end.is_none() && !ended {
            return if held.len() > MOST_HEADER { Err(no_header()) } else { Ok(()) };
        }
        let line = repair::shown(&held[..end.unwrap_or(held.len())]);
        let line = line.trim_start_matches('\u{feff}').trim();
        if !line.is_empty() {
            let names = line.split(*delimiter).map(|name| name.trim_matches('"').to_owned());
            header.check(&names.collect::<Vec<_>>())?;
        }
        let held = self.held.take().unwrap_or_default();
        self.place.write(&held)
    }
}

impl<P: Place> Sink for Raw<P> {
    fn restart(&mut self) -> bool {
        self.bytes = 0;
        self.held = self.header.as_ref().map(|_| Vec::new());
        self.place.back().is_ok()
    }

    fn begin(&mut self, name: Option<&str>) -> Result<()> {
        self.place.begin(name)
    }

    fn take(&mut self, chunk: &[u8]) -> Result<()> {
        self.bytes += chunk.len() as u64;
        match &mut self.held {
            None => self.place.write(chunk)?,
            Some(held) => {
                held.extend_from_slice(chunk);
                self.release(false)?;
            }
        }
        let now = self.ctx.clock.elapsed();
        if now.saturating_sub(self.told) >= PAUSE {
            self.told = now;
            self.ctx.log.progress(self.bytes, 0);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.release(true)
    }
}

pub(super) fn no_header() -> Error {
    Error::new(Kind::NotRedcap, "the answer has no header of a table")
        .hint("the server may be in trouble; try again later, then tell its administrator")
}

/// Reads the header, and along to see whether the body is whole.
struct Along(Header);

impl Cells for Along {
    fn header(&mut self, names: &[String]) -> Result<()> {
        self.0.check(names)
    }
    fn cell(&mut self, _: usize, _: &[u8]) {}
    fn end(&mut self) {}
}

/// A table as it comes. Nothing goes on before the header was seen to be one.
pub(super) struct Rows<P> {
    body: Body<Along>,
    pub(super) place: P,
    held: Vec<u8>,
}

impl<P: Place> Rows<P> {
    /// # Errors
    /// `file`: the place cannot be written to.
    pub(super) fn new(header: Header, mut place: P) -> Result<Self> {
        place.begin(None)?;
        Ok(Self { body: Body::new(Along(header)), place, held: Vec::new() })
    }
}

impl<P: Place> Target for Rows<P> {
    fn take(&mut self, reader: &mut Reader, chunk: &[u8]) -> Result<()> {
        let begun = self.body.has_header();
        reader.feed(chunk, &mut self.body)?;
        if begun {
            return self.place.write(chunk);
        }
        self.held.extend_from_slice(chunk);
        if !self.body.has_header() {
            return if self.held.len() > MOST_HEADER { Err(no_header()) } else { Ok(()) };
        }
        self.place.write(&std::mem::take(&mut self.held))
    }

    fn cut_short(&self) -> Error {
        self.body.cut_short()
    }

    fn keep(&mut self) {
        self.body.settle();
    }

    fn back(&mut self) -> Result<()> {
        self.held.clear();
        self.body.redo();
        self.place.back()
    }

    fn rows(&self) -> u64 {
        self.body.rows()
    }
}
