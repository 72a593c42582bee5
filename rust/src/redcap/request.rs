//! One request: its form fields, and the one body that holds the token.

use std::borrow::Cow;

use zeroize::Zeroizing;

use crate::token::Secret;

/// The form field that holds the token.
const FIELD: &[u8] = b"token=";

/// The contents whose pages in REDCap's own help know a parameter `action`. There it is always said: sites that
/// grant methods one by one refuse a request that leaves it out.
const WITH_ACTION: [&str; 10] = [
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
}

impl Expect {
    fn format(self) -> &'static str {
        match self {
            Self::Version | Self::Json => "json",
            Self::Csv => "csv",
        }
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
    parameters: Vec<(Cow<'static, str>, Parameter)>,
    pub(crate) expect: Expect,
    /// Whether it changes data on the server: then it is never sent twice.
    pub(crate) writes: bool,
}

impl Request {
    /// A request that reads.
    pub(crate) fn read(content: impl Into<Cow<'static, str>>, expect: Expect) -> Self {
        let content = content.into();
        let action = WITH_ACTION.contains(&content.as_ref()).then_some("export");
        Self { content, parameters: Vec::new(), expect, writes: false }
            .with("action", action)
            .with("format", expect.format())
            .with("returnFormat", "json")
    }

    /// A request that imports data, as CSV. What answers it is JSON.
    pub(crate) fn import(content: impl Into<Cow<'static, str>>) -> Self {
        Self { content: content.into(), parameters: Vec::new(), expect: Expect::Json, writes: true }
            .with("action", "import")
            .with("format", "csv")
            .with("returnFormat", "json")
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

    /// What the audit log calls it: the content, and the names (never the values) of its parameters.
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
        format!("{}?{}", self.content, names.collect::<Vec<_>>().join("&"))
    }

    /// The fields of the form behind the token, in their order.
    fn fields<'a>(&'a self, mut each: impl FnMut(&str, &'a str)) {
        each("content", &self.content);
        for (name, value) in &self.parameters {
            match value {
                Parameter::Nothing => {}
                Parameter::Text(text) => each(name, text),
                Parameter::Flag(flag) => each(name, if *flag { "true" } else { "false" }),
                Parameter::Texts(texts) => {
                    for (n, text) in texts.iter().enumerate() {
                        each(&format!("{name}[{n}]"), text);
                    }
                }
            }
        }
    }

    /// The length of the body behind the token.
    pub(crate) fn length(&self) -> usize {
        let mut length = 0;
        self.fields(|name, text| length += 2 + encoded_len(name) + encoded_len(text));
        length
    }

    /// The body: built once, in one buffer of its exact size that wipes itself. Nothing of it is anywhere else: what
    /// is imported can be large.
    pub(crate) fn body(&self, secret: &Secret) -> Zeroizing<Vec<u8>> {
        let mut body = Zeroizing::new(Vec::with_capacity(FIELD.len() + secret.encoded_len() + self.length()));
        body.extend_from_slice(FIELD);
        secret.write_into(&mut body);
        self.fields(|name, text| {
            body.push(b'&');
            body.extend(form_urlencoded::byte_serialize(name.as_bytes()).flat_map(str::bytes));
            body.push(b'=');
            for piece in form_urlencoded::byte_serialize(text.as_bytes()) {
                body.extend_from_slice(piece.as_bytes());
            }
        });
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
        let request = Request::import("record").with("data", "id,a\n1,\"x & ü\"\n".to_owned());
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
        assert_eq!(request.action(), "record?action&format&returnFormat&records[0]");
        let many: Vec<String> = (0..500).map(|n| format!("person {n}")).collect();
        let request = Request::read("log", Expect::Csv).with("records", many).with("none", Vec::new());
        assert_eq!(request.action(), "log?format&returnFormat&records[0-499]");
    }
}
