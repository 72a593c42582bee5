//! Secure entry: a token on its way in, which the host never sees.
//!
//! A person types it into the terminal or the desktop's dialog; a script gives it through a file of its own or a
//! descriptor; another store has it. Each way gives [`Raw`] bytes; what becomes of them is decided where all stores'
//! answers are sealed.

mod descriptor;
mod dialog;
mod file;
mod hold;
#[cfg(unix)]
mod line;
#[cfg(unix)]
mod terminal;

use std::path::PathBuf;
use std::time::Duration;

pub(crate) use file::Wipe;
pub(crate) use hold::Hold;

use super::blocking::on_own_thread;
use super::command::Surroundings;
use super::raw::Raw;
use super::{Found, Wanted, keep, sealed};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::token::Form;

/// How long a person may take.
const LIMIT: Duration = Duration::from_secs(300);

/// How long the end may take behind that.
const END: Duration = Duration::from_secs(5);

/// What is longer is no token by any rule, and is not taken.
const MOST: usize = 1024;

/// Where a token is to come from.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// From a person, at the terminal or the desktop.
    Person,
    /// From a descriptor of this process.
    Descriptor(i64),
    /// From a file, which is wiped once the token is stored, where that is asked for.
    File {
        /// Its path.
        path: PathBuf,
        /// Whether it is wiped.
        wipe: bool,
    },
    /// From another store.
    Store(String),
}

/// What the question for a token says, and what the hint says where nobody can be asked.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The project's short name.
    pub(crate) project: String,
    /// The token's name.
    pub(crate) token_name: String,
    /// The store that it is for.
    pub(crate) store: String,
    /// Whether another R process knows the project too.
    pub(crate) kept: bool,
}

/// Where this process stands, as far as a person could be asked there. Read on the host's thread.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    surroundings: Surroundings,
    /// Whether this login has a screen for dialogs.
    screen: bool,
    /// Whether the host has a window of its own: a terminal that it may have been started from is not looked at.
    window: bool,
}

impl Place {
    /// To be called on the host's thread. `gui` is what the host calls its user interface.
    pub(crate) fn take(gui: &str) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let screen = if cfg!(any(target_os = "macos", windows)) {
            !set("SSH_CONNECTION")
        } else {
            set("DISPLAY") || set("WAYLAND_DISPLAY")
        };
        let window = matches!(gui, "RStudio" | "AQUA" | "Rgui");
        Self { surroundings: Surroundings::take(), screen, window }
    }
}

/// A token that came in.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) found: Found,
    /// What is to be done with the file that it came from, once it is stored.
    pub(crate) wipe: Option<Wipe>,
}

/// Takes a token in. Only a well-formed project token comes through.
///
/// # Errors
/// `token_form`: it is none, or nothing came. `interrupted`: the person gave up. `argument`: nobody can be asked here, or
/// there is no such descriptor. `file`: the file is not this user's own. `timeout`: nothing came. For another store,
/// those of [`keep::get`], and `token_missing`.
pub(crate) async fn enter(
    ctx: &Ctx,
    way: Way,
    wanted: &Wanted,
    question: Question,
    place: Place,
    hold: &Hold,
) -> Result<Entered> {
    let mut wipe = None;
    let found = match way {
        Way::Store(store) => keep::get(ctx, &store, wanted).await?.ok_or_else(|| absent(&store, wanted))?,
        Way::Person => {
            let (raw, how) = waited(hold, move |hold| person(&question, &place, hold)).await?;
            found(ctx, raw, how)?
        }
        Way::Descriptor(number) => {
            found(ctx, waited(hold, move |hold| descriptor::read(number, hold)).await?, "descriptor")?
        }
        Way::File { path, wipe: wiped } => {
            let (raw, opened) = waited(hold, move |_| file::read(path, wiped)).await?;
            wipe = opened;
            found(ctx, raw, "file")?
        }
    };
    if found.form == Form::Project { Ok(Entered { found, wipe }) } else { Err(malformed(ctx, &found)) }
}

/// Work on a thread of its own, where no signal jumps over the wiping; cancelled when it is not waited for any more.
async fn waited<T: Send + 'static>(hold: &Hold, work: impl FnOnce(&Hold) -> Result<T> + Send + 'static) -> Result<T> {
    let _unwanted = hold.until_dropped();
    let its = hold.clone();
    let work = move || {
        let _busy = its.begin()?;
        work(&its)
    };
    on_own_thread("entry", LIMIT + END, work).await?.ok_or_else(too_late)
}

/// Blanks around a token come with copying it; no token has any.
fn found(ctx: &Ctx, raw: Raw, how: &'static str) -> Result<Found> {
    let trimmed = Raw::copy_of(raw.bytes().trim_ascii());
    drop(raw);
    sealed(trimmed, &ctx.settings.token_form, how).ok_or_else(|| {
        Error::new(Kind::TokenForm, format!("{} blank, and nothing was stored", came(how)))
            .hint("copy the token from the project's API page in REDCap")
            .field("source", how)
    })
}

/// Asks a person: at the terminal where there is one, else at the desktop.
fn person(question: &Question, place: &Place, hold: &Hold) -> Result<(Raw, &'static str)> {
    #[cfg(unix)]
    let mut behind = false;
    #[cfg(not(unix))]
    let behind = false;
    #[cfg(unix)]
    if !place.window {
        match terminal::Reach::now() {
            terminal::Reach::Here(tty) => return Ok((terminal::read(tty, question, hold, LIMIT)?, "terminal")),
            terminal::Reach::Behind => behind = true,
            terminal::Reach::None => {}
        }
    }
    match dialog::Dialog::find(place) {
        Some(dialog) => Ok((dialog.ask(question, place, hold)?, "dialog")),
        None => Err(nowhere(question, behind)),
    }
}

/// The error where nobody can be asked. It has the exact line for another place.
fn nowhere(question: &Question, behind: bool) -> Error {
    let why = if behind {
        "this R runs in the background of its terminal, where nobody can be asked for the token"
    } else {
        "nobody can be asked for the token here: this R has neither a terminal nor a desktop"
    };
    let error = Error::new(Kind::Argument, why).field("argument", "from");
    let name = &question.project;
    let error = if question.kept {
        let store =
            if question.store == "keyring" { String::new() } else { format!(", store = \"{}\"", question.store) };
        let line = format!("Rscript -e 'keycap::set_project_token(\"{name}\"{store})'");
        error.hint(format!("in a terminal (in RStudio: the tab `Terminal`), run `{line}`")).field("line", line)
    } else {
        error.hint(format!(
            "`{name}` lives in this session only: set it up with `dir_path`, then a terminal can be used to set its token"
        ))
    };
    error.hint("in a script, give `file` (one that is yours alone) or `fd`, or another store by `from`")
}

/// The error for what came and is no project token.
fn malformed(ctx: &Ctx, found: &Found) -> Error {
    let rule = ctx.settings.token_form.describe();
    let what = match &found.form {
        Form::Super => "a super token (64 characters), which keycap does not use".to_owned(),
        Form::Malformed { what, .. } => format!("no project token ({what}); a token has {rule}"),
        Form::Project => "a project token".to_owned(),
    };
    let error = Error::new(Kind::TokenForm, format!("{} {what}; nothing was stored", came(found.source)))
        .hint("copy the token of this one project from its API page in REDCap")
        .field("source", found.source);
    if what.contains("(BOM)") {
        error
            .hint("save the file as plain UTF-8 without a byte order mark (BOM): the editor's `Save As` has the choice")
    } else {
        error
    }
}

/// What came, as the beginning of a sentence.
fn came(how: &str) -> String {
    match how {
        "terminal" | "dialog" => "what was entered is".to_owned(),
        "descriptor" => "what the descriptor gave is".to_owned(),
        "file" => "what the file holds is".to_owned(),
        store => format!("what `{store}` holds is"),
    }
}

fn absent(store: &str, wanted: &Wanted) -> Error {
    let name = wanted.token_name.as_str();
    Error::new(Kind::TokenMissing, format!("`{store}` holds no token under `{name}`, and nothing was stored"))
        .hint("`view_project_token()` shows where a token is found")
        .field("token_name", name)
        .field("store", store)
}

fn too_late() -> Error {
    Error::new(Kind::Timeout, format!("no token came within {} seconds; nothing was stored", LIMIT.as_secs()))
        .hint("call again and enter it")
}

fn given_up() -> Error {
    Error::new(Kind::Interrupted, "the entry was cancelled; nothing was stored").hint("call again to enter the token")
}

/// What is longer than any token. A part of it is not taken for one.
fn too_long() -> Error {
    Error::new(Kind::TokenForm, format!("more than {MOST} characters came, which is no token; nothing was stored"))
        .hint("copy the token and nothing else from the project's API page in REDCap")
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
