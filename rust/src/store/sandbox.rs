//! Sample tokens of a sandbox that this session started.
