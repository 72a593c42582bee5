//! The built-in REDCap-compatible server.
