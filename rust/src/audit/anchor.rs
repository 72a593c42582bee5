//! Anchors: what keeps checkpoints outside the user's reach.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::file::{Readers, fault, replace};
use crate::net::io::blocking;
use crate::project::{Anchor, AnchorPlace};
use crate::store::run_program;

/// What an anchor gives back at most.
const MOST: usize = 64 << 20;

/// What a program that keeps a note may print; it is of no interest.
const CHATTER: usize = 64 << 10;

/// A checkpoint on its way to an anchor.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) origin: String,
    pub(super) entries: u64,
    pub(super) note: String,
}

impl Anchor {
    /// Gives a note to the anchor, which keeps it when this returns.
    ///
    /// # Errors
    /// `file`, `store`: the anchor is out of reach.
    pub(super) async fn keep(&self, ctx: &Ctx, parcel: &Parcel, scratch: &Path) -> Result<()> {
        match &self.place {
            AnchorPlace::File(path) => {
                let (path, text) = (path.clone(), format!("\n{}", parcel.note));
                blocking(move || append(&path, &text)).await
            }
            AnchorPlace::Command { write, limit, .. } => {
                let asks = write.iter().any(|argument| argument.contains("{file}"));
                if asks {
                    replace(scratch, parcel.note.as_bytes(), Readers::Owner)?;
                }
                let line = filled(write, parcel, scratch);
                let done = run_program(ctx, &line, Some(parcel.note.as_bytes()), *limit, CHATTER).await;
                if asks {
                    let _ = std::fs::remove_file(scratch);
                }
                done.map(drop)
            }
        }
    }

    /// All that the anchor has. `None`: nothing says how it is read.
    ///
    /// # Errors
    /// `file`, `store`: the anchor is out of reach.
    pub(super) async fn read(&self, ctx: &Ctx, origin: &str) -> Result<Option<String>> {
        let bytes = match &self.place {
            AnchorPlace::File(path) => {
                let path = path.clone();
                blocking(move || read(&path)).await?
            }
            AnchorPlace::Command { read: None, .. } => return Ok(None),
            AnchorPlace::Command { read: Some(line), limit, .. } => {
                let parcel = Parcel { origin: origin.to_owned(), entries: 0, note: String::new() };
                run_program(ctx, &filled(line, &parcel, Path::new("")), None, *limit, 8 << 20).await?
            }
        };
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// A program's arguments, the name of the program itself as it is.
fn filled(line: &[String], parcel: &Parcel, scratch: &Path) -> Vec<String> {
    let fill = |(at, text): (usize, &String)| {
        if at == 0 {
            return text.clone();
        }
        text.replace("{origin}", &parcel.origin)
            .replace("{entries}", &parcel.entries.to_string())
            .replace("{file}", &scratch.display().to_string())
    };
    line.iter().enumerate().map(fill).collect()
}

/// Appends to a file that is there already: a share that is not mounted must not be taken for an anchor.
fn append(path: &Path, text: &str) -> Result<()> {
    let mut file = open(path, OpenOptions::new().append(true))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_data())
        .map_err(|error| fault(path, "does not take the checkpoint", &error))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let file = open(path, OpenOptions::new().read(true))?;
    let mut bytes = Vec::new();
    file.take(MOST as u64).read_to_end(&mut bytes).map_err(|error| fault(path, "cannot be read", &error))?;
    Ok(bytes)
}

fn open(path: &Path, options: &mut OpenOptions) -> Result<File> {
    #[cfg(unix)]
    {
        use nix::fcntl::OFlag;
        use std::os::unix::fs::OpenOptionsExt;
        // A pipe in the file's place must not make us wait for its other end.
        options.custom_flags((OFlag::O_NOCTTY | OFlag::O_NONBLOCK).bits());
    }
    let file = options.open(path).map_err(|error| {
        let opened = fault(path, "cannot be opened", &error);
        match error.kind() {
            std::io::ErrorKind::NotFound => opened
                .hint("an anchor's file is not made by keycap: make it once, empty, where the user may only append"),
            _ => opened,
        }
    })?;
    if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Ok(file);
    }
    Err(Error::new(Kind::File, format!("`{}` is no ordinary file", path.display()))
        .field("path", path.display().to_string()))
}
