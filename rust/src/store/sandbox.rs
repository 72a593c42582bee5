//! Sample tokens of a sandbox that this session started.

use std::future::ready;

use super::raw::Raw;
use super::{Answer, Pending, Reach, State, Store, Wanted};
use crate::ctx::Ctx;
use crate::error::{Error, Kind};
use crate::sandbox::SAMPLES;
use crate::token::{Secret, TokenName};

pub(super) const NAME: &str = "sandbox";

/// The sample token of one of the sandbox's own token names: documented constants, fake by their look, good
/// for nothing but a sandbox. No other name has one.
pub(super) fn sample(name: &TokenName) -> Option<&'static str> {
    SAMPLES.iter().find(|sample| sample.token_name == name.as_str()).map(|sample| sample.token)
}

/// Opened only for the origin of a sandbox that this session started.
pub(super) fn open(_ctx: &Ctx) -> Box<dyn Store> {
    Box::new(SandboxStore)
}

struct SandboxStore;

impl Store for SandboxStore {
    fn name(&self) -> &'static str {
        NAME
    }

    fn get<'a>(&'a self, wanted: &'a Wanted) -> Pending<'a, Answer> {
        let value = sample(&wanted.token_name).map(|token| Raw::copy_of(token.as_bytes()));
        Box::pin(ready(Ok(Answer { value, ..Answer::default() })))
    }

    fn put<'a>(&'a self, name: &'a TokenName, _secret: &'a Secret) -> Pending<'a, ()> {
        Box::pin(ready(Err(constant(name))))
    }

    fn remove<'a>(&'a self, name: &'a TokenName) -> Pending<'a, bool> {
        Box::pin(ready(Err(constant(name))))
    }

    fn state(&self) -> Pending<'_, State> {
        Box::pin(ready(Ok(State { what: "sample tokens of the sandbox", detail: None, reach: Reach::ReadOnly })))
    }
}

fn constant(name: &TokenName) -> Error {
    Error::new(Kind::Store, format!("the sandbox's token `{}` is a constant", name.as_str()))
        .hint("use a short name of your own to try this out")
        .field("store", NAME)
}
