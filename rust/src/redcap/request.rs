//! One request: its form fields, and the one body that holds the token.

use zeroize::Zeroizing;

use crate::token::Secret;

/// The form field that holds the token.
const FIELD: &[u8] = b"token=";

/// What kind of body answers a request that went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// REDCap's version: digits and dots.
    Version,
    /// JSON.
    Json,
}

/// A request to REDCap, without its token.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    content: &'static str,
    parameters: Vec<(String, String)>,
    pub(crate) expect: Expect,
    /// Whether it changes data on the server: then it is never sent twice.
    pub(crate) writes: bool,
}

impl Request {
    /// A request that reads.
    pub(crate) fn read(content: &'static str, expect: Expect) -> Self {
        Self { content, parameters: Vec::new(), expect, writes: false }
            .with("format", "json")
            .with("returnFormat", "json")
    }

    /// Adds a form field.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What the audit log calls it: the content, and the names (never the values) of its parameters.
    pub(crate) fn action(&self) -> String {
        let names: Vec<&str> = self.parameters.iter().map(|(name, _)| name.as_str()).collect();
        format!("{}?{}", self.content, names.join("&"))
    }

    /// The body: built once, in one buffer of its exact size that wipes itself.
    pub(crate) fn body(&self, secret: &Secret) -> Zeroizing<Vec<u8>> {
        let mut rest = form_urlencoded::Serializer::new(String::new());
        rest.append_pair("content", self.content);
        for (name, value) in &self.parameters {
            rest.append_pair(name, value);
        }
        let rest = rest.finish();
        let mut body = Zeroizing::new(Vec::with_capacity(FIELD.len() + secret.encoded_len() + 1 + rest.len()));
        body.extend_from_slice(FIELD);
        secret.write_into(&mut body);
        body.push(b'&');
        body.extend_from_slice(rest.as_bytes());
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::FormRule;

    #[test]
    fn the_body_is_built_in_one_buffer_of_its_exact_size() {
        let token = "9".repeat(32);
        let (secret, _) = Secret::seal(Zeroizing::new(token.clone().into_bytes()), &FormRule::Redcap);
        let request = Request::read("project", Expect::Json).with("fields[0]", "a b&c");
        let body = request.body(&secret);
        assert_eq!(body.len(), body.capacity());
        let expected = format!("token={token}&content=project&format=json&returnFormat=json&fields%5B0%5D=a+b%26c");
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
    }

    #[test]
    fn the_audit_log_gets_names_and_no_values() {
        let request = Request::read("record", Expect::Json).with("records[0]", "17");
        assert_eq!(request.action(), "record?format&returnFormat&records[0]");
    }
}
