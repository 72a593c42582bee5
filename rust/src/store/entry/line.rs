//! One line as it is typed or pasted, without a terminal driver behind it: what each byte means is decided here.

use zeroize::Zeroizing;

use super::super::raw::Raw;
use super::MOST;

/// The keys that the terminal's settings name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    pub(super) interrupt: u8,
    pub(super) quit: u8,
    pub(super) suspend: u8,
    pub(super) end: u8,
    pub(super) erase: u8,
    pub(super) kill: u8,
    pub(super) word: u8,
}

/// What a byte has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The line goes on.
    More,
    /// It is done.
    Done,
    /// The person gives up.
    Interrupt,
    /// The person wants the shell.
    Suspend,
}

/// Where in an escape sequence the line is: those of arrows and of pasting, which are no characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    Begun,
    /// Behind `ESC [`.
    Sequence,
    /// Behind `ESC O`: one more.
    Single,
}

/// A line that grows, in one buffer that is wiped.
pub(super) struct Line {
    keys: Keys,
    bytes: Zeroizing<Vec<u8>>,
    escape: Escape,
    too_long: bool,
}

impl Line {
    pub(super) fn new(keys: Keys) -> Self {
        Self { keys, bytes: Zeroizing::new(Vec::with_capacity(MOST)), escape: Escape::None, too_long: false }
    }

    /// Takes one byte.
    pub(super) fn take(&mut self, byte: u8) -> Step {
        let keys = self.keys;
        // A key that is switched off is 0, or 255 on some systems.
        let is = |key: u8| byte == key && key != 0 && key != u8::MAX;
        if is(keys.interrupt) || is(keys.quit) {
            return Step::Interrupt;
        }
        if is(keys.suspend) {
            return Step::Suspend;
        }
        match self.escape {
            Escape::Begun => {
                self.escape = match byte {
                    b'[' => Escape::Sequence,
                    b'O' => Escape::Single,
                    _ => Escape::None,
                };
                return Step::More;
            }
            Escape::Sequence => {
                if (0x40..=0x7e).contains(&byte) {
                    self.escape = Escape::None;
                }
                return Step::More;
            }
            Escape::Single => {
                self.escape = Escape::None;
                return Step::More;
            }
            Escape::None => {}
        }
        if matches!(byte, b'\r' | b'\n') {
            return Step::Done;
        }
        if is(keys.end) {
            // At the beginning of a line it is a no; behind something it is sent off, as a terminal would.
            return if self.bytes.is_empty() { Step::Interrupt } else { Step::Done };
        }
        if byte == 0x1b {
            self.escape = Escape::Begun;
        } else if is(keys.erase) || matches!(byte, 0x08 | 0x7f) {
            self.erase();
        } else if is(keys.kill) || is(keys.word) {
            self.bytes.iter_mut().for_each(|byte| *byte = 0);
            self.bytes.clear();
            self.too_long = false;
        } else if self.bytes.len() < MOST {
            self.bytes.push(byte);
        } else {
            self.too_long = true;
        }
        Step::More
    }

    /// The last character, of however many bytes.
    fn erase(&mut self) {
        while let Some(byte) = self.bytes.pop() {
            if byte & 0xc0 != 0x80 {
                break;
            }
        }
    }

    /// The line. `None`: it was too long, whatever was erased since.
    pub(super) fn finish(mut self) -> Option<Raw> {
        (!self.too_long).then(|| Raw::new(std::mem::take(&mut *self.bytes)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const KEYS: Keys = Keys { interrupt: 3, quit: 28, suspend: 26, end: 4, erase: 0x7f, kill: 21, word: 23 };

    fn typed(bytes: &[u8]) -> (Option<Vec<u8>>, Step) {
        let mut line = Line::new(KEYS);
        let before = line.bytes.as_ptr();
        for byte in bytes {
            match line.take(*byte) {
                Step::More => {}
                step => return (line.finish().map(|raw| raw.bytes().to_vec()), step),
            }
        }
        assert_eq!(line.bytes.as_ptr(), before, "a buffer that grows leaves copies behind");
        (line.finish().map(|raw| raw.bytes().to_vec()), Step::More)
    }

    #[test]
    fn a_line_is_what_was_typed_before_enter_with_its_corrections() {
        for (bytes, line) in [
            (&b"abc\r"[..], &b"abc"[..]),
            (b"abc\nmore\n", b"abc"),
            (b"abx\x7fc\r", b"abc"),
            (b"ab\x08\x08abc\r", b"abc"),
            (b"\x7f\x7fabc\r", b"abc"),
            (b"ab\xc3\xa4\x7fc\r", b"abc"),
            (b"wrong\x15abc\r", b"abc"),
            (b"wrong\x17abc\r", b"abc"),
            (b"abc\x04", b"abc"),
        ] {
            assert_eq!(typed(bytes), (Some(line.to_vec()), Step::Done), "{bytes:?}");
        }
    }

    #[test]
    fn marks_of_pasting_and_arrows_are_no_characters() {
        for bytes in [&b"\x1b[200~abc\x1b[201~\r"[..], b"\x1b[Aab\x1b[1;5Cc\r", b"\x1bOAabc\r", b"\x1bxabc\r"] {
            assert_eq!(typed(bytes), (Some(b"abc".to_vec()), Step::Done), "{bytes:?}");
        }
    }

    #[test]
    fn keys_that_give_up_do_so_wherever_the_line_is() {
        for (bytes, step) in [
            (&b"ab\x03"[..], Step::Interrupt),
            (b"\x1c", Step::Interrupt),
            (b"\x04", Step::Interrupt),
            (b"ab\x1a", Step::Suspend),
            (b"\x1b[\x03", Step::Interrupt),
            (b"\x1b\x1a", Step::Suspend),
        ] {
            assert_eq!(typed(bytes).1, step, "{bytes:?}");
        }
    }

    #[test]
    fn a_key_that_is_switched_off_is_none() {
        let mut line = Line::new(Keys { interrupt: 0, suspend: 255, ..KEYS });
        assert_eq!((line.take(0), line.take(255)), (Step::More, Step::More));
    }

    #[test]
    fn too_much_is_refused_and_not_cut_and_can_be_erased_whole() {
        let long = vec![b'a'; MOST];
        assert_eq!(typed(&long).0.unwrap().len(), MOST);
        assert_eq!(typed(&[&long[..], b"a\r"].concat()), (None, Step::Done));
        assert_eq!(typed(&[&long[..], b"aa\x7f\x7f\x7f\r"].concat()), (None, Step::Done));
        assert_eq!(typed(&[&long[..], b"a\x15abc\r"].concat()), (Some(b"abc".to_vec()), Step::Done));
    }
}
