//! The desktop's dialog: pinentry, as `GnuPG` asks for its passphrases; on macOS and Windows the system's own.
//!
//! A program in a process of its own asks, and prints what was entered into a pipe; it is run as the store `command`
//! runs one, so nobody waits for it longer than for the person, and its output is in a buffer that wipes itself. (The
//! crate `pinentry` reads through a buffer that nobody wipes, and its child inherits the signals that are blocked here.)

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::super::command::process::{End, Job, run};
use super::super::raw::Raw;
use super::{END, Hold, LIMIT, MOST, Place, Question, given_up, nowhere, too_late, too_long};
use crate::error::{Error, Result};

/// The programs that may be there, in the order in which they are looked for. The last one stands for whichever the
/// machine's administrator chose.
#[cfg(not(any(target_os = "macos", windows)))]
const PROGRAMS: &[&str] =
    &["pinentry-gnome3", "pinentry-qt", "pinentry-qt5", "pinentry-gtk-2", "pinentry-gtk", "pinentry-fltk", "pinentry"];
#[cfg(target_os = "macos")]
const PROGRAMS: &[&str] = &["/usr/bin/osascript"];
#[cfg(windows)]
const PROGRAMS: &[&str] = &["powershell"];

/// What it prints at most: each byte may be three, and there are the program's own words.
const ROOM: usize = 4 * MOST;

/// A program that asks.
pub(super) struct Dialog {
    pub(super) program: PathBuf,
    /// Lines that it gets before the question.
    pub(super) options: Vec<String>,
}

impl Dialog {
    /// The one that this login can show.
    pub(super) fn find(place: &Place) -> Option<Self> {
        if !place.screen {
            return None;
        }
        let program = PROGRAMS.iter().find_map(|name| place.surroundings.find(name))?;
        Some(Self { program, options: Vec::new() })
    }

    /// Asks, and waits for the answer.
    pub(super) fn ask(&self, question: &Question, place: &Place, hold: &Hold) -> Result<Raw> {
        let (arguments, input) = self.words(question);
        let job = Job {
            program: self.program.clone(),
            arguments,
            surroundings: place.surroundings.clone(),
            input,
            limit: LIMIT + END,
            most: ROOM,
        };
        match run(job, hold.flag())? {
            End::Exited(status, mut output) => {
                answer(status, &mut output).unwrap_or_else(|why| Err(self.failed(&why, question)))
            }
            End::TooMuch => Err(too_long()),
            End::TooLate if hold.is_cancelled() => Err(given_up()),
            End::TooLate => Err(too_late()),
            End::Signalled(signal) => Err(self.failed(&format!("it was ended by signal {signal}"), question)),
            End::NotStarted(why) => Err(self.failed(&format!("it could not be started: {why}"), question)),
        }
    }

    /// Arguments and input of the program. What goes into them are names, which hold letters, digits and `_`.
    #[cfg(not(any(target_os = "macos", windows)))]
    fn words(&self, question: &Question) -> (Vec<String>, Option<Zeroizing<Vec<u8>>>) {
        let Question { project, token_name, store, .. } = question;
        let mut lines = self.options.clone();
        lines.push("SETTITLE keycap".to_owned());
        lines.push(format!(
            "SETDESC The REDCap API token of `{project}`, to be kept in `{store}` under {token_name}.%0AR does not see it."
        ));
        lines.push("SETPROMPT Token:".to_owned());
        lines.push(format!("SETTIMEOUT {}", LIMIT.as_secs()));
        lines.push("GETPIN".to_owned());
        lines.push("BYE\n".to_owned());
        (Vec::new(), Some(Zeroizing::new(lines.join("\n").into_bytes())))
    }

    #[cfg(target_os = "macos")]
    fn words(&self, question: &Question) -> (Vec<String>, Option<Zeroizing<Vec<u8>>>) {
        let Question { project, token_name, store, .. } = question;
        let ask = format!(
            "display dialog \"The REDCap API token of {project}, to be kept in {store} under {token_name}. R does not \
             see it.\" with title \"keycap\" default answer \"\" with hidden answer giving up after {}",
            LIMIT.as_secs()
        );
        let arguments = ["-e", &ask, "-e", "text returned of result"].map(str::to_owned);
        (self.options.iter().cloned().chain(arguments).collect(), None)
    }

    /// `Get-Credential` of Windows `PowerShell` shows the dialog of `CredUI`. It asks for a user too, and has the
    /// token's name there.
    #[cfg(windows)]
    fn words(&self, question: &Question) -> (Vec<String>, Option<Zeroizing<Vec<u8>>>) {
        let Question { project, token_name, store, .. } = question;
        let ask = format!(
            "$c = Get-Credential -UserName '{token_name}' -Message 'The REDCap API token of {project}, to be kept in \
             {store}, goes into the field of the password. R does not see it.'; if ($null -eq $c) {{ exit 1 }}; \
             [Console]::Out.Write($c.GetNetworkCredential().Password)"
        );
        let arguments = ["-NoLogo", "-NoProfile", "-Command", &ask].map(str::to_owned);
        (self.options.iter().cloned().chain(arguments).collect(), None)
    }

    fn failed(&self, why: &str, question: &Question) -> Error {
        let message = format!("the dialog of `{}` cannot ask for the token ({why})", self.program.display());
        let mut error = nowhere(question, false);
        error.message = message;
        error
    }
}

/// What the answer of the program means: the entry, or the person's no. An error of it in words, where it failed.
#[cfg(not(any(target_os = "macos", windows)))]
fn answer(_status: i32, output: &mut Zeroizing<Vec<u8>>) -> std::result::Result<Result<Raw>, String> {
    let mut pin = Zeroizing::new(Vec::with_capacity(output.len()));
    for line in output.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(data) = line.strip_prefix(b"D ") {
            decode(data, &mut pin);
        } else if let Some(rest) = line.strip_prefix(b"ERR ") {
            let code = rest.split(|byte| *byte == b' ').next().and_then(|code| std::str::from_utf8(code).ok());
            // The lower half is the error, the upper one says who reports it. An option that this pinentry does not know
            // is no matter.
            match code.and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xffff) {
                Some(99 | 114 | 198) => return Ok(Err(given_up())),
                Some(62) => return Ok(Err(too_late())),
                Some(174 | 275) => {}
                Some(code) => return Err(format!("its error {code}")),
                None => return Err("its answer cannot be read".to_owned()),
            }
        }
    }
    // A dialog that is sent off empty has no line of data.
    Ok(Ok(Raw::new(std::mem::take(&mut *pin))))
}

/// `%25` is a `%`. Appended to a buffer that has room.
#[cfg(not(any(target_os = "macos", windows)))]
fn decode(mut data: &[u8], pin: &mut Vec<u8>) {
    while let [byte, rest @ ..] = data {
        data = rest;
        let escaped = match (byte, rest) {
            (b'%', [high, low, behind @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => Some((high << 4 | low, behind)),
                _ => None,
            },
            _ => None,
        };
        match escaped {
            Some((byte, behind)) => {
                pin.push(byte);
                data = behind;
            }
            None => pin.push(*byte),
        }
    }
}

#[cfg(not(any(target_os = "macos", windows)))]
fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// A dialog that was cancelled ends with 1.
#[cfg(any(target_os = "macos", windows))]
fn answer(status: i32, output: &mut Zeroizing<Vec<u8>>) -> std::result::Result<Result<Raw>, String> {
    match status {
        0 => Ok(Ok(Raw::new(std::mem::take(&mut **output)))),
        1 => Ok(Err(given_up())),
        status => Err(format!("it ended with status {status}")),
    }
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn said(output: &str) -> std::result::Result<Result<Vec<u8>>, String> {
        answer(0, &mut Zeroizing::new(output.as_bytes().to_vec())).map(|raw| raw.map(|raw| raw.bytes().to_vec()))
    }

    #[test]
    fn data_are_decoded_and_options_that_are_unknown_do_not_matter() {
        let output = "OK Pleased to meet you\nERR 83886254 Unknown option <User defined source 1>\nOK\nD 50%25%0a%zz\nOK\nOK closing\n";
        assert_eq!(said(output).unwrap().unwrap(), b"50%\n%zz");
        assert_eq!(said("OK\nOK\n").unwrap().unwrap(), b"");
    }

    #[test]
    fn a_no_a_time_out_and_a_failure_are_told_apart() {
        let kind =
            |code: u32| said(&format!("OK\nERR {code} whatever <Pinentry>\nOK\n")).map(|raw| raw.unwrap_err().kind);
        assert_eq!(kind(83_886_179), Ok(Kind::Interrupted));
        assert_eq!(kind(83_886_142), Ok(Kind::Timeout));
        assert_eq!(kind(83_918_950), Err("its error 32870".to_owned()));
        assert!(said("ERR x\n").is_err());
    }
}
