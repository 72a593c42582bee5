//! A small HTTP/1 server.
