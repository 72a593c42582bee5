//! keycap: an ssh-agent for REDCap API tokens. The host language names a token; this crate finds it, makes the
//! call itself, wipes it and writes an audit entry. It knows no R.
//!
//! The rooms, each importing only what stands to its left or below (see `DEVELOPMENT.md`):
//! `token` · `net` · `project` · `store` · `audit` · `redcap` · `records` · `rights` · `rotation` · `leaks` · `serve` ·
//! `sandbox`.

pub mod audit;
mod base64;
pub mod border;
pub mod ctx;
pub mod error;
mod file;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod group;
mod hex;
mod json_list;
mod leaks;
pub mod net;
#[cfg(any(test, fuzzing))]
mod numbers;
pub mod project;
mod records;
pub mod redcap;
mod rights;
mod rotation;
pub mod sandbox;
mod serve;
mod signals;
mod spelling;
pub mod store;
mod threads;
pub mod token;
pub mod value;

pub use ctx::Ctx;
pub use error::{Error, Kind, Result};
pub use value::{Column, Table, Texts, Value};
