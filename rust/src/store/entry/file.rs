//! A token in a file that is this user's alone.

use std::fs::File;
use std::path::PathBuf;

use super::super::raw::Raw;
use super::MOST;
use crate::error::{Error, Kind, Result};
use crate::file;

/// A file that is to be overwritten and removed once its token is stored.
#[derive(Debug)]
pub(crate) struct Wipe {
    path: PathBuf,
    file: File,
}

impl Wipe {
    /// Overwrites the file and takes its name away. Blocks.
    ///
    /// # Errors
    /// `file`: the system refuses, or the name is another file's by now.
    pub(crate) fn carry_out(mut self) -> Result<()> {
        file::wipe(&self.path, &mut self.file).map_err(|error| file::fault(&self.path, "cannot be wiped", &error))
    }
}

pub(super) fn read(path: PathBuf, wipe: bool) -> Result<(Raw, Option<Wipe>)> {
    let read = file::read_own_secret(&path, MOST, wipe).map_err(|unfit| unfit.at(&path, "cannot be read"))?;
    let Some((file, mut bytes)) = read else {
        return Err(Error::new(Kind::File, format!("`{}` cannot be read (not there)", path.display()))
            .hint("check the path: there is no such file")
            .field("path", path.display().to_string()));
    };
    Ok((Raw::new(std::mem::take(&mut *bytes)), wipe.then_some(Wipe { path, file })))
}
