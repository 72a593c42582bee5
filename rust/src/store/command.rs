//! A program that prints a token: a password manager's own, or an institution's.
//!
//! It is started without a shell, in a process group of its own; its standard error goes nowhere, since it may say
//! anything. Which program that is, the user's or the site's settings file says and nobody else.

pub(super) mod pass;
pub(super) mod process;
mod program;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use zeroize::Zeroizing;

use super::blocking::on_own_thread;
use super::raw::Raw;
use super::{Answer, Pending, Reach, State, Store, Wanted};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::project::{CommandSettings, Preset, Template};
use crate::token::{Secret, TokenName};

pub(super) use process::{End, Job, Surroundings, run};
pub(crate) use program::run_program;

pub(super) const NAME: &str = "command";

/// How long the program may take.
const LIMIT: Duration = Duration::from_secs(60);

/// How long its end may take once it is killed.
const END: Duration = Duration::from_secs(5);

/// What it may print at most.
const MOST: usize = 8 << 10;

pub(super) fn open(ctx: &Ctx) -> Box<dyn Store> {
    Box::new(CommandStore::new(ctx, LIMIT))
}

struct CommandStore {
    /// The program and how it is called, where one is set up.
    line: Option<CommandSettings>,
    surroundings: Surroundings,
    /// The program as it was found, once.
    program: Option<PathBuf>,
    limit: Duration,
}

/// Sets its flag when it is dropped: a look-up that nobody waits for ends its program too.
struct Cancel(Arc<AtomicBool>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl CommandStore {
    fn new(ctx: &Ctx, limit: Duration) -> Self {
        let line = ctx.settings.stores.command.clone();
        let surroundings = ctx.env.command.clone().unwrap_or_default();
        let program = line.as_ref().and_then(|line| surroundings.find(&line.program));
        Self { line, surroundings, program, limit }
    }

    /// The line and its program, or why there is none here.
    fn here(&self) -> std::result::Result<(&CommandSettings, &Path), String> {
        let Some(line) = &self.line else {
            return Err("no program gives tokens on this machine: the settings have no table `[command]`".to_owned());
        };
        match &self.program {
            Some(program) => Ok((line, program)),
            None => Err(format!("the program `{}` is not on this machine", line.program)),
        }
    }

    async fn run(&self, program: &Path, arguments: Vec<String>, input: Option<Zeroizing<Vec<u8>>>) -> Result<End> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let cancel = Cancel(Arc::clone(&cancelled));
        let job = Job {
            program: program.to_owned(),
            arguments,
            surroundings: self.surroundings.clone(),
            input,
            limit: self.limit,
            most: MOST,
        };
        let end = on_own_thread(NAME, self.limit + END, move || run(job, &cancelled)).await;
        drop(cancel);
        Ok(end?.unwrap_or(End::TooLate))
    }

    async fn read(&self, wanted: &Wanted) -> Result<Answer> {
        let (line, program) = match self.here() {
            Ok(here) => here,
            Err(why) => return Ok(Answer::none(Some(why))),
        };
        let Some(arguments) = filled(&line.read, wanted.token_name.as_str(), &wanted.short_name) else {
            let why = "the store `command` asks by `{short_name}`, and the project is not set up here";
            return Ok(Answer::none(Some(why.to_owned())));
        };
        match self.run(program, arguments, None).await? {
            End::Exited(0, output) => self.one_line(line, output),
            End::Exited(status, _) if line.absent_status.contains(&status) => Ok(Answer::none(None)),
            end => Err(self.failed(&end)),
        }
    }

    /// The one line that was printed, its line break still there: what is cut off a token, the seal decides.
    fn one_line(&self, line: &CommandSettings, mut output: Zeroizing<Vec<u8>>) -> Result<Answer> {
        let end = output.iter().position(|byte| *byte == b'\n').map_or(output.len(), |at| at + 1);
        if end < output.len() {
            if !line.first_line {
                let message =
                    format!("{} printed more than one line, so it is not clear which is the token", self.who());
                return Err(error("output", message)
                    .hint("let it print the token and nothing else; what it printed is not shown, it may hold secrets")
                    .hint("or, if the token is the first line, say so: `first_line = true` in the table `[command]`"));
            }
            output.truncate(end);
        }
        Ok(Answer::hit(Raw::new(std::mem::take(&mut *output))))
    }

    /// What stands in an entry behind the token's line, as it stands there: as secret as the token. Empty where there is
    /// nothing, and where an entry has one line.
    async fn rest(&self, line: &CommandSettings, program: &Path, name: &TokenName) -> Result<Zeroizing<Vec<u8>>> {
        if !line.first_line && line.preset != Some(Preset::Pass) {
            return Ok(Zeroizing::default());
        }
        let arguments = filled(&line.read, name.as_str(), "").ok_or_else(by_short_name)?;
        match self.run(program, arguments, None).await? {
            End::Exited(0, output) => {
                let end = output.iter().position(|byte| *byte == b'\n').map_or(output.len(), |at| at + 1);
                Ok(Zeroizing::new(output[end..].to_vec()))
            }
            End::Exited(status, _) if line.absent_status.contains(&status) => Ok(Zeroizing::default()),
            // What cannot be read may hold more than a token.
            end => Err(self.failed(&end).hint("what else stands in that entry would be lost, so nothing was changed")),
        }
    }

    async fn write(&self, name: &TokenName, secret: &Secret) -> Result<()> {
        let (line, program) = self.here().map_err(not_here)?;
        let arguments = line.write.as_ref().ok_or_else(|| self.only_read())?;
        let arguments = filled(arguments, name.as_str(), "").ok_or_else(by_short_name)?;
        let rest = self.rest(line, program, name).await?;
        let mut content = secret.for_store();
        if line.preset == Some(Preset::Pass) {
            content = lines(&content, &rest);
        } else if !rest.trim_ascii().is_empty() {
            return Err(self.more_lines("replaced"));
        }
        drop(rest);
        match self.run(program, arguments, Some(content)).await? {
            End::Exited(0, _) => Ok(()),
            end => Err(self.failed(&end)),
        }
    }

    /// How the program is called to remove what stands under a name.
    fn to_take_away(&self, name: &TokenName) -> Result<(&CommandSettings, &Path, Vec<String>)> {
        let (line, program) = self.here().map_err(not_here)?;
        let arguments = line.remove.as_ref().ok_or_else(|| self.only_read())?;
        let arguments = filled(arguments, name.as_str(), "").ok_or_else(by_short_name)?;
        Ok((line, program, arguments))
    }

    async fn take_away(&self, name: &TokenName) -> Result<bool> {
        let (line, program, arguments) = self.to_take_away(name)?;
        self.only_a_token(line, program, name).await?;
        match self.run(program, arguments, None).await? {
            End::Exited(0, _) => Ok(true),
            End::Exited(status, _) if line.absent_status.contains(&status) => Ok(false),
            end => Err(self.failed(&end)),
        }
    }

    /// Fails where removing the entry would remove more than a token.
    async fn only_a_token(&self, line: &CommandSettings, program: &Path, name: &TokenName) -> Result<()> {
        let rest = self.rest(line, program, name).await?;
        if rest.trim_ascii().is_empty() { Ok(()) } else { Err(self.more_lines("removed")) }
    }

    async fn can_take_away(&self, name: &TokenName) -> Result<()> {
        let (line, program, _) = self.to_take_away(name)?;
        self.only_a_token(line, program, name).await
    }

    async fn look(&self) -> Result<State> {
        let detail = self.program.as_ref().map(|program| program.display().to_string());
        let state = |reach| State::new("a program that prints tokens", detail, reach);
        let line = match self.here() {
            Ok((line, _)) => line,
            Err(why) => return Ok(state(Reach::NotHere(why))),
        };
        if line.preset == Some(Preset::Pass) {
            return Ok(match pass::place(&line.program, &self.surroundings).await? {
                pass::Place::Made | pass::Place::Unknown => state(Reach::Ready),
                pass::Place::NotMade(folder) => state(Reach::NotHere(pass::not_made(&folder))).hint(pass::MAKE),
            });
        }
        let reach = if line.write.is_some() { Reach::Ready } else { Reach::ReadOnly };
        Ok(state(reach).hint("whether it has to be unlocked or logged in to shows with the first look-up"))
    }

    fn more_lines(&self, what: &str) -> Error {
        let who = self.who();
        let message = format!(
            "{who} keeps more in this entry than the token: there are lines behind it, so the entry is not {what}"
        );
        error("more_lines", message)
            .hint("take the token's line out of the entry by hand, with `pass edit` for example")
            .hint("or move the other lines into an entry of their own, and try again")
    }

    fn who(&self) -> String {
        let name = self.program.as_ref().map(|program| program.display().to_string());
        format!("the program `{}`", name.unwrap_or_default())
    }

    fn failed(&self, end: &End) -> Error {
        let who = self.who();
        let by_hand =
            "run it by hand in a terminal to see what it says; keycap does not show that, it may hold secrets";
        match end {
            End::Exited(status, _) => {
                let state =
                    error("failed", format!("{who} ended with status {status}")).field("status", i64::from(*status));
                let state = state.hint(by_hand);
                match self.line.as_ref().and_then(|line| line.preset) {
                    Some(Preset::Pass) => {
                        state.hint("status 2 is gpg's: its key is locked, or it is not the key of this store")
                    }
                    Some(Preset::Op | Preset::Bw | Preset::Az | Preset::Gcloud | Preset::Aws) => {
                        state.hint("log in with it first; where it has no such name, it ends with the same status")
                    }
                    _ => state.hint("if this status means that it has no such name, say so by `absent_status`"),
                }
            }
            End::Signalled(signal) => error("failed", format!("{who} was ended by signal {signal}")).hint(by_hand),
            End::TooLate => {
                let seconds = self.limit.as_secs_f64();
                let message = format!("{who} did not end within {seconds} s; it was killed with all that it started");
                error("no_answer", message)
                    .hint("it may be waiting for a password that nobody is asked for: unlock it before")
                    .hint(by_hand)
            }
            End::TooMuch => error("output", format!("{who} printed more than {} KiB, which is no token", MOST >> 10))
                .hint("let it print the token and nothing else"),
            End::NotStarted(why) => {
                error("failed", format!("{who} could not be started ({why})")).hint("check that you may run it")
            }
        }
    }

    fn only_read(&self) -> Error {
        error("read_only", format!("{} is only asked for tokens, so none is set or removed there", self.who()))
            .hint("put the token there by that program's own means")
            .hint("the presets `pass` and `secret-tool` take tokens")
    }
}

impl Store for CommandStore {
    fn name(&self) -> &'static str {
        NAME
    }

    fn get<'a>(&'a self, wanted: &'a Wanted) -> Pending<'a, Answer> {
        Box::pin(self.read(wanted))
    }

    fn put<'a>(&'a self, name: &'a TokenName, secret: &'a Secret) -> Pending<'a, ()> {
        Box::pin(self.write(name, secret))
    }

    fn remove<'a>(&'a self, name: &'a TokenName) -> Pending<'a, bool> {
        Box::pin(self.take_away(name))
    }

    fn removable<'a>(&'a self, wanted: &'a Wanted) -> Pending<'a, ()> {
        Box::pin(self.can_take_away(&wanted.token_name))
    }

    fn state(&self) -> Pending<'_, State> {
        Box::pin(self.look())
    }
}

/// The token's line, and what stands behind it.
fn lines(token: &[u8], rest: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut content = Zeroizing::new(Vec::with_capacity(token.len() + 1 + rest.len()));
    content.extend_from_slice(token);
    content.push(b'\n');
    content.extend_from_slice(rest);
    content
}

fn filled(arguments: &[Template], token_name: &str, short_name: &str) -> Option<Vec<String>> {
    arguments.iter().map(|part| part.fill(token_name, short_name)).collect()
}

/// An error of the store. `state` is the fact for programs.
fn error(state: &str, message: impl Into<String>) -> Error {
    Error::new(Kind::Store, message).field("state", state)
}

fn not_here(why: String) -> Error {
    error("not_here", why).hint("use another store on this machine, or install the program")
}

fn by_short_name() -> Error {
    error("read_only", "the store `command` asks by `{short_name}`, so no token can be put there under its own name")
        .hint("write `{token_name}` for `{short_name}` in the table `[command]`")
}

#[cfg(all(test, unix))]
mod tests;
