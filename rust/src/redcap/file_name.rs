//! The name that a server gives a file, and what of it can be a file's name here.

/// The longest name, in bytes: file systems take 255, and a suffix comes to it while the file is being written.
const LONGEST: usize = 200;

/// The longest ending that stays when a name is cut.
const LONGEST_ENDING: usize = 20;

/// Names of devices on Windows, with any ending.
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];

/// The name of a file in the head of an answer. REDCap has it in `Content-Type`, others in `Content-Disposition`.
pub(super) fn offered(disposition: Option<&str>, content_type: Option<&str>) -> Option<String> {
    let disposition = disposition.unwrap_or_default();
    let extended = parameter(disposition, "filename*").map(|text| decoded(text.splitn(3, '\'').last().unwrap_or("")));
    extended
        .or_else(|| parameter(disposition, "filename"))
        .or_else(|| parameter(content_type.unwrap_or_default(), "name"))
        .filter(|name| !name.is_empty())
}

/// The value of a header's parameter, without its quotes.
fn parameter(header: &str, wanted: &str) -> Option<String> {
    let (mut part, mut quoted, mut first) = (String::new(), false, true);
    // The semicolon at the end makes the last parameter like the others.
    for c in header.chars().chain([';']) {
        match c {
            '"' => quoted = !quoted,
            ';' if !quoted => {
                if !first
                    && let Some((name, value)) = part.split_once('=')
                    && name.trim().eq_ignore_ascii_case(wanted)
                {
                    return Some(value.trim().to_owned());
                }
                first = false;
                part.clear();
            }
            c => part.push(c),
        }
    }
    // A quote that never closes: what it began is the name.
    let (name, value) = part.split_once('=')?;
    name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim_end_matches(';').trim().to_owned())
}

/// Percent-encoding undone.
fn decoded(text: &str) -> String {
    // A plus stands for itself here.
    let text = format!("x={}", text.replace('+', "%2B").replace('&', "%26"));
    form_urlencoded::parse(text.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// What of a server's name can be the name of a file on every system: no folders, no characters that steer or hide,
/// none that a shell or Windows takes for something else, no name of a device, and not too long. `None` where nothing
/// is left.
pub(crate) fn safe(name: &str) -> Option<String> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().map(|c| if is_harmless(c) { c } else { '_' }).collect();
    // A leading dot hides a file; Windows drops dots and blanks at the end, and so makes one name of two.
    let name = name.trim_start_matches(|c: char| c == '.' || c.is_whitespace());
    let name = shortened(name);
    let name = name.trim_end_matches(|c: char| c == '.' || c.is_whitespace());
    if name.is_empty() || name.chars().all(|c| c == '_') {
        return None;
    }
    // A dash begins an option, a tilde somebody's home.
    if name.starts_with(['-', '~']) || is_device(name) { Some(format!("_{name}")) } else { Some(name.to_owned()) }
}

fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !"<>:\"|?*/\\$`\u{fffd}".contains(c)
        // Characters that hide or turn text.
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{ad}')
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    let numbered = ["COM", "LPT"].iter().any(|device| {
        let rest = stem.strip_prefix(device).unwrap_or_default();
        rest.chars().count() == 1 && rest.chars().all(|c| c.is_ascii_digit() || "¹²³".contains(c))
    });
    numbered || DEVICES.contains(&stem.as_str())
}

/// A name of at most [`LONGEST`] bytes, with its ending.
fn shortened(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let ending = name.rfind('.').map_or("", |at| &name[at..]);
    let ending = if ending.len() <= LONGEST_ENDING { ending } else { "" };
    let mut end = LONGEST - ending.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{ending}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_stands_in_either_header_quoted_or_not() {
        for (disposition, content_type, name) in [
            ("", "application/pdf; name=\"a b.pdf\"", "a b.pdf"),
            ("", "text/plain; charset=utf-8; NAME=a.txt", "a.txt"),
            ("", "text/plain; name=\"a; b=c.txt\"", "a; b=c.txt"),
            ("", "text/plain; name=\"never closed.txt", "never closed.txt"),
            ("attachment; filename=\"x.pdf\"", "application/pdf; name=\"y.pdf\"", "x.pdf"),
            ("attachment; filename=x; filename*=UTF-8''Gr%C3%B6%C3%9Fe+1&2.txt", "", "Größe+1&2.txt"),
        ] {
            assert_eq!(
                offered(Some(disposition), Some(content_type)).as_deref(),
                Some(name),
                "{disposition} {content_type}"
            );
        }
        for (disposition, content_type) in [
            ("attachment", "text/plain"),
            ("", "name=x"),
            ("", "text/html; charset=utf-8; filename=x"),
            ("attachment; filename=\"\"", ""),
        ] {
            assert_eq!(offered(Some(disposition), Some(content_type)), None, "{disposition} {content_type}");
        }
        assert_eq!(offered(None, None), None);
    }

    #[test]
    fn what_a_server_writes_stays_in_the_folder_and_is_an_ordinary_name_everywhere() {
        for (name, safe_name) in [
            ("letter.pdf", "letter.pdf"),
            ("Größe und Gewicht.txt", "Größe und Gewicht.txt"),
            ("../../etc/passwd", "passwd"),
            ("..\\..\\evil.exe", "evil.exe"),
            ("/etc/cron.d/job", "job"),
            ("C:\\x\\y.txt", "y.txt"),
            ("C:y.txt", "C_y.txt"),
            (".bashrc", "bashrc"),
            (". . .profile", "profile"),
            ("a.txt:stream", "a.txt_stream"),
            ("a\0b\nc\x1b[31m.txt", "a_b_c_[31m.txt"),
            ("fdp\u{202e}cod.exe", "fdp_cod.exe"),
            ("x\u{fffd}.txt", "x_.txt"),
            ("$(rm x)`y`.txt", "_(rm x)_y_.txt"),
            ("a. . ", "a"),
            ("CON", "_CON"),
            ("con.txt", "_con.txt"),
            ("nul .tar.gz", "_nul .tar.gz"),
            ("Com1", "_Com1"),
            ("lpt¹.txt", "_lpt¹.txt"),
            ("COM10", "COM10"),
            ("console", "console"),
            ("-rf", "_-rf"),
            ("~root", "_~root"),
        ] {
            assert_eq!(safe(name).as_deref(), Some(safe_name), "{name}");
        }
        for nothing in ["", ".", "..", "...", "a/", "a\\", " ", "\u{1}\u{2}", "??", "/"] {
            assert_eq!(safe(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_long_name_is_cut_and_keeps_its_ending() {
        let name = safe(&format!("{}.pdf", "ä".repeat(300))).unwrap();
        assert!(name.len() <= 200 && name.ends_with("ä.pdf"));
        assert_eq!(safe(&format!("a.{}", "b".repeat(500))).unwrap().len(), 200);
    }

    proptest! {
        #[test]
        fn no_name_leaves_the_folder(name in ".{0,400}") {
            if let Some(name) = safe(&name) {
                prop_assert!(!name.contains(['/', '\\', ':', '\0', '\n']) && !name.starts_with('.'));
                prop_assert!(name.len() <= LONGEST + 1 && !name.is_empty());
                let path = std::path::Path::new(&name);
                prop_assert_eq!(path.components().count(), 1);
                prop_assert_eq!(path.file_name().and_then(|n| n.to_str()), Some(name.as_str()));
            }
        }
    }
}
