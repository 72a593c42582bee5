//! The CSV reader against one that is slow and obviously right.

use proptest::prelude::*;

use crate::error::{Kind, Result};
use crate::records::csv::{Reader, Rows};

/// How a body ends.
#[derive(Debug, PartialEq, Eq)]
enum Ending {
    Complete,
    CutShort,
    /// Text behind a closing quote.
    Misplaced,
}

type Lines = Vec<Vec<Vec<u8>>>;

/// The whole input at once, byte by byte. A line without any character is a line without cells.
fn slow(input: &[u8]) -> (Lines, Ending) {
    let input = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    let mut lines = Vec::new();
    let mut at = 0;
    // Whether a quote behind a backslash was seen that is not doubled.
    let mut escapes = false;
    while at < input.len() {
        let (mut line, begin) = (Vec::new(), at);
        loop {
            let mut cell = Vec::new();
            if input.get(at) == Some(&b'"') {
                at += 1;
                loop {
                    let run = input[at.min(input.len())..].iter().take_while(|byte| **byte == b'"').count();
                    if run > 0 && input[at - 1] == b'\\' && cell.last() == Some(&b'\\') {
                        let rest = &input[at + run..];
                        let (comma, feed) = (rest.starts_with(b","), rest.starts_with(b"\n"));
                        let ends = comma || feed || rest.is_empty() || rest.starts_with(b"\r\n") || rest == b"\r";
                        if run % 2 == 1 && !ends {
                            escapes = true;
                            cell.extend(std::iter::repeat_n(b'"', run.div_ceil(2)));
                            at += run;
                            continue;
                        }
                        if run % 2 == 0 && escapes && (comma || feed) {
                            cell.extend(std::iter::repeat_n(b'"', run / 2));
                            at += run - 1;
                            break;
                        }
                    }
                    match (input.get(at), input.get(at + 1)) {
                        (None, _) => return (lines, Ending::CutShort),
                        (Some(b'"'), Some(b'"')) => {
                            cell.push(b'"');
                            at += 2;
                        }
                        (Some(b'"'), _) => break,
                        (Some(other), _) => {
                            cell.push(*other);
                            at += 1;
                        }
                    }
                }
                at += 1;
                let ended_by_crlf = input.get(at) == Some(&b'\r');
                at += usize::from(ended_by_crlf);
                match input.get(at) {
                    None => return (lines, Ending::CutShort),
                    Some(b'\n') => {}
                    Some(b',') if !ended_by_crlf => {}
                    Some(_) => return (lines, Ending::Misplaced),
                }
                line.push(cell);
            } else {
                while at < input.len() && input[at] != b',' && input[at] != b'\n' {
                    cell.push(input[at]);
                    at += 1;
                }
                if input.get(at) == Some(&b'\n') && cell.last() == Some(&b'\r') {
                    cell.pop();
                }
                line.push(cell);
            }
            match input.get(at) {
                None => return (lines, Ending::CutShort),
                Some(b',') => at += 1,
                Some(_) => break,
            }
        }
        let blank = line == [b""] && input[begin] != b'"';
        lines.push(if blank { Vec::new() } else { line });
        at += 1;
    }
    (lines, Ending::Complete)
}

#[derive(Default)]
struct Collected {
    lines: Lines,
    line: Vec<Vec<u8>>,
    /// What was handed over, of the bytes of the chunk that is being read.
    after: usize,
}

impl Rows for Collected {
    fn cell(&mut self, column: usize, cell: &[u8]) {
        assert_eq!(column, self.line.len());
        self.line.push(cell.to_vec());
    }
    fn end(&mut self, cells: usize, after: usize) -> Result<()> {
        assert_eq!(cells, self.line.len());
        self.lines.push(std::mem::take(&mut self.line));
        self.after = after;
        Ok(())
    }
    fn blank(&mut self, after: usize) -> Result<()> {
        assert!(self.line.is_empty());
        self.lines.push(Vec::new());
        self.after = after;
        Ok(())
    }
    fn place(&self, column: usize) -> String {
        format!("line {}, column {column}", self.lines.len())
    }
}

fn quick<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Lines, Ending) {
    let (mut reader, mut rows) = (Reader::new(), Collected::default());
    for chunk in chunks {
        let before = rows.lines.len();
        rows.after = 0;
        if let Err(error) = reader.feed(chunk, &mut rows) {
            assert_eq!(error.kind, Kind::NotRedcap);
            return (rows.lines, Ending::Misplaced);
        }
        // The last line of the chunk ended where the reader says.
        assert_eq!(rows.lines.len() > before, rows.after > 0);
        assert!(rows.after == 0 || chunk[rows.after - 1] == b'\n');
    }
    (rows.lines, if reader.is_complete() { Ending::Complete } else { Ending::CutShort })
}

/// Chunks that begin at each bit that is set; bit 0 stands for the second byte.
fn cut(input: &[u8], cuts: u32) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    let mut begin = 0;
    for at in 1..input.len() {
        if cuts >> (at - 1) & 1 == 1 {
            chunks.push(&input[begin..at]);
            begin = at;
        }
    }
    chunks.push(&input[begin..]);
    chunks
}

fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        4 => Just(b'"'), 2 => Just(b'\\'), 3 => Just(b','), 3 => Just(b'\n'), 3 => Just(b'\r'), 3 => Just(b'a'),
        1 => Just(0xef), 1 => Just(0xbb), 1 => Just(0xbf), 1 => Just(0), 1 => any::<u8>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_chunking_of_a_short_body_reads_as_the_slow_reader_does(
        input in proptest::collection::vec(byte(), 1..10)
    ) {
        let expected = slow(&input);
        for cuts in 0..1 << (input.len() - 1) {
            prop_assert_eq!(&quick(cut(&input, cuts).into_iter()), &expected, "{:?} {:b}", input, cuts);
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped_and_a_half_one_is_not(
        mark in 0..4_usize, rest in proptest::collection::vec(byte(), 0..7)
    ) {
        let mut input = [0xef, 0xbb, 0xbf][..mark].to_vec();
        input.extend(rest);
        prop_assume!(!input.is_empty());
        let expected = slow(&input);
        for cuts in 0..1 << (input.len() - 1) {
            prop_assert_eq!(&quick(cut(&input, cuts).into_iter()), &expected);
        }
    }

    #[test]
    fn a_longer_body_reads_as_the_slow_reader_does(
        input in proptest::collection::vec(byte(), 0..400),
        sizes in proptest::collection::vec(1..40_usize, 1..20)
    ) {
        let mut sizes = sizes.into_iter().cycle();
        let mut rest = &input[..];
        let chunks = std::iter::from_fn(|| {
            let (chunk, after) = rest.split_at_checked(sizes.next()?).unwrap_or((rest, &[]));
            rest = after;
            (!chunk.is_empty()).then_some(chunk)
        });
        prop_assert_eq!(quick(chunks), slow(&input));
    }

    #[test]
    fn what_was_written_is_what_is_read(
        table in proptest::collection::vec(
            proptest::collection::vec((proptest::collection::vec(byte(), 0..8), any::<bool>()), 1..5), 0..8
        ),
        crlf in any::<bool>(), size in 1..30_usize
    ) {
        let mut text = Vec::new();
        for line in &table {
            for (n, (cell, quoted)) in line.iter().enumerate() {
                if n > 0 {
                    text.push(b',');
                }
                let special = cell.iter().any(|b| b",\"\n\r".contains(b)) || cell.starts_with(b"\xef");
                if special || *quoted || line.len() == 1 {
                    text.push(b'"');
                    for byte in cell {
                        text.extend(std::iter::repeat_n(*byte, 1 + usize::from(*byte == b'"')));
                    }
                    text.push(b'"');
                } else {
                    text.extend(cell);
                }
            }
            text.extend(if crlf { &b"\r\n"[..] } else { b"\n" });
        }
        let lines: Lines = table.iter().map(|line| line.iter().map(|(cell, _)| cell.clone()).collect()).collect();
        prop_assert_eq!(quick(text.chunks(size)), (lines, Ending::Complete));
    }
}

fn read(text: &str) -> (Vec<Vec<String>>, Ending) {
    let (lines, ending) = quick(std::iter::once(text.as_bytes()));
    let texts = |line: Vec<Vec<u8>>| line.into_iter().map(|cell| String::from_utf8(cell).unwrap()).collect();
    (lines.into_iter().map(texts).collect(), ending)
}

#[test]
fn nasty_cells_are_read_as_sent() {
    for (text, cell) in [
        ("\"a \"\"b\"\" c\"", "a \"b\" c"),
        ("\"a\r\nb\"", "a\r\nb"),
        ("\"a\rb\"", "a\rb"),
        ("\"a\r\"", "a\r"),
        ("a\rb", "a\rb"),
        ("a\"b", "a\"b"),
        ("a\"\"b", "a\"\"b"),
        ("\"\"", ""),
        ("\"\"\"\"", "\""),
        ("\",\"", ","),
        (" a ", " a "),
        ("\"\0\"", "\0"),
    ] {
        for line in [format!("x,{text},y\n"), format!("x,{text},y\r\n")] {
            assert_eq!(read(&line), (vec![vec!["x".into(), cell.into(), "y".into()]], Ending::Complete), "{text}");
        }
        for line in [format!("x,{text}\n"), format!("x,{text}\r\n")] {
            assert_eq!(read(&line), (vec![vec!["x".into(), cell.into()]], Ending::Complete), "{text}");
        }
    }
}

#[test]
fn a_body_that_ends_in_a_line_is_cut_short() {
    for text in ["a", "a,", "a,b", "\"a", "\"a\"", "\"a\"\r", "x\na", "x\n\"a\nb\n", "x,y\na,b\r", "\u{feff}a"] {
        assert_eq!(read(text).1, Ending::CutShort, "{text:?}");
    }
    for text in ["", "\n", "a\n", "\"a\"\n", "\"a\"\r\n", "\u{feff}", "\u{feff}a\n"] {
        assert_eq!(read(text).1, Ending::Complete, "{text:?}");
    }
}

/// A cell as PHP writes it with its default escape: a quote behind a backslash is not doubled.
fn php(cell: &str) -> String {
    let mut out = "\"".to_owned();
    let mut escaped = false;
    for c in cell.chars() {
        if c == '"' && !escaped {
            out.push('"');
        }
        escaped = c == '\\';
        out.push(c);
    }
    out + "\""
}

#[test]
fn a_quote_behind_a_backslash_that_php_did_not_double_belongs_to_its_cell() {
    // The shape of it, from the manual of `fputcsv`.
    assert_eq!(php(r#"words1\"words2, words3"#), r#""words1\"words2, words3""#);
    assert_eq!(php(r#"a\"", b"#), r#""a\""", b""#);
    for cell in [
        r#"words1\"words2, words3"#,
        r#"say \"yes\""#,
        r#"\"x\\"y"#,
        r#"\"b, "c" \""d"#,
        "\\\"a\r\n\\\"b",
        "x\\\"\ry, z",
        r"ends in \",
        r"ends in, \\",
    ] {
        let line = format!("1,{},{}\n2,x,{}\n", php(cell), php(cell), php("ü \"z\""));
        let lines = vec![vec!["1".into(), cell.into(), cell.into()], vec!["2".into(), "x".into(), "ü \"z\"".into()]];
        assert_eq!(read(&line), (lines, Ending::Complete), "{line}");
        for size in 1..9 {
            assert_eq!(quick(line.as_bytes().chunks(size)), slow(line.as_bytes()), "{line}");
        }
    }
    // Where every quote is doubled, nothing else is read than before.
    let line = "\"a\\\"\"b\",\"c\\\"\",d\"\n";
    assert_eq!(read(line), (vec![vec!["a\\\"b".into(), "c\\\",d".into()]], Ending::Complete));
}

#[test]
fn text_behind_a_closing_quote_is_refused() {
    for text in ["\"a\"b\n", "\"a\" ,b\n", "\"a\"\rb\n", "x,\"a\"b"] {
        assert_eq!(read(text).1, Ending::Misplaced, "{text:?}");
    }
}

#[test]
fn a_cell_of_fifty_megabytes_is_read_chunk_by_chunk() {
    let mut text = b"x,\"".to_vec();
    let cell: Vec<u8> = b"0123456789\"\n\r,abc".iter().copied().cycle().take(50_000_000).collect();
    for byte in &cell {
        text.extend(std::iter::repeat_n(*byte, 1 + usize::from(*byte == b'"')));
    }
    text.extend(b"\",y\n1,2,3\n");
    let (lines, ending) = quick(text.chunks(16_384));
    assert_eq!(ending, Ending::Complete);
    assert!(lines[0][1] == cell, "the cell differs");
    assert_eq!((lines[0].len(), &lines[1]), (3, &vec![b"1".to_vec(), b"2".to_vec(), b"3".to_vec()]));
}
