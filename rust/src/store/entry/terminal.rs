//! The terminal, with what is typed not shown.
//!
//! The terminal's driver is told to hand over each byte as it comes and to send no signal for a key: so Ctrl-C and
//! Ctrl-Z are seen here first, the terminal is put back, and then the signal is sent that the key stands for. Whatever
//! ends the entry puts it back, on drop; where the process itself is ended (SIGTERM, a kill), a guard does it, which
//! notices that its pipe is closed.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, killpg};
use nix::sys::termios::{
    InputFlags, LocalFlags, SetArg, SpecialCharacterIndices as Key, Termios, tcgetattr, tcsetattr,
};
use nix::unistd::{getpgrp, tcgetpgrp};
use zeroize::Zeroizing;

use super::super::command::process::{Job, Running};
use super::super::raw::Raw;
use super::line::{Keys, Line, Step};
use super::{Hold, Question, Surroundings, given_up, too_late, too_long};
use crate::error::{Error, Kind, Result};

/// How long it is waited for a key between two looks at the terminal.
const STEP: Duration = Duration::from_millis(20);

/// How long a paste may pause.
const PAUSE: Duration = Duration::from_millis(100);

/// Silent reads in a row after which nothing more of a paste is expected.
const SILENT: usize = 3;

/// How long the rest of a paste is taken away at most.
const DRAIN: Duration = Duration::from_secs(3);

/// How long it takes for a signal to be heard.
const HEARD: Duration = Duration::from_secs(1);

/// Puts a terminal back once nobody holds the other end of its input any more: its maker has ended. In a group of its
/// own in the background, where these signals would end or stop it.
const GUARD: &str = "trap '' HUP INT TERM TSTP TTIN TTOU; was=$(stty -g < /dev/tty) && echo ready && \
                     { read -r end || stty \"$was\" < /dev/tty; }";

/// Whether a person can be asked at a terminal.
pub(super) enum Reach {
    /// This process has the terminal.
    Here(File),
    /// It runs in the terminal's background.
    Behind,
    /// There is none.
    None,
}

impl Reach {
    pub(super) fn now() -> Self {
        let opened = File::options().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open("/dev/tty");
        let Ok(tty) = opened else { return Self::None };
        match tcgetpgrp(&tty) {
            Ok(group) if group == getpgrp() => Self::Here(tty),
            Ok(_) => Self::Behind,
            Err(_) => Self::None,
        }
    }
}

/// Asks for a token and reads it.
pub(super) fn read(tty: File, question: &Question, hold: &Hold, limit: Duration) -> Result<Raw> {
    let until = Instant::now() + limit;
    let Question { project, token_name, store, .. } = question;
    let prompt = format!("Token for `{project}` ({token_name}, goes into `{store}`), not shown while you enter it: ");
    let mut quiet = Quiet::begin(tty)?;
    quiet.write(&prompt)?;
    let mut line = Line::new(quiet.keys());
    let signal = loop {
        if hold.is_cancelled() {
            break None;
        }
        if Instant::now() >= until {
            return Err(too_late());
        }
        match quiet.read_into(&mut line)? {
            Step::More => {}
            Step::Done => {
                quiet.drain(hold);
                return line.finish().ok_or_else(too_long);
            }
            Step::Interrupt => break Some(Signal::SIGINT),
            Step::Suspend => break Some(Signal::SIGTSTP),
        }
    };
    drop(line);
    drop(quiet);
    if let Some(signal) = signal {
        // As the terminal would have sent it: to all that stand in its foreground.
        let _ = killpg(getpgrp(), signal);
        let until = Instant::now() + HEARD;
        while !hold.is_cancelled() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Err(given_up())
}

/// A terminal that shows nothing. Dropped, it is as it was, and what came meanwhile is nobody's; but what somebody else
/// has set meanwhile stays (a shell does, whose job was stopped).
struct Quiet {
    tty: File,
    /// The same terminal, never waited for: where somebody has set it back to lines, a read that waits would go on
    /// eating what is typed there.
    keys: File,
    before: Termios,
    silent: Termios,
    _guard: Running,
}

impl Quiet {
    fn begin(tty: File) -> Result<Self> {
        let before = tcgetattr(&tty).map_err(|errno| lost(errno.desc()))?;
        let flags = OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
        let keys = File::options().read(true).custom_flags(flags.bits()).open("/dev/tty");
        let keys = keys.map_err(|error| lost(&error.kind().to_string()))?;
        let guard = guard()?;
        let mut silent = before.clone();
        silent
            .local_flags
            .remove(LocalFlags::ECHO | LocalFlags::ECHONL | LocalFlags::ICANON | LocalFlags::ISIG | LocalFlags::IEXTEN);
        // Ctrl-S would stop the terminal, and nobody would know why.
        silent.input_flags.remove(InputFlags::IXON);
        silent.control_chars[Key::VMIN as usize] = 0;
        silent.control_chars[Key::VTIME as usize] = 0;
        let quiet = Self { tty, keys, before, silent, _guard: guard };
        // What was typed ahead is no token.
        tcsetattr(&quiet.tty, SetArg::TCSAFLUSH, &quiet.silent).map_err(|errno| lost(errno.desc()))?;
        Ok(quiet)
    }

    fn keys(&self) -> Keys {
        let key = |key: Key| self.before.control_chars[key as usize];
        Keys {
            interrupt: key(Key::VINTR),
            quit: key(Key::VQUIT),
            suspend: key(Key::VSUSP),
            end: key(Key::VEOF),
            erase: key(Key::VERASE),
            kill: key(Key::VKILL),
            word: key(Key::VWERASE),
        }
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.tty.write_all(text.as_bytes()).map_err(|error| lost(&error.kind().to_string()))
    }

    /// Whether this process has the terminal.
    fn is_in_front(&self) -> bool {
        tcgetpgrp(&self.tty).is_ok_and(|group| group == getpgrp())
    }

    /// Whether the terminal is as it was set here.
    fn is_silent(&self) -> bool {
        // The driver's own flags, which come and go.
        let own = LocalFlags::PENDIN | LocalFlags::FLUSHO;
        tcgetattr(&self.tty).is_ok_and(|now| {
            now.local_flags - own == self.silent.local_flags - own
                && [Key::VMIN, Key::VTIME]
                    .iter()
                    .all(|key| now.control_chars[*key as usize] == self.silent.control_chars[*key as usize])
        })
    }

    /// What came within a moment. What stands behind the end of the line is not looked at.
    fn read_into(&mut self, line: &mut Line) -> Result<Step> {
        // Somebody has put this process into the background: what is typed now is the shell's.
        if !self.is_in_front() {
            return Err(lost("it is not this process's any more"));
        }
        // It was stopped meanwhile, and who had the terminal then has set it back: what is typed now is shown.
        if !self.is_silent() {
            return Err(lost("its mode was changed while you entered it, so that it would be shown"));
        }
        let mut bytes = Zeroizing::new([0_u8; 64]);
        let length = self.take(&mut *bytes)?;
        if length == 0 {
            std::thread::sleep(STEP);
        }
        let steps = bytes[..length].iter().map(|byte| line.take(*byte));
        Ok(steps.into_iter().find(|step| *step != Step::More).unwrap_or(Step::More))
    }

    /// What is there now.
    fn take(&mut self, bytes: &mut [u8]) -> Result<usize> {
        match self.keys.read(bytes) {
            Ok(length) => Ok(length),
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => Ok(0),
            // Stopped just before this read.
            Err(_) if !self.is_in_front() => Err(lost("it is not this process's any more")),
            Err(error) => Err(lost(&error.kind().to_string())),
        }
    }

    /// Takes away what was pasted behind the line: it would be run as code.
    fn drain(&mut self, hold: &Hold) {
        let until = Instant::now() + DRAIN;
        let mut silent = 0;
        while silent < SILENT && Instant::now() < until && !hold.is_cancelled() {
            if !self.is_in_front() || !self.is_silent() {
                return;
            }
            let mut bytes = Zeroizing::new([0_u8; 256]);
            match self.take(&mut *bytes) {
                Ok(0) | Err(_) => {
                    silent += 1;
                    std::thread::sleep(PAUSE);
                }
                Ok(_) => silent = 0,
            }
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if self.is_in_front() {
            let _ = self.write("\n");
        }
        if self.is_silent() {
            // Even from the background: on this thread the signal that would stop the process is blocked.
            let _ = tcsetattr(&self.tty, SetArg::TCSAFLUSH, &self.before);
        }
    }
}

/// Starts the guard, and waits until it knows how the terminal was.
fn guard() -> Result<Running> {
    let surroundings = Surroundings::of([(b"PATH".to_vec(), Zeroizing::new(b"/usr/bin:/bin".to_vec()))].into_iter());
    let job = Job {
        program: "/bin/sh".into(),
        arguments: vec!["-c".to_owned(), GUARD.to_owned()],
        surroundings,
        input: Some(Zeroizing::default()),
        limit: Duration::ZERO,
        most: 0,
    };
    let unguarded = || lost("nothing would put it back if R were ended meanwhile: `sh` and `stty` do not run");
    let mut guard = Running::start(&job).map_err(|_| unguarded())?;
    if guard.has_printed(Duration::from_secs(5)) { Ok(guard) } else { Err(unguarded()) }
}

fn lost(why: &str) -> Error {
    Error::new(Kind::Argument, format!("the terminal cannot be used to enter a token ({why}); nothing was stored"))
        .hint("give the token by `file` or `fd`, or call again in another terminal")
        .field("argument", "from")
}
