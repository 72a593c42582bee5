//! The pipeline: the only way to the wire. Requests, answers, their classification, the limiter.
//!
//! `bound origin → policy → limiter permit → look-up → intent durable → send, scrub → outcome`, in
//! [`pipeline::Operation::call`] and nowhere else.

mod answer;
mod classify;
mod limiter;
mod pipeline;
mod policy;
mod probe;
mod request;
#[cfg(test)]
mod tests;

#[cfg(any(test, fuzzing))]
pub(crate) use classify::{HEAD, Head, MOST_TEXT, classify, is_data};
pub(crate) use pipeline::{Operation, blank, by_token_name, malformed, wanted};
#[cfg(any(test, fuzzing))]
pub(crate) use probe::information;
pub(crate) use probe::{Probe, probe};
#[cfg(any(test, fuzzing))]
pub(crate) use request::Expect;
