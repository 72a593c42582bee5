//! Reading a request body, as PHP does it: urlencoded or multipart, arrays by square brackets.

/// What a request carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Post {
    /// The fields in order, names as they were sent (`fields[0]`).
    fields: Vec<(String, String)>,
    files: Vec<Upload>,
}

/// A file in a multipart request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Upload {
    /// The name of the form's field.
    field: String,
    /// The file's own name, without any folder, as PHP has it.
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

impl Post {
    /// Reads a body by its content type. A body of another type has no fields, as in PHP.
    pub(super) fn read(content_type: &str, body: &[u8]) -> Self {
        let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
        match kind.trim().to_ascii_lowercase().as_str() {
            "application/x-www-form-urlencoded" => Self { fields: urlencoded(body), files: Vec::new() },
            "multipart/form-data" => boundary(parameters).map(|b| multipart(&b, body)).unwrap_or_default(),
            _ => Self::default(),
        }
    }

    /// A field's value; the last one counts. `None` when it was not sent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The file in a field.
    pub(super) fn file(&self, field: &str) -> Option<&Upload> {
        self.files.iter().rev().find(|file| file.field == field)
    }

    /// A field's value, blank when it was not sent.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Whether a field says `true` (REDCap takes `1` as well).
    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.text(name).to_ascii_lowercase().as_str(), "true" | "1")
    }

    /// A list: `name[0]=a&name[1]=b`, `name[]=a&name[]=b`, or joined by commas in one field.
    pub(super) fn list(&self, name: &str) -> List {
        let indexed =
            |key: &str| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('[') && rest.ends_with(']'));
        let items: Vec<_> =
            self.fields.iter().filter(|(key, _)| indexed(key)).map(|(_, value)| value.clone()).collect();
        if items.is_empty() {
            let items = self.text(name).split(',').map(|item| item.trim().to_owned());
            return List { items: items.filter(|item| !item.is_empty()).collect(), joined: true };
        }
        List { items: items.into_iter().filter(|item| !item.is_empty()).collect(), joined: false }
    }
}

/// A list parameter.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct List {
    pub(super) items: Vec<String>,
    /// It came as one field with commas (or not at all).
    pub(super) joined: bool,
}

impl List {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn has(&self, item: &str) -> bool {
        self.items.iter().any(|one| one == item)
    }
}

fn urlencoded(body: &[u8]) -> Vec<(String, String)> {
    body.split(|b| *b == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let cut = pair.iter().position(|b| *b == b'=');
            let (name, value) = cut.map_or((pair, &[][..]), |cut| (&pair[..cut], &pair[cut + 1..]));
            (percent_decoded(name), percent_decoded(value))
        })
        .collect()
}

fn percent_decoded(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'+' => out.push(b' '),
            b'%' => match (tail.first().copied().and_then(hex), tail.get(1).copied().and_then(hex)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = &tail[2..];
                }
                _ => out.push(b'%'),
            },
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// The boundary among a content type's parameters.
fn boundary(parameters: &str) -> Option<Vec<u8>> {
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && !value.is_empty()).then(|| value.as_bytes().to_vec())
    })
}

/// The fields and files of a multipart body. An unfinished part is dropped.
fn multipart(boundary: &[u8], body: &[u8]) -> Post {
    let mut post = Post::default();
    let opening = [b"--", boundary].concat();
    let between = [b"\r\n--", boundary].concat();
    let Some(start) = find(body, &opening) else { return post };
    let mut rest = &body[start + opening.len()..];
    // Behind a boundary: `--` ends the body, a line break begins a part.
    while !rest.starts_with(b"--") {
        let Some(line) = find(rest, b"\r\n") else { break };
        rest = &rest[line + 2..];
        let Some(head) = find(rest, b"\r\n\r\n") else { break };
        let Some(length) = find(&rest[head + 4..], &between) else { break };
        let value = &rest[head + 4..head + 4 + length];
        match names(&String::from_utf8_lossy(&rest[..head])) {
            (Some(field), Some(name)) => post.files.push(Upload { field, name, bytes: value.to_vec() }),
            (Some(name), None) => post.fields.push((name, String::from_utf8_lossy(value).into_owned())),
            (None, _) => {}
        }
        rest = &rest[head + 4 + length + between.len()..];
    }
    post
}

/// The names in a part's `Content-Disposition`: the field's and, for a file, the file's.
fn names(head: &str) -> (Option<String>, Option<String>) {
    let (mut field, mut file) = (None, None);
    let mut lines = head.split("\r\n");
    let Some(line) = lines.find(|line| line.to_ascii_lowercase().starts_with("content-disposition:")) else {
        return (field, file);
    };
    for (key, value) in parameters(line) {
        match key.as_str() {
            "name" => field = Some(value.replace("%22", "\"")),
            "filename" => file = Some(without_folder(&value.replace("%22", "\"")).to_owned()),
            // The extended form: charset, language, percent-encoded text. It wins over the plain one.
            "filename*" => {
                let text = value.splitn(3, '\'').last().unwrap_or_default();
                // A plus stands for itself here.
                file = Some(without_folder(&percent_decoded(text.replace('+', "%2B").as_bytes())).to_owned());
            }
            _ => {}
        }
    }
    (field, file)
}

/// The parameters of a header: names in lower case, values without their quotes.
fn parameters(line: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let (mut part, mut quoted) = (String::new(), false);
    // The semicolon at the end makes the last parameter like the others.
    for c in line.chars().chain([';']) {
        match c {
            '"' => quoted = !quoted,
            ';' if !quoted => {
                if let Some((key, value)) = part.split_once('=') {
                    found.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
                }
                part.clear();
            }
            c => part.push(c),
        }
    }
    found
}

fn without_folder(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or_default()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(body: &str) -> Post {
        Post::read("application/x-www-form-urlencoded; charset=utf-8", body.as_bytes())
    }

    #[test]
    fn urlencoded_bodies_are_decoded() {
        let post = encoded("a=1+2%2B3&b=%C3%A4&c&d=x=y&a=last&e=100%&f=%zz&&");
        assert_eq!(post.get("a"), Some("last"));
        assert_eq!(post.get("b"), Some("ä"));
        assert_eq!(post.get("c"), Some(""));
        assert_eq!(post.get("d"), Some("x=y"));
        assert_eq!(post.get("e"), Some("100%"));
        assert_eq!(post.get("f"), Some("%zz"));
        assert_eq!(post.get("g"), None);
        assert_eq!(encoded("x=1+2%2B3").get("x"), Some("1 2+3"));
    }

    #[test]
    fn lists_come_indexed_bracketed_or_joined_by_commas() {
        let items = |body: &str| encoded(body).list("fields").items;
        assert_eq!(items("fields[0]=a&fields[1]=b"), ["a", "b"]);
        assert_eq!(items("fields%5B%5D=a&fields%5B%5D=b"), ["a", "b"]);
        assert_eq!(items("fields=a, b,,c"), ["a", "b", "c"]);
        assert!(items("fields=&fieldsx[0]=a").is_empty());
        assert!(encoded("fields=a,b").list("fields").joined);
        assert!(!encoded("fields[0]=a,b").list("fields").joined);
    }

    #[test]
    fn multipart_bodies_have_fields_and_files() {
        let body = "preamble\r\n--XyZ\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nABC\r\n--XyZ\r\n\
                    content-disposition: form-data; name=\"fields[0]\"\r\nContent-Type: text/plain\r\n\r\nä\r\nb--XyZ\r\n\
                    --XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a; b/ü.txt\"\r\n\r\nby\0tes\r\n\
                    --XyZ\r\nContent-Disposition: form-data; name=\"other\"; filename=\"x\"; \
                    filename*=UTF-8''Gr%C3%B6%C3%9Fe+1.txt\r\n\r\n\r\n--XyZ--\r\n";
        let post = Post::read("multipart/form-data; boundary=\"XyZ\"", body.as_bytes());
        assert_eq!(post.get("token"), Some("ABC"));
        assert_eq!(post.list("fields").items, ["ä\r\nb--XyZ"]);
        assert_eq!(post.get("file"), None);
        let file = post.file("file").map(|file| (file.name.as_str(), file.bytes.as_slice()));
        assert_eq!(file, Some(("ü.txt", &b"by\0tes"[..])));
        assert_eq!(post.file("other").map(|file| file.name.as_str()), Some("Größe+1.txt"));
        assert_eq!(post.file("token"), None);
    }

    #[test]
    fn broken_and_foreign_bodies_have_no_fields() {
        for (kind, body) in [
            ("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1"),
            ("multipart/form-data; boundary=b", "--b"),
            ("multipart/form-data", "--b\r\n"),
            ("application/json", "{\"token\":1}"),
            ("", "a=1"),
        ] {
            assert_eq!(Post::read(kind, body.as_bytes()), Post::default(), "{kind}");
        }
    }
}
