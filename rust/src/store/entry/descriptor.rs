//! A token that another program writes into a descriptor of this process, as a shell sets one up: `3< <(pass show …)`.

use super::super::raw::Raw;
use super::Hold;
use crate::error::{Error, Kind, Result};

fn wrong(number: i64, why: &str) -> Error {
    Error::new(Kind::Argument, format!("descriptor {number} {why}"))
        .hint("in a shell, `Rscript -e '...' 3< <(program)` gives a program's output as descriptor 3")
        .field("argument", "fd")
}

#[cfg(not(unix))]
pub(super) fn read(number: i64, _hold: &Hold) -> Result<Raw> {
    Err(wrong(number, "cannot be read on this system; give a file by `file`"))
}

/// Reads one line of a pipe, byte by byte: what stands behind it is there for whoever reads next. An ordinary file is
/// read whole, from its beginning, so that a second line is seen and no wrong one is taken.
#[cfg(unix)]
pub(super) fn read(number: i64, hold: &Hold) -> Result<Raw> {
    use std::io::{IsTerminal, Read};
    use std::os::fd::AsFd;
    use std::os::unix::fs::OpenOptionsExt;
    use std::time::{Duration, Instant};

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::{LIMIT, MOST, given_up, too_late, too_long};

    if number < 0 || matches!(number, 1 | 2) {
        return Err(wrong(number, "is none to read from"));
    }
    // Opening it by its name gives a descriptor of our own: one that is known by its number alone is nobody's.
    let opened = std::fs::File::options()
        .read(true)
        .custom_flags((nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_NOCTTY).bits())
        .open(format!("/dev/fd/{number}"));
    let mut file = opened.map_err(|error| wrong(number, &format!("cannot be read ({})", error.kind())))?;
    if file.is_terminal() {
        return Err(wrong(number, "is a terminal; without `fd` the token is asked for there and not shown"));
    }
    let ordinary = file.metadata().is_ok_and(|metadata| metadata.is_file());
    let until = Instant::now() + LIMIT;
    let mut bytes = zeroize::Zeroizing::new(vec![0_u8; MOST]);
    let mut length = 0;
    loop {
        if hold.is_cancelled() {
            return Err(given_up());
        }
        if Instant::now() >= until {
            return Err(too_late());
        }
        let step = PollTimeout::try_from(Duration::from_millis(50)).unwrap_or(PollTimeout::ZERO);
        if poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLIN)], step).is_ok_and(|ready| ready == 0) {
            continue;
        }
        let mut byte = zeroize::Zeroizing::new([0_u8]);
        match file.read(&mut *byte) {
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' && !ordinary => break,
            Ok(_) if length == MOST => return Err(too_long()),
            Ok(_) => {
                bytes[length] = byte[0];
                length += 1;
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(wrong(number, &format!("cannot be read ({})", error.kind()))),
        }
    }
    bytes.truncate(length);
    Ok(Raw::new(std::mem::take(&mut *bytes)))
}
