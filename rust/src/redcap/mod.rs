//! The pipeline: the only way to the wire.
