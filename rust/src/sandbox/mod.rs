//! The built-in REDCap-compatible server, to try keycap with and to test it against. It is not REDCap.
//!
//! It answers on loopback only, from sample data, with sample tokens that are fake by name and by look, and
//! can misbehave on demand in the ways that real servers, firewalls and gateways do. It reads requests with
//! code of its own: a fault in the client's reading or writing must not find its twin here. So nothing in
//! this room imports `token`, `net` or `redcap`.
//!
//! Where is what:
//! - [`run`] a server with its administrator's pipe, for a process of its own; [`serve`] without the pipe;
//!   [`Child`] starts such a process and talks to it.
//! - `post` reads request bodies, `answers` finds the answer, `contents` has one file for each kind of
//!   content, `refusal` has REDCap's error texts, `sheet` writes CSV, JSON and XML.
//! - `design`, `rows`, `data`, `reports`, `users`, `tokens`: what a project consists of; `samples` fills them, and
//!   `generated` makes projects of any size for benchmarks.
//! - `filter` understands filter logic, `table` reads what is imported, `validation` checks its values, `paper`
//!   writes a PDF.
//! - `faults` misbehaves, `front` is what stands before REDCap (firewall, gateway), `ban` counts requests.
//! - `admin` has the administrator's commands. There is no other door: none of this is reachable over HTTP.
//!
//! Refusals are worded as live servers were recorded to word them, where that is known; elsewhere the words are
//! the sandbox's own, and the function in `refusal` says so.

mod admin;
mod answers;
mod ban;
mod child;
mod config;
mod contents;
mod counts;
mod data;
mod design;
mod faults;
mod filter;
mod front;
mod generated;
mod paper;
mod pipe;
mod post;
mod random;
mod refusal;
mod reports;
mod rows;
mod sample_tokens;
mod samples;
mod sheet;
mod table;
mod time;
mod tokens;
mod users;
mod validation;
mod world;

#[cfg(test)]
pub(crate) mod tests;

pub use child::Child;
pub use config::Config;
#[cfg(test)]
pub(crate) use contents::METHODS;
pub use generated::Size;
pub use pipe::{run, serve};
pub use sample_tokens::{SAMPLES, Sample, sample_tokens};

/// The path of the API on the sandbox's server, as most institutions have it.
pub const API_PATH: &str = "/redcap/api/";
