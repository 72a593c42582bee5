//! The room as a whole: CSV against a slow reader, cells of every type, exports from servers that behave and others.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod any;
mod csv;
mod exports;
mod imports;
mod kit;
mod large;
mod sandbox;
mod tables;
