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

pub(crate) use answer::{Sink, Waiting};
#[cfg(any(test, fuzzing))]
pub(crate) use classify::{HEAD, Head, MOST_TEXT, classify, is_data};
pub(crate) use classify::{is_out_of_memory, memory, out_of_memory};
pub(crate) use pipeline::{Operation, blank, blocking, by_token_name, malformed, wanted};
#[cfg(any(test, fuzzing))]
pub(crate) use probe::information;
pub(crate) use probe::{Probe, identify, probe};
pub(crate) use request::{Expect, Request};
