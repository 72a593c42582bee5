//! A change of what is kept here, with its two entries in the audit log.

pub(super) use crate::redcap::audited;
