//! What a token may do, and whether it is confined to one site: read from REDCap, never written, and never guessed.
//!
//! Where is what:
//! - `code` reads the codes of rights, of both generations; `need` is what a token is needed for.
//! - `listed` is what a list of users and roles says of one user; `ask` asks for it, over the pipeline.
//! - `grade` is the verdict on each right, `confined` the one on Data Access Groups. Both are pure.
//! - `status` asks what a policy wants to know: rights, group, and when the token was made.
//! - `held` is what a token may, kept to be compared with what the next one may.
//! - `account` keeps what a named administrator states and REDCap does not say.
//!
//! This room imports `redcap` and what stands below it.

mod account;
mod ask;
mod code;
mod confined;
mod day;
mod grade;
mod held;
mod listed;
mod need;
mod status;
#[cfg(test)]
mod tests;

pub(crate) use account::{Account, Accounts};
pub(crate) use ask::{Token, confinement, facts};
pub(crate) use confined::judge;
pub(crate) use day::{day, today};
pub(crate) use grade::{Graded, grade};
pub(crate) use held::{both_listed, fewer, held, more};
pub(crate) use need::{Needs, Verdict};
pub(crate) use status::{Asked, Birth, Status, status};
