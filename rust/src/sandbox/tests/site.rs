//! A sandbox in a thread, its administrator's pipe, and a raw HTTP client.

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::net::TcpStream;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::sandbox::{Config, run};

/// A running sandbox. Sample tokens are off: tests adopt random ones.
pub(super) struct Site {
    pub(super) ready: Value,
    pub(super) first_line: String,
    address: String,
    input: Option<PipeWriter>,
    output: BufReader<PipeReader>,
    thread: Option<JoinHandle<crate::Result<()>>>,
    folder: tempfile::TempDir,
}

/// An answer as it came over the wire.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) bytes: Vec<u8>,
}

impl Answer {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    pub(super) fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        serde_json::from_slice(&self.bytes).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Site {
    pub(super) fn start() -> Self {
        Self::with(Config { sample_tokens: false, ..Config::default() })
    }

    pub(super) fn with(config: Config) -> Self {
        let (their_input, input) = std::io::pipe().unwrap();
        let (output, their_output) = std::io::pipe().unwrap();
        let thread = std::thread::spawn(move || run(config, their_input, their_output, std::future::pending()));
        let mut output = BufReader::new(output);
        let (mut first_line, mut ready) = (String::new(), String::new());
        output.read_line(&mut first_line).unwrap();
        output.read_line(&mut ready).unwrap();
        let ready: Value = serde_json::from_str(&ready).unwrap();
        let uri = ready["redcap_uri"].as_str().unwrap();
        let address = uri.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
        let folder = tempfile::tempdir().unwrap();
        Self { ready, first_line, address, input: Some(input), output, thread: Some(thread), folder }
    }

    /// A path in the test's own folder.
    pub(super) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// An administrator's command, answered in whatever way.
    pub(super) fn try_admin(&mut self, command: &Value) -> Value {
        writeln!(self.input.as_ref().unwrap(), "{command}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// An administrator's command that must succeed.
    pub(super) fn admin(&mut self, command: Value) -> Value {
        let answer = self.try_admin(&command);
        assert_eq!(answer["ok"], true, "{command}: {answer}");
        answer
    }

    /// A fault for the next request.
    pub(super) fn fault(&mut self, fault: Value) {
        self.admin(json!({"do": "fault", "fault": fault, "times": 1}));
    }

    /// A random token for a user in a project, by way of a file.
    pub(super) fn token(&mut self, project: &str, user: &str) -> String {
        use ring::rand::SecureRandom;
        let mut bytes = [0; 16];
        ring::rand::SystemRandom::new().fill(&mut bytes).unwrap();
        let token = format!("{:032X}", u128::from_be_bytes(bytes));
        let path = self.path("adopt");
        std::fs::write(&path, &token).unwrap();
        self.admin(json!({"do": "adopt", "project": project, "user": user, "from": path}));
        std::fs::remove_file(path).unwrap();
        token
    }

    /// A POST of form fields to the API.
    pub(super) fn post(&self, fields: &[(&str, &str)]) -> Answer {
        self.exchange(&self.request(fields)).unwrap()
    }

    /// The bytes of that POST.
    pub(super) fn request(&self, fields: &[(&str, &str)]) -> Vec<u8> {
        let body: Vec<_> = fields.iter().map(|(name, value)| format!("{}={}", percent(name), percent(value))).collect();
        let body = body.join("&");
        let head = self.head("POST", "/redcap/api/", "application/x-www-form-urlencoded", body.len());
        format!("{head}{body}").into_bytes()
    }

    /// A POST of form fields and one file, as multipart.
    pub(super) fn upload(&self, fields: &[(&str, &str)], name: &str, bytes: &[u8]) -> Answer {
        let mut body = Vec::new();
        for (field, value) in fields {
            let head = format!("--=_b\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n");
            body.extend(head.into_bytes());
        }
        let head = format!("--=_b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n");
        body.extend([head.as_bytes(), bytes, b"\r\n--=_b--\r\n"].concat());
        let head = self.head("POST", "/redcap/api/", "multipart/form-data; boundary=\"=_b\"", body.len());
        self.exchange(&[head.as_bytes(), &body].concat()).unwrap()
    }

    pub(super) fn head(&self, method: &str, path: &str, content_type: &str, length: usize) -> String {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n",
            self.address
        )
    }

    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// Sends bytes, reads to the end of the connection and takes the answer apart, lengths unchecked.
    pub(super) fn exchange(&self, request: &[u8]) -> std::io::Result<Answer> {
        let mut stream = self.connect();
        stream.write_all(request)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        let cut = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("no head");
        let head = String::from_utf8(bytes[..cut].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Ok(Answer { status, head, bytes: bytes.split_off(cut + 4) })
    }

    /// Closes the administrator's pipe and waits for the end.
    pub(super) fn close(mut self) -> crate::Result<()> {
        drop(self.input.take());
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.input.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(std::thread::panicking() || ended.unwrap().is_ok());
        }
    }
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// A field of each object of a list.
pub(super) fn field<'a>(list: &'a Value, name: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|item| item[name].as_str().unwrap()).collect()
}
