//! The pipeline: the only way to the wire. Requests, answers, their classification, the limiter.
//!
//! `bound origin → policy → limiter permit → look-up → intent durable → send, scrub → outcome`, in
//! [`pipeline::Operation::call`] and nowhere else.

mod age;
mod answer;
mod any;
mod audited;
mod bound;
mod classify;
mod escapes;
mod file_name;
mod groups;
mod limiter;
mod method;
mod missing;
mod objections;
mod pipeline;
mod policy;
mod probe;
mod reconcile;
pub(crate) mod repair;
mod request;
mod side_by_side;
#[cfg(test)]
mod tests;

pub(crate) use age::{Age, Ages, Check, Checked, Evidence, seconds};
pub(crate) use answer::{Sink, Waiting};
pub(crate) use any::{Ask, Plan, Shape};
pub(crate) use audited::audited;
pub(crate) use bound::{BoundBy, bond_of_target, bound, may_go};
#[cfg(any(test, fuzzing))]
pub(crate) use classify::{HEAD, Head, MOST_TEXT, classify, is_data};
pub(crate) use classify::{is_out_of_memory, memory, out_of_memory, withheld};
pub(crate) use file_name::safe as safe_name;
pub(crate) use groups::{Groups, groups, list, may};
pub(crate) use limiter::Limits;
pub(crate) use method::Answer;
pub(crate) use missing::{blank, malformed};
pub(crate) use pipeline::{Operation, audit_folder, by_token_name, token_in_data, wanted};
pub(crate) use policy::{Call, Finding, Rule, State, judge, known};
#[cfg(any(test, fuzzing))]
pub(crate) use probe::Information;
pub(crate) use probe::{Probe, api_page, identify, probe, same_project, version_of};
pub(crate) use reconcile::{Logged, Made, Reconciled, Span, header_time, reconcile};
pub(crate) use request::{Expect, Parameter, Request, Upload};
pub(crate) use side_by_side::side_by_side;
