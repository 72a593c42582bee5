//! The environment of the process.

use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use super::blocking::on_own_thread;
use super::command::Surroundings;
use super::keyring::SessionBus;
use super::raw::Raw;
use super::renviron::{self, Places};
use super::vault::Entrance;
use super::{Answer, Pending, Reach, State, Store, Wanted, to_compare, under};
use crate::ctx::{Ctx, Events};
use crate::error::{Error, Kind, Result};
use crate::net::Net;
use crate::project::Settings;
use crate::token::{FormRule, Secret, TokenName};

pub(super) const NAME: &str = "env";

/// How long looking into `.Renviron` and editing it may take.
const LIMIT: Duration = Duration::from_secs(30);

/// What a look-up needs of the environment, read on the host's thread because other threads would race with
/// `Sys.setenv()`: the one variable that may hold the token, the files that may have set it, where the session's D-Bus
/// is, and what the stores `vault`, `aws` and `command` need, where they are asked. What may be secret wipes itself.
#[derive(Clone, Default)]
pub struct Environment {
    variable: Option<Variable>,
    places: Places,
    pub(super) bus: SessionBus,
    pub(super) vault: Option<Arc<Entrance>>,
    pub(super) aws: Option<Arc<super::aws::Entrance>>,
    pub(super) command: Option<Surroundings>,
}

#[derive(Clone)]
struct Variable {
    name: TokenName,
    value: Option<Arc<Raw>>,
}

impl Environment {
    /// Nothing in it: the variable is blank, and there is no D-Bus.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A snapshot for the look-up of one name. To be called on the host's thread.
    ///
    /// `var_os()` makes one copy and `into_encoded_bytes()` gives that very buffer: on Unix the raw bytes; on
    /// Windows UTF-8, with lone surrogates in a form that is no UTF-8 (there the standard library's own
    /// conversion of a short value goes over its stack, which cannot be wiped from here).
    pub fn take(name: &TokenName) -> Self {
        let value = std::env::var_os(name.as_str()).map(|value| Arc::new(Raw::new(value.into_encoded_bytes())));
        let variable = Some(Variable { name: name.clone(), value });
        Self { variable, places: Places::take(), bus: SessionBus::take(), ..Self::default() }
    }

    /// What the stores need to say what they are; no variable that may hold a token is read. To be called on the host's
    /// thread.
    pub fn without_token() -> Self {
        Self { bus: SessionBus::take(), ..Self::default() }
    }

    /// Adds what the stores of the order need besides, and those that are named. To be called on the host's thread,
    /// once the settings are known.
    #[must_use]
    pub fn for_stores(mut self, settings: &Settings, net: &Net, named: &[&str]) -> Self {
        let key = settings.checkpoints.key_store.as_deref();
        let asked =
            |name: &str| named.contains(&name) || key == Some(name) || settings.order.iter().any(|asked| asked == name);
        if asked(super::vault::NAME) {
            self.vault = Entrance::take(settings, net);
        }
        if asked(super::aws::NAME) {
            self.aws = Some(super::aws::Entrance::take(settings, net));
        }
        // Where it is named, what could be set up as this store is of interest as well.
        let named = named.contains(&super::command::NAME);
        let program = named || asked(super::command::NAME) && settings.stores.command.is_some();
        if program || settings.checkpoints.runs_programs() {
            self.command = Some(Surroundings::take());
        }
        self
    }

    /// This one with what programs need that keycap starts for itself. To be called on the host's thread.
    #[must_use]
    pub(crate) fn for_programs(mut self) -> Self {
        self.command = Some(Surroundings::take());
        self
    }

    #[cfg(test)]
    pub(crate) fn with(name: &TokenName, value: &[u8]) -> Self {
        let value = Some(Arc::new(Raw::copy_of(value)));
        Self { variable: Some(Variable { name: name.clone(), value }), ..Self::default() }
    }

    /// This one with a variable, and the files that may have set it.
    #[cfg(test)]
    pub(crate) fn holding(self, name: &TokenName, value: &[u8], files: &[std::path::PathBuf]) -> Self {
        Self { variable: Self::with(name, value).variable, places: Places::at(files), ..self }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.variable.as_ref().map(|variable| variable.name.as_str());
        f.debug_struct("Environment").field("name", &name).field("bus", &self.bus).finish_non_exhaustive()
    }
}

pub(super) fn open(ctx: &Ctx) -> Box<dyn Store> {
    Box::new(EnvStore { env: ctx.env.clone(), log: ctx.log.clone(), rule: ctx.settings.token_form.clone() })
}

struct EnvStore {
    env: Environment,
    log: Events,
    /// Which two values are one token.
    rule: FormRule,
}

impl EnvStore {
    fn read(&self, wanted: &Wanted) -> Result<Answer> {
        let Some(variable) = &self.env.variable else { return Ok(Answer::none(None)) };
        if variable.name != wanted.token_name {
            // Another name's token would go out under this name. That must not depend on the caller's care.
            let message = "the environment was read for another token name than the one that is looked up";
            return Err(Error::new(Kind::Internal, message));
        }
        Ok(variable.value.as_ref().map_or_else(Answer::default, |value| Answer::hit(Raw::copy_of(value.bytes()))))
    }

    /// Does something with the files and the token that the variable holds; `None` where it is blank.
    async fn with_files<T: Send + 'static>(
        &self,
        wanted: &Wanted,
        work: impl FnOnce(&Places, &TokenName, &Secret, &FormRule) -> Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let Some(value) = self.read(wanted)?.value.filter(|value| !value.is_blank()) else { return Ok(None) };
        let secret = to_compare(value.bytes());
        let (places, name, rule) = (self.env.places.clone(), wanted.token_name.clone(), self.rule.clone());
        let done = on_own_thread(NAME, LIMIT, move || work(&places, &name, &secret, &rule)).await?;
        done.map(Some).ok_or_else(|| {
            Error::new(Kind::File, "the file that sets the variable could not be edited in time")
                .hint("look whether the device that it is on answers, and try again")
        })
    }

    /// Takes the line out of the file that sets the variable. The variable itself is the host's to take away: the
    /// environment is changed on its thread and on no other.
    async fn take_away(&self, wanted: &Wanted) -> Result<bool> {
        let Some(removed) = self.with_files(wanted, renviron::remove).await? else { return Ok(false) };
        let name = wanted.token_name.as_str();
        let Some(removed) = removed else {
            let message = match self.env.places.told() {
                files if files.is_empty() => format!("`{name}` is set by no file of yours that keycap knows"),
                files => format!("`{name}` is set by no file of yours that keycap knows (looked into {files})"),
            };
            self.log.warning(format!("{message}; it is taken out of this session, and comes back with the next one"));
            self.log.note(
                "look for it in `Renviron.site`, `.Rprofile`, scripts with `Sys.setenv()`, `~/.profile`, the service's own settings",
            );
            return Ok(true);
        };
        let numbers: Vec<String> = removed.lines.iter().map(usize::to_string).collect();
        let lines = if numbers.len() == 1 { "line" } else { "lines" };
        self.log.note(format!("took {lines} {} out of `{}`", numbers.join(", "), removed.path.display()));
        for warning in removed.warnings {
            self.log.warning(warning);
        }
        self.log.note("programs that run already keep the variable until they end; so do backups of the file");
        Ok(true)
    }
}

impl Store for EnvStore {
    fn name(&self) -> &'static str {
        NAME
    }

    fn get<'a>(&'a self, wanted: &'a Wanted) -> Pending<'a, Answer> {
        Box::pin(ready(self.read(wanted)))
    }

    fn put<'a>(&'a self, name: &'a TokenName, _secret: &'a Secret) -> Pending<'a, ()> {
        Box::pin(ready(Err(read_only(name))))
    }

    fn remove<'a>(&'a self, name: &'a TokenName) -> Pending<'a, bool> {
        Box::pin(ready(Err(read_only(name))))
    }

    fn remove_for<'a>(&'a self, wanted: &'a Wanted) -> Pending<'a, Vec<String>> {
        Box::pin(async { Ok(under(&wanted.token_name, self.take_away(wanted).await?)) })
    }

    fn removable<'a>(&'a self, wanted: &'a Wanted) -> Pending<'a, ()> {
        Box::pin(async { self.with_files(wanted, renviron::removable).await.map(drop) })
    }

    fn state(&self) -> Pending<'_, State> {
        Box::pin(ready(Ok(State::new("environment variables of this process", None, Reach::ReadOnly))))
    }
}

fn read_only(name: &TokenName) -> Error {
    let name = name.as_str();
    Error::new(Kind::Store, format!("the environment is only read, so `{name}` is neither set nor removed there"))
        .hint(format!("edit the line `{name}=` in `.Renviron` (`usethis::edit_r_environ()`) and restart R"))
        .hint("a keyring or a secrets manager keeps the token out of files: use another store where there is one")
        .field("store", NAME)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

    use super::*;
    use crate::store::testing::{again, block_on, ctx, inside, no_trace, random_token, token_name, wanted};
    use crate::store::{look_up, sealed};
    use crate::token::{Form, FormRule};

    fn store_of(env: Environment) -> EnvStore {
        EnvStore { env, log: Events::none(), rule: FormRule::Redcap }
    }

    /// What a child process, started with the variable set by the system, finds under the name.
    fn seen(value: Option<&[u8]>) -> String {
        again("store::env::tests::the_environment_is_read_as_it_stands", |command| {
            command.env_remove("REDCapSync_ENV");
            #[cfg(unix)]
            if let Some(value) = value {
                use std::os::unix::ffi::OsStrExt;
                command.env("REDCapSync_ENV", std::ffi::OsStr::from_bytes(value));
            }
        })
    }

    #[test]
    #[cfg(unix)]
    fn the_environment_is_read_as_it_stands() {
        if inside() {
            let mut ctx = ctx();
            ctx.env = Environment::take(&token_name("REDCapSync_ENV"));
            ctx.settings.order = vec!["env".to_owned()];
            let found = block_on(look_up(&ctx, &wanted("REDCapSync_ENV"))).unwrap();
            match found {
                None => println!("seen: blank"),
                Some(found) => println!("seen: {} {:?} {}", found.source, found.form, found.secret.fingerprint()),
            }
            return;
        }
        let token = random_token();
        let (secret, _) = Secret::seal(zeroize::Zeroizing::new(token.clone().into_bytes()), &FormRule::Redcap);
        let good = format!("seen: env Project {}", secret.fingerprint());
        let with = |before: &str, after: &str| format!("{before}{token}{after}").into_bytes();

        for blank in [None, Some(&b""[..]), Some(b"\n"), Some(b"\r\n")] {
            assert!(seen(blank).contains("seen: blank"), "{blank:?}");
        }
        for fine in [with("", ""), with("", "\n"), with("", "\r\n")] {
            assert!(seen(Some(&fine)).contains(&good));
        }
        let faults = [
            (with("", "\n\n"), "33 characters, trailing newline"),
            (with("\"", "\""), "34 characters, surrounded by quotes"),
            (with("'", "'"), "34 characters, surrounded by quotes"),
            (with("", " "), "33 characters, trailing blank"),
            (with(" ", ""), "33 characters, leading blank"),
            (with("", " # study A"), "`.Renviron` keeps comments"),
            (token.as_bytes()[..31].to_vec(), "31 characters"),
            ([token.as_bytes(), b"\xff\xfe"].concat(), "not UTF-8"),
            (b" ".to_vec(), "1 character"),
        ];
        for (value, fault) in faults {
            let seen = seen(Some(&value));
            assert!(seen.contains("Malformed") && seen.contains(fault), "{fault}");
            no_trace(&token, &seen);
        }
        let super_token = format!("{token}{}", random_token());
        let seen = seen(Some(super_token.as_bytes()));
        assert!(seen.contains("seen: env Super"));
        no_trace(&super_token, &seen);
    }

    #[test]
    fn a_snapshot_serves_no_other_name() {
        let token = random_token();
        let store = store_of(Environment::with(&token_name("REDCapSync_A"), token.as_bytes()));
        assert!(block_on(store.get(&wanted("REDCapSync_A"))).unwrap().value.is_some());
        let error = block_on(store.get(&wanted("REDCapSync_B"))).unwrap_err();
        assert_eq!(error.kind, Kind::Internal);
        no_trace(&token, &format!("{error:?}"));
    }

    #[test]
    fn an_institutions_own_form_is_judged_by_its_rule() {
        let rule = FormRule::parse("40:+/=").unwrap();
        let found = sealed(Raw::copy_of(b"abcdefghij+/ABCDEFGHIJ0123456789klmnopq="), &rule, NAME).unwrap();
        assert_eq!(found.form, Form::Project);
    }

    #[test]
    fn nothing_is_written_into_the_environment_and_the_error_says_where_to_write() {
        let token = random_token();
        let (secret, _) = Secret::seal(zeroize::Zeroizing::new(token.clone().into_bytes()), &FormRule::Redcap);
        let (store, name) = (store_of(Environment::empty()), token_name("REDCapSync_A"));
        let put = block_on(store.put(&name, &secret)).unwrap_err();
        let removed = block_on(store.remove(&name)).unwrap_err();
        for error in [put, removed] {
            assert_eq!(error.kind, Kind::Store);
            assert!(error.hints[0].contains("`.Renviron`"));
            no_trace(&token, &format!("{error:?}"));
        }
        assert_eq!(block_on(store.state()).unwrap().reach, Reach::ReadOnly);
        assert!(std::env::var_os("REDCapSync_A").is_none());
    }

    #[test]
    fn debug_of_a_snapshot_shows_the_name_and_a_mask() {
        let token = random_token();
        let name = token_name("REDCapSync_A");
        let text = format!("{:?} {:?}", Environment::with(&name, token.as_bytes()), Raw::copy_of(token.as_bytes()));
        assert!(text.contains("REDCapSync_A") && text.contains("Raw(****)"));
        no_trace(&token, &text);
    }
}
