//! Throw-away tokens. Each is random: sample tokens such as `ABCDEF0123456789` stand in system libraries.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A random token of 32 hexadecimal characters, in mixed case.
pub fn random() -> std::io::Result<String> {
    let mut bytes = [0_u8; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| char::from(b"0123456789abcdefABCDEF"[usize::from(*byte) % 22])).collect())
}

/// Hands a token over in a file that only this user can read.
pub fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = File::options().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// A command that is given a text over its standard input.
pub fn feed(command: &mut std::process::Command, text: &str) -> std::io::Result<()> {
    let mut child = command.stdin(std::process::Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().ok_or_else(|| std::io::Error::other("no standard input"))?;
    input.write_all(text.as_bytes())?;
    drop(input);
    if child.wait()?.success() { Ok(()) } else { Err(std::io::Error::other("a helper failed")) }
}
