//! Tokens of a sandbox that this session started: the sample tokens, which are constants, and those that were issued at
//! the sandbox and put here, so that setting, moving and rotating tokens can be tried on any machine.
//!
//! What is put lies in files in the session's own folder and goes with it. It opens nothing but a sandbox, and the store is
//! asked only for projects that are bound to one.

use std::future::ready;
use std::path::PathBuf;

use super::raw::Raw;
use super::{Answer, Pending, Reach, State, Store, Wanted};
use crate::ctx::{Ctx, Dirs};
use crate::error::{Error, Kind, Result};
use crate::file::{self, Readers};
use crate::sandbox::SAMPLES;
use crate::token::{Secret, TokenName};

pub(crate) const NAME: &str = "sandbox";

/// The bytes of a token's file at most.
const MOST: usize = 8 * 1024;

/// The sample token of one of the sandbox's own token names: documented constants, fake by their look, good
/// for nothing but a sandbox. No other name has one.
pub(super) fn sample(name: &TokenName) -> Option<&'static str> {
    SAMPLES.iter().find(|sample| sample.token_name == name.as_str()).map(|sample| sample.token)
}

/// Opened only for the origin of a sandbox that this session started.
pub(super) fn open(ctx: &Ctx) -> Box<dyn Store> {
    Box::new(of(&ctx.dirs))
}

fn of(dirs: &Dirs) -> SandboxStore {
    SandboxStore { folder: dirs.session.join("sandbox_tokens") }
}

/// Forgets the tokens of a sandbox that has ended: under the same names, the next one has others.
pub(crate) fn forget(dirs: &Dirs, names: &[TokenName]) {
    for name in names {
        // What cannot be removed goes with the session's folder.
        let _ = std::fs::remove_file(of(dirs).file(name));
    }
}

struct SandboxStore {
    folder: PathBuf,
}

impl SandboxStore {
    /// A token name is letters, digits and underscores: no path.
    fn file(&self, name: &TokenName) -> PathBuf {
        self.folder.join(name.as_str())
    }

    fn read(&self, name: &TokenName) -> Result<Option<Raw>> {
        if let Some(token) = sample(name) {
            return Ok(Some(Raw::copy_of(token.as_bytes())));
        }
        let path = self.file(name);
        let read = file::read_own_secret(&path, MOST, false);
        let read = read.map_err(|unfit| unfit.at(&path, "cannot be read").field("state", "unreadable"))?;
        Ok(read.map(|(_, mut bytes)| Raw::new(std::mem::take(&mut *bytes))))
    }

    fn write(&self, name: &TokenName, secret: &Secret) -> Result<()> {
        if sample(name).is_some() {
            return Err(constant(name));
        }
        file::make_private_folder(&self.folder)?;
        file::replace(&self.file(name), &secret.for_store(), Readers::Owner)
    }

    fn delete(&self, name: &TokenName) -> Result<bool> {
        if sample(name).is_some() {
            return Err(constant(name));
        }
        let path = self.file(name);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(file::fault(&path, "cannot be removed", &error)),
        }
    }
}

impl Store for SandboxStore {
    fn name(&self) -> &'static str {
        NAME
    }

    fn get<'a>(&'a self, wanted: &'a Wanted) -> Pending<'a, Answer> {
        let answer = self.read(&wanted.token_name).map(|value| Answer { value, ..Answer::default() });
        Box::pin(ready(answer))
    }

    fn put<'a>(&'a self, name: &'a TokenName, secret: &'a Secret) -> Pending<'a, ()> {
        Box::pin(ready(self.write(name, secret)))
    }

    fn remove<'a>(&'a self, name: &'a TokenName) -> Pending<'a, bool> {
        Box::pin(ready(self.delete(name)))
    }

    fn state(&self) -> Pending<'_, State> {
        Box::pin(ready(Ok(State::new("tokens of the sandbox, for this session", None, Reach::Ready))))
    }
}

fn constant(name: &TokenName) -> Error {
    Error::new(Kind::Store, format!("the sandbox's token `{}` is a constant", name.as_str()))
        .hint("set a project up with a `token_name` of your own to try this out")
        .field("store", NAME)
}
