//! Whether `pass` has a store on this machine: where none was made, it says of every name that it has none.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{NAME, Surroundings};
use crate::error::Result;
use crate::store::blocking::on_own_thread;

/// The program, as it is looked for in `PATH`.
pub(in crate::store) const PROGRAM: &str = "pass";

/// What makes a store.
pub(super) const MAKE: &str = "make one with `pass init` and the id of a key of yours, which `gpg --list-keys` shows";

/// The place of a store.
pub(in crate::store) enum Place {
    /// There is one.
    Made,
    /// There is none in this folder.
    NotMade(PathBuf),
    /// Where it would be cannot be told.
    Unknown,
}

/// How long a file system may take to say so.
const LIMIT: Duration = Duration::from_secs(10);

/// Looks where `pass` itself looks.
///
/// # Errors
/// `internal`: no thread to look on.
pub(in crate::store) async fn place(program: &str, surroundings: &Surroundings) -> Result<Place> {
    // Another program in its place has a place of its own.
    if program != PROGRAM || surroundings.text("PASSWORD_STORE_KEY").is_some() {
        return Ok(Place::Unknown);
    }
    let named = surroundings.text("PASSWORD_STORE_DIR").map(PathBuf::from);
    let usual = || Some(PathBuf::from(surroundings.text("HOME")?).join(".password-store"));
    let Some(folder) = named.or_else(usual) else { return Ok(Place::Unknown) };
    let looked = on_own_thread(NAME, LIMIT, move || Ok(look(folder))).await?;
    Ok(looked.unwrap_or(Place::Unknown))
}

/// A store, or a part of it, begins with a file that names its keys.
fn look(folder: PathBuf) -> Place {
    let parts = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut places = std::iter::once(folder.clone()).chain(parts);
    if places.any(|part| part.join(".gpg-id").is_file()) { Place::Made } else { Place::NotMade(folder) }
}

pub(super) fn not_made(folder: &Path) -> String {
    format!("`pass` is on this machine and has no store yet: `{}` has no file `.gpg-id`", folder.display())
}
