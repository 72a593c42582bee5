//! One request: its form fields, and the one body that holds the token.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use zeroize::Zeroizing;

use crate::ctx::Random;
use crate::error::Result;
use crate::hex::hex;
use crate::redcap::policy::CHECKS;
use crate::token::Secret;

/// The form field that holds the token.
const FIELD: &[u8] = b"token=";

/// What stands behind a part of a body that has a file in it.
const END_OF_PART: &[u8] = b"\r\n";

/// The contents whose pages in REDCap's own help know a parameter `action`. There it is always said: sites that
/// grant methods one by one refuse a request that leaves it out.
pub(super) const WITH_ACTION: [&str; 10] = [
    "arm",
    "dag",
    "event",
    "file",
    "fileRepository",
    "record",
    "user",
    "userDagMapping",
    "userRole",
    "userRoleMapping",
];

/// What kind of body answers a request that went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// REDCap's version: digits and dots.
    Version,
    /// JSON.
    Json,
    /// CSV. Anything may be CSV, so it is whatever is neither REDCap's error nor HTML; who reads it checks the
    /// header.
    Csv,
    /// XML.
    Xml,
    /// A text: a name, a number, a link, a list of ids, or nothing at all. What writes is answered so.
    Text,
    /// Any bytes: REDCap gives a file's name in the head of the answer.
    Bytes,
}

impl Expect {
    /// The format that is asked for; what is no table has none.
    fn format(self) -> Option<&'static str> {
        match self {
            Self::Version | Self::Json => Some("json"),
            Self::Csv => Some("csv"),
            Self::Xml => Some("xml"),
            Self::Text | Self::Bytes => None,
        }
    }
}

/// A file that goes along.
#[derive(Clone)]
pub(crate) struct Upload {
    name: String,
    bytes: Bytes,
    /// What stands between the parts of the body: random, so that it is in no file.
    boundary: String,
}

impl Upload {
    /// A file under its name, which has no folder in it.
    ///
    /// # Errors
    /// When the system has no random bytes to give.
    pub(crate) fn new(random: &dyn Random, name: &str, bytes: impl Into<Bytes>) -> Result<Self> {
        let mut boundary = [0_u8; 16];
        random.fill(&mut boundary)?;
        let name = name.chars().map(|c| if c.is_control() || c == '\\' { '_' } else { c }).collect::<String>();
        Ok(Self { name: name.replace('"', "%22"), bytes: bytes.into(), boundary: format!("keycap-{}", hex(&boundary)) })
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({} bytes)", self.bytes.len())
    }
}

/// The value of a parameter, as REDCap wants it written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parameter {
    /// Left out.
    Nothing,
    /// One field.
    Text(String),
    /// `true` or `false`.
    Flag(bool),
    /// One field each: `name[0]`, `name[1]`, … Joined by commas, one wrong name among forms brings every form.
    Texts(Vec<String>),
}

impl From<&str> for Parameter {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<String> for Parameter {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<bool> for Parameter {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}
impl From<Vec<String>> for Parameter {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}
impl From<&[String]> for Parameter {
    fn from(texts: &[String]) -> Self {
        Self::Texts(texts.to_vec())
    }
}
impl<T: Into<Parameter>> From<Option<T>> for Parameter {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nothing, Into::into)
    }
}

/// A request to REDCap, without its token.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    content: Cow<'static, str>,
    action: Option<Cow<'static, str>>,
    parameters: Vec<(Cow<'static, str>, Parameter)>,
    upload: Option<Upload>,
    /// The records that its data are of, where somebody said so.
    about: Vec<String>,
    pub(crate) expect: Expect,
    /// Whether it changes data on the server: then it is never sent twice.
    pub(crate) writes: bool,
}

impl Request {
    /// A request that reads.
    pub(crate) fn read(content: impl Into<Cow<'static, str>>, expect: Expect) -> Self {
        let content = content.into();
        let action = WITH_ACTION.contains(&content.as_ref()).then_some("export");
        let format = expect.format();
        Self::new(content, action, expect, false).with("format", format).with("returnFormat", "json")
    }

    /// A request without parameters.
    pub(crate) fn new(
        content: impl Into<Cow<'static, str>>,
        action: Option<impl Into<Cow<'static, str>>>,
        expect: Expect,
        writes: bool,
    ) -> Self {
        let (content, action) = (content.into(), action.map(Into::into));
        Self { content, action, parameters: Vec::new(), upload: None, about: Vec::new(), expect, writes }
    }

    /// Sends a file along, under the name `file`.
    pub(crate) fn attach(&mut self, upload: Upload) {
        self.upload = Some(upload);
    }

    /// Says which records its data are of, for the audit log.
    #[must_use]
    pub(crate) fn about(mut self, records: Vec<String>) -> Self {
        self.about = records;
        self
    }

    /// The records that it writes or deletes, where that is known: what was said of its data, and what stands in the
    /// parameters that hold ids. Which column of other data has the ids is not guessed: it might be values.
    pub(super) fn records(&self) -> Vec<String> {
        if !self.writes {
            return Vec::new();
        }
        let mut records = self.about.clone();
        for (name, value) in &self.parameters {
            let name = name.split('[').next().unwrap_or_default();
            match value {
                Parameter::Text(text) if matches!(name, "record" | "records" | "new_record_name") => {
                    records.push(text.clone());
                }
                Parameter::Texts(texts) if matches!(name, "record" | "records") => {
                    records.extend(texts.iter().cloned());
                }
                _ => {}
            }
        }
        records
    }

    /// A request that imports data, which are in this format. What answers it is JSON.
    pub(crate) fn import(content: impl Into<Cow<'static, str>>, format: &'static str) -> Self {
        Self::new(content, Some("import"), Expect::Json, true).with("format", format).with("returnFormat", "json")
    }

    /// Adds a parameter.
    #[must_use]
    pub(crate) fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Parameter>) -> Self {
        let value = value.into();
        if value != Parameter::Nothing {
            self.parameters.push((name.into(), value));
        }
        self
    }

    /// The character between the cells of a CSV answer.
    pub(crate) fn delimiter(&self) -> char {
        let given = self.parameters.iter().find(|(name, _)| name == "csvDelimiter").map(|(_, value)| value);
        match given {
            Some(Parameter::Text(text)) if text == "tab" => '\t',
            Some(Parameter::Text(text)) => text.chars().next().unwrap_or(','),
            _ => ',',
        }
    }

    /// Whether it brings data or a file along: the server may work at them for minutes.
    pub(crate) fn brings_data(&self) -> bool {
        self.upload.is_some() || self.parameters.iter().any(|(name, _)| matches!(name.as_ref(), "data" | "odm"))
    }

    /// Everything in it that somebody wrote, each text under the name of its parameter.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let values = self.parameters.iter().flat_map(|(name, value)| {
            let texts = match value {
                Parameter::Nothing | Parameter::Flag(_) => &[],
                Parameter::Text(text) => std::slice::from_ref(text),
                Parameter::Texts(texts) => texts.as_slice(),
            };
            let name = name.as_ref();
            std::iter::once((name, name.as_bytes())).chain(texts.iter().map(move |text| (name, text.as_bytes())))
        });
        let upload = self.upload.iter().flat_map(|upload| [upload.name.as_bytes(), &upload.bytes]);
        std::iter::once(("content", self.content.as_bytes()))
            .chain(self.action.iter().map(|action| ("action", action.as_bytes())))
            .chain(values)
            .chain(upload.map(|bytes| ("file", bytes)))
    }

    /// What the audit log calls it: the content, the action, and the names (never the values) of its parameters.
    pub(crate) fn action(&self) -> String {
        let names = self.parameters.iter().filter_map(|(name, value)| match value {
            Parameter::Nothing => None,
            Parameter::Text(_) | Parameter::Flag(_) => Some(name.to_string()),
            Parameter::Texts(texts) => match texts.len() {
                0 => None,
                1 => Some(format!("{name}[0]")),
                n => Some(format!("{name}[0-{}]", n - 1)),
            },
        });
        let names: Vec<_> = names.chain(self.upload.iter().map(|_| "file".to_owned())).collect();
        let mut action = self.content.to_string();
        if let Some(what) = &self.action {
            action.push('/');
            action.push_str(what);
        }
        if !names.is_empty() {
            action.push('?');
            action.push_str(&names.join("&"));
        }
        action
    }

    /// Whether a check may ask for this: it reads, and no records.
    pub(crate) fn is_check(&self) -> bool {
        !self.writes && matches!(self.action.as_deref(), None | Some("export")) && CHECKS.contains(&&*self.content)
    }

    /// The content type of the body.
    pub(crate) fn content_type(&self) -> String {
        match &self.upload {
            None => "application/x-www-form-urlencoded".to_owned(),
            Some(upload) => format!("multipart/form-data; boundary={}", upload.boundary),
        }
    }

    /// The length of the body behind the token.
    pub(crate) fn length(&self) -> usize {
        self.fields().iter().map(|(name, text)| 2 + encoded_len(name) + encoded_len(text)).sum()
    }

    /// The body: built once, in one buffer of its exact size that wipes itself. Nothing of it is anywhere else: what
    /// is imported can be large.
    pub(crate) fn body(&self, secret: &Secret) -> Zeroizing<Vec<u8>> {
        match &self.upload {
            None => self.encoded(secret),
            Some(upload) => self.in_parts(upload, secret),
        }
    }

    /// The fields behind the token, in their order.
    fn fields(&self) -> Vec<(Cow<'_, str>, &str)> {
        let mut fields = vec![(Cow::Borrowed("content"), self.content.as_ref())];
        fields.extend(self.action.as_deref().map(|action| (Cow::Borrowed("action"), action)));
        for (name, value) in &self.parameters {
            match value {
                Parameter::Nothing => {}
                Parameter::Text(text) => fields.push((Cow::Borrowed(name), text)),
                Parameter::Flag(flag) => fields.push((Cow::Borrowed(name), if *flag { "true" } else { "false" })),
                Parameter::Texts(texts) => fields.extend(
                    texts.iter().enumerate().map(|(n, text)| (Cow::Owned(format!("{name}[{n}]")), text.as_str())),
                ),
            }
        }
        fields
    }

    fn encoded(&self, secret: &Secret) -> Zeroizing<Vec<u8>> {
        let mut body = Zeroizing::new(Vec::with_capacity(FIELD.len() + secret.encoded_len() + self.length()));
        body.extend_from_slice(FIELD);
        secret.write_into(&mut body);
        for (name, text) in self.fields() {
            body.push(b'&');
            body.extend(form_urlencoded::byte_serialize(name.as_bytes()).flat_map(str::bytes));
            body.push(b'=');
            for piece in form_urlencoded::byte_serialize(text.as_bytes()) {
                body.extend_from_slice(piece.as_bytes());
            }
        }
        body
    }

    /// A body of parts, as a file needs it.
    fn in_parts(&self, upload: &Upload, secret: &Secret) -> Zeroizing<Vec<u8>> {
        let boundary = &upload.boundary;
        let head = |name: &str| format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        let token = head("token");
        let fields: Vec<_> = self.fields().into_iter().map(|(name, value)| (head(&name), value)).collect();
        let file = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n",
            upload.name
        );
        let end = format!("--{boundary}--\r\n");
        let ends = (fields.len() + 2) * END_OF_PART.len();
        let fields_len: usize = fields.iter().map(|(head, value)| head.len() + value.len()).sum();
        let size = token.len() + secret.plain_len() + fields_len + file.len() + upload.bytes.len() + ends + end.len();
        let mut body = Zeroizing::new(Vec::with_capacity(size));
        body.extend_from_slice(token.as_bytes());
        secret.write_plain_into(&mut body);
        body.extend_from_slice(END_OF_PART);
        for (head, value) in &fields {
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(value.as_bytes());
            body.extend_from_slice(END_OF_PART);
        }
        body.extend_from_slice(file.as_bytes());
        body.extend_from_slice(&upload.bytes);
        body.extend_from_slice(END_OF_PART);
        body.extend_from_slice(end.as_bytes());
        body
    }
}

fn encoded_len(text: &str) -> usize {
    form_urlencoded::byte_serialize(text.as_bytes()).map(str::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::FormRule;

    fn sealed() -> (String, Secret) {
        let token = "9".repeat(32);
        let (secret, _) = Secret::seal(Zeroizing::new(token.clone().into_bytes()), &FormRule::Redcap);
        (token, secret)
    }

    #[test]
    fn the_body_is_built_in_one_buffer_of_its_exact_size() {
        let (token, secret) = sealed();
        let request = Request::read("project", Expect::Json).with("fields[0]", "a b&c");
        let body = request.body(&secret);
        assert_eq!(body.len(), body.capacity());
        let expected = format!("token={token}&content=project&format=json&returnFormat=json&fields%5B0%5D=a+b%26c");
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
    }

    #[test]
    fn lists_are_indexed_flags_are_words_and_nothing_is_left_out() {
        let (token, secret) = sealed();
        let request = Request::read("record".to_owned(), Expect::Csv)
            .with("fields", vec!["record_id".to_owned(), "a,b".to_owned()])
            .with("exportSurveyFields", true)
            .with("exportBlank", false)
            .with("filterLogic", None::<String>)
            .with("events", Vec::new());
        let body = request.body(&secret);
        assert_eq!(body.len(), body.capacity());
        let expected = format!(
            "token={token}&content=record&action=export&format=csv&returnFormat=json&fields%5B0%5D=record_id\
             &fields%5B1%5D=a%2Cb&exportSurveyFields=true&exportBlank=false"
        );
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
    }

    #[test]
    fn an_import_is_a_write_and_its_data_are_a_field_of_the_same_buffer() {
        let (token, secret) = sealed();
        let request = Request::import("record", "csv").with("data", "id,a\n1,\"x & ü\"\n".to_owned());
        assert!(request.writes);
        let body = request.body(&secret);
        assert_eq!((body.len(), body.capacity()), (request.length() + FIELD.len() + token.len(), body.len()));
        let expected = format!(
            "token={token}&content=record&action=import&format=csv&returnFormat=json\
             &data=id%2Ca%0A1%2C%22x+%26+%C3%BC%22%0A"
        );
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
    }

    #[test]
    fn the_audit_log_gets_names_and_no_values() {
        let request = Request::read("record", Expect::Json).with("records[0]", "17");
        assert_eq!(request.action(), "record/export?format&returnFormat&records[0]");
        let many: Vec<String> = (0..500).map(|n| format!("person {n}")).collect();
        let request = Request::read("log", Expect::Csv).with("records", many).with("none", Vec::new());
        assert_eq!(request.action(), "log?format&returnFormat&records[0-499]");
    }

    #[test]
    fn a_write_knows_the_records_that_are_named_and_a_read_names_none() {
        let delete = Request::new("record", Some("delete"), Expect::Text, true)
            .with("records", vec!["1".to_owned(), "a b".to_owned()])
            .with("records[2]", "3");
        assert_eq!(delete.records(), ["1", "a b", "3"]);
        let rename = Request::new("record", Some("rename"), Expect::Text, true)
            .with("record", "1")
            .with("new_record_name", "2")
            .with("arm", "1");
        assert_eq!(rename.records(), ["1", "2"]);
        let import = Request::import("record", "csv").with("data", "id,a\n7,8\n".to_owned());
        assert!(import.records().is_empty());
        assert_eq!(import.about(vec!["7".to_owned()]).records(), ["7"]);
        assert!(Request::read("record", Expect::Csv).with("records", vec!["1".to_owned()]).records().is_empty());
    }

    #[test]
    fn a_request_without_action_or_parameters_has_neither_in_the_audit_log() {
        let request = Request::new("version", None::<&str>, Expect::Version, false);
        assert_eq!(request.action(), "version");
        let request = Request::new("dag", Some("switch"), Expect::Text, true).with("dag", "north");
        assert_eq!(request.action(), "dag/switch?dag");
    }

    #[test]
    fn a_file_goes_in_parts_with_the_token_as_it_is_in_one_buffer_of_its_exact_size() {
        let token = "abc+/=abcdefghijklmnop";
        let rule = FormRule::parse("22:+/=").unwrap();
        let (secret, _) = Secret::seal(Zeroizing::new(token.as_bytes().to_vec()), &rule);
        let mut request = Request::new("file", Some("import"), Expect::Text, true).with("record", "a&\u{e4}");
        let upload = Upload::new(&crate::ctx::SystemRandom, "a\"b\r\\.pdf", b"\0\xff\r\n".to_vec()).unwrap();
        assert_eq!(format!("{upload:?}"), "Upload(4 bytes)");
        let boundary = upload.boundary.clone();
        request.attach(upload);
        assert_eq!(request.content_type(), format!("multipart/form-data; boundary={boundary}"));
        assert_eq!(request.action(), "file/import?record&file");
        let body = request.body(&secret);
        assert_eq!(body.len(), body.capacity());
        let part = |name: &str, value: &str| {
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let mut expected = [part("token", token), part("content", "file"), part("action", "import")].concat();
        expected += &part("record", "a&\u{e4}");
        let file = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a%22b__.pdf\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        expected += &file;
        let expected = [expected.as_bytes(), b"\0\xff\r\n", format!("\r\n--{boundary}--\r\n").as_bytes()].concat();
        assert_eq!(body.as_slice(), expected);
    }
}
