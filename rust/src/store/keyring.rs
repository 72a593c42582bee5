//! The operating system's keyring.
//!
//! Items stand as R's keyring package and the users of `REDCapSync` have them: service `REDCapSync`, user name = the
//! token name, then the short name. On Linux this is the Secret Service over D-Bus; on macOS and Windows the
//! native store through `keyring-core`.

#[cfg(any(test, target_os = "macos", windows))]
mod native;
#[cfg(target_os = "linux")]
mod secret_service;

use std::time::Duration;

use super::blocking::on_own_thread;
use super::raw::Raw;
use super::{Answer, Pending, Reach, State, Store, Wanted, to_compare};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::token::{FormRule, Secret, TokenName};

#[cfg(target_os = "linux")]
use secret_service as system;
#[cfg(all(any(test, fuzzing), target_os = "linux"))]
pub(crate) use secret_service::shown;

#[cfg(any(target_os = "macos", windows))]
use native::system;

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
use nowhere as system;

pub(super) const NAME: &str = "keyring";

/// The service that all items bear.
const SERVICE: &str = "REDCapSync";

/// How long the keyring may take.
const LIMIT: Duration = Duration::from_secs(15);

/// How long a person may take to answer the keyring's question for its password.
const PROMPT_SECONDS: u64 = 60;

/// Where the session's D-Bus is, as far as it can be told without asking it. Read on the host's thread.
///
/// libdbus itself reads `DBUS_SESSION_BUS_ADDRESS` once a process, when it is first used, and the crate above
/// it takes no address. Two things follow. That one read happens on the look-up's thread; a `Sys.setenv()` in
/// the same instant, which only an R event handler between two polls can make, would race with it. And an
/// address that is changed afterwards is seen after a restart of R. Where this snapshot finds no bus, libdbus
/// is not touched at all: it would go on and start a bus of its own (`dbus-launch`) wherever `DISPLAY` is set,
/// as it is under `ssh -X`.
#[derive(Clone, Debug, Default)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(super) struct SessionBus {
    /// Whether the address is given.
    address: bool,
    /// The user's bus, where systemd puts it.
    socket: Option<std::path::PathBuf>,
    /// Where R's keyring package has keyrings that are files.
    r_files: Option<std::path::PathBuf>,
}

impl SessionBus {
    pub(super) fn take() -> Self {
        let address = std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some_and(|address| !address.is_empty());
        let dir = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
        Self { address, socket: dir.map(|dir| std::path::Path::new(&dir).join("bus")), r_files: r_files() }
    }

    /// Says that R's keyring package has a file here, which may hold what was not found: it opens with a password of
    /// its own, which only R asks for.
    fn about_r_files(&self, name: &str) -> Option<String> {
        let folder = self.r_files.as_ref()?;
        let names = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
        let file = names.filter(|path| path.extension().is_some_and(|end| end == "keyring")).min()?;
        let backend = if cfg!(windows) {
            "wincred"
        } else if cfg!(target_os = "macos") {
            "macos"
        } else {
            "secret_service"
        };
        let (get, put) =
            ("keyring::backend_file$new()$get", format!("keyring::backend_{backend}$new()$set_with_value"));
        let place = file.display();
        Some(format!(
            "`{place}` is a keyring of R's that is a file, which keycap does not read; if it has the token, move it by \
             `{put}(\"{SERVICE}\", \"{name}\", {get}(\"{SERVICE}\", \"{name}\"))`, and where there is no desktop into `pass`"
        ))
    }

    /// Whether there may be a bus: the address, or a socket of this user's.
    #[cfg(target_os = "linux")]
    fn may_be_there(&self) -> bool {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let ours = |meta: std::fs::Metadata| {
            meta.file_type().is_socket() && meta.uid() == nix::unistd::Uid::effective().as_raw()
        };
        self.address || self.socket.as_ref().is_some_and(|path| std::fs::metadata(path).is_ok_and(ours))
    }
}

/// The folder that R's keyring package takes for its keyrings that are files (that of the R package rappdirs for
/// settings). Read on the host's thread.
fn r_files() -> Option<std::path::PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(std::path::PathBuf::from);
    let own = variable("R_USER_CONFIG_DIR");
    if cfg!(windows) {
        return Some(own.or_else(|| variable("APPDATA"))?.join("r-keyring").join("r-keyring"));
    }
    let below_home = |folder: &str| Some(variable("HOME")?.join(folder));
    let usual = || {
        if cfg!(target_os = "macos") {
            below_home("Library/Application Support")
        } else {
            variable("XDG_CONFIG_HOME").or_else(|| below_home(".config"))
        }
    };
    Some(own.or_else(usual)?.join("r-keyring"))
}

/// How the keyring is reached.
#[derive(Clone, Debug)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
struct Access {
    bus: SessionBus,
    /// Whether the keyring may ask a person for its password. Without, no dialog ever opens.
    interactive: bool,
    /// Which two values are one token.
    rule: FormRule,
}

pub(super) fn open(ctx: &Ctx) -> Box<dyn Store> {
    let access = Access {
        bus: ctx.env.bus.clone(),
        interactive: ctx.settings.interactive,
        rule: ctx.settings.token_form.clone(),
    };
    let also_short = ctx.settings.stores.keyring.short_name;
    Box::new(KeyringStore { access, limit: LIMIT, also_short })
}

struct KeyringStore {
    access: Access,
    /// Whether what is put under the token name is put under the short name too.
    also_short: bool,
    limit: Duration,
}

impl KeyringStore {
    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Access) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let access = self.access.clone();
        let person = if access.interactive { Duration::from_secs(PROMPT_SECONDS) } else { Duration::ZERO };
        let result = on_own_thread(NAME, self.limit + person, move || work(&access)).await?;
        result.ok_or_else(no_answer)
    }
}

impl Store for KeyringStore {
    fn name(&self) -> &'static str {
        NAME
    }

    fn get<'a>(&'a self, wanted: &'a Wanted) -> Pending<'a, Answer> {
        let names = names(wanted);
        Box::pin(self.on_thread(move |access| {
            let mut answer = system::get(access, &names)?;
            if answer.value.is_none() {
                let remarks = [answer.remark.take(), access.bus.about_r_files(&names[0])];
                let remarks: Vec<String> = remarks.into_iter().flatten().collect();
                answer.remark = (!remarks.is_empty()).then(|| remarks.join("; "));
            }
            Ok(answer)
        }))
    }

    fn put_for<'a>(&'a self, wanted: &'a Wanted, secret: &'a Secret) -> Pending<'a, ()> {
        let (mut names, value) = (names(wanted), secret.for_store());
        if !self.also_short {
            names.truncate(1);
        }
        Box::pin(self.on_thread(move |access| names.iter().try_for_each(|name| system::put(access, name, &value))))
    }

    /// Under the token name whatever is there; under the short name what a look-up would give, or gave as well.
    fn remove_for<'a>(&'a self, wanted: &'a Wanted) -> Pending<'a, Vec<String>> {
        let names = names(wanted);
        Box::pin(self.on_thread(move |access| {
            let mut values = Vec::new();
            for name in &names {
                values.push(system::get(access, std::slice::from_ref(name))?.value);
            }
            let mut removed = Vec::new();
            if system::remove(access, &names[0])? {
                removed.push(names[0].clone());
            }
            if let (Some(name), [own, Some(short)]) = (names.get(1), values.as_slice())
                && own.as_ref().is_none_or(|own| same_token(own, short, &access.rule))
                && system::remove(access, name)?
            {
                removed.push(name.clone());
            }
            Ok(removed)
        }))
    }

    fn put<'a>(&'a self, name: &'a TokenName, secret: &'a Secret) -> Pending<'a, ()> {
        let (name, value) = (name.as_str().to_owned(), secret.for_store());
        Box::pin(self.on_thread(move |access| system::put(access, &name, &value)))
    }

    fn remove<'a>(&'a self, name: &'a TokenName) -> Pending<'a, bool> {
        let name = name.as_str().to_owned();
        Box::pin(self.on_thread(move |access| system::remove(access, &name)))
    }

    fn state(&self) -> Pending<'_, State> {
        Box::pin(self.on_thread(|access| {
            let reach = system::reach(access)?;
            let locked = matches!(reach, Reach::Locked);
            let state = State::new("the system's keyring", None, reach);
            Ok(if locked { state.hint(UNLOCK).hint(WHERE_ASKED) } else { state })
        }))
    }
}

/// The names that a project's token may stand under, in the order of look-up.
fn names(wanted: &Wanted) -> Vec<String> {
    let mut names = vec![wanted.token_name.as_str().to_owned()];
    if !wanted.short_name.is_empty() && wanted.short_name != names[0] {
        names.push(wanted.short_name.clone());
    }
    names
}

/// Whether two values are one token by the rule in force, with or without a line break.
fn same_token(one: &Raw, other: &Raw, rule: &FormRule) -> bool {
    to_compare(one.bytes()).is(&to_compare(other.bytes()), rule)
}

/// An error of the keyring. `state` is the fact for programs.
fn error(state: &str, message: impl Into<String>) -> Error {
    Error::new(Kind::Store, message).field("state", state)
}

fn no_answer() -> Error {
    error("no_answer", "the keyring is there but did not answer in time")
        .hint("try again; a keyring that keeps silent is often restarted by logging out and in again")
        .hint("where nobody logs in, take `keyring` out of the order of stores, or unset `DBUS_SESSION_BUS_ADDRESS`")
}

/// What helps where the keyring is locked.
const UNLOCK: &str = "unlock it: log in to the desktop, or open the system's password manager";

/// Where it asks for its password.
const WHERE_ASKED: &str =
    "in a script no question is asked; ask for a token once in an interactive session and answer there";

fn locked(name: &str) -> Error {
    error("locked", format!("the keyring is locked, so what it holds under `{name}` cannot be read or changed"))
        .hint(UNLOCK)
        .hint(WHERE_ASKED)
        .hint(format!("or set the environment variable `{name}`, which is asked before the keyring"))
}

#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn dismissed(name: &str) -> Error {
    error("locked", format!("the keyring stayed locked, so what it holds under `{name}` cannot be read or changed"))
        .hint("its question for the password was dismissed, not answered in time, or could not be shown")
        .hint(UNLOCK)
}

fn denied() -> Error {
    error("denied", "the keyring does not let this process in")
        .hint("after `su` or `sudo` the session's D-Bus is still the other user's: log in as the user itself")
}

fn failed(what: &str) -> Error {
    error("failed", format!("the keyring is there but failed: {what}"))
}

#[cfg_attr(any(target_os = "macos", windows), allow(dead_code))]
fn not_here(why: &str) -> Error {
    error("not_here", why).hint("use another store on this machine, such as the environment or a secrets manager")
}

/// Systems without a keyring that keycap knows.
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
mod nowhere {
    use super::{Access, Answer, Reach, Result, not_here};

    const WHY: &str = "no keyring on this machine: keycap knows none for this operating system";

    pub(super) fn get(_access: &Access, _names: &[String]) -> Result<Answer> {
        Ok(Answer::none(Some(WHY.to_owned())))
    }

    pub(super) fn put(_access: &Access, _name: &str, _value: &[u8]) -> Result<()> {
        Err(not_here(WHY))
    }

    pub(super) fn remove(_access: &Access, _name: &str) -> Result<bool> {
        Err(not_here(WHY))
    }

    pub(super) fn reach(_access: &Access) -> Result<Reach> {
        Ok(Reach::NotHere(WHY.to_owned()))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
