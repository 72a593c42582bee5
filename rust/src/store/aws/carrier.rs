//! What the credential chain sends, reads and starts: by our own client, our own way of reading files and our own way of
//! running programs, and it is remembered what went wrong.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqsign_core::{CommandExecute, CommandOutput, Context, Env, FileRead, HttpSend};
use url::Url;
use zeroize::Zeroizing;

use super::files::{self, secret_file};
use super::trouble::error;
use super::{Entrance, NAME};
use crate::error::Error;
use crate::file::Eyes;
use crate::net::{Client, Outbound, ServerUrl, WipedBody};
use crate::store::blocking::on_own_thread;
use crate::store::command::{End, Job, Surroundings, run};

/// What an answer with credentials has at most.
const MOST: usize = 64 << 10;

/// How long what is on the machine itself, or one hop away, may take.
const NEAR: Duration = Duration::from_secs(2);

/// How long a program may take that gives credentials, and its end.
const PROGRAM: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(5);

/// What went wrong last.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// The address is none that may be asked.
    NotAllowed,
    /// It was not reached.
    Unreached(Error),
    /// It answered with a status that is no success.
    Status(u16),
    /// A file cannot be read.
    File(Error),
    /// A file is not there.
    NoFile(PathBuf),
    /// The program did not give credentials: how it ended.
    Program(String),
}

/// Carries for the chain, and remembers.
#[derive(Clone)]
pub(super) struct Carrier {
    client: Client,
    /// Where STS is, if not at its own address.
    sts: Option<ServerUrl>,
    home: Option<PathBuf>,
    surroundings: Surroundings,
    /// The line of a program that gives credentials.
    line: Option<String>,
    seen: Arc<Mutex<Option<Seen>>>,
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Carrier")
    }
}

impl Carrier {
    pub(super) fn new(client: &Client, sts: Option<ServerUrl>, entrance: &Entrance) -> Self {
        Self {
            client: client.clone(),
            sts,
            home: entrance.home.clone(),
            surroundings: entrance.surroundings.clone(),
            line: None,
            seen: Arc::default(),
        }
    }

    /// Runs this line where a program is asked for.
    pub(super) fn running(&self, line: &str) -> Self {
        Self { line: Some(line.to_owned()), ..self.clone() }
    }

    /// As the chain takes it. It knows no variable: what it needs of the environment it is told.
    pub(super) fn context(&self) -> Context {
        let carrier = self.clone();
        Context::new()
            .with_http_send(carrier.clone())
            .with_file_read(carrier.clone())
            .with_command_execute(carrier.clone())
            .with_env(carrier)
    }

    /// What went wrong last, once.
    pub(super) fn seen(&self) -> Option<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn remember<T>(&self, seen: Seen) -> reqsign_core::Result<T> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        // Its words go nowhere.
        Err(reqsign_core::Error::unexpected("not carried"))
    }

    async fn send(&self, request: http::Request<Bytes>) -> reqsign_core::Result<http::Response<Bytes>> {
        let (parts, body) = request.into_parts();
        let Ok(mut url) = Url::parse(&parts.uri.to_string()) else { return self.remember(Seen::NotAllowed) };
        if let Some(sts) = &self.sts
            && url.host_str().is_some_and(|host| host.starts_with("sts."))
        {
            let (path, query) = (url.path().to_owned(), url.query().map(str::to_owned));
            url = sts.url().clone();
            url.set_path(&path);
            url.set_query(query.as_deref());
        }
        let Some(server) = server_of(&url) else { return self.remember(Seen::NotAllowed) };
        let near = !server.origin().is_https();
        let body = (!body.is_empty()).then(|| WipedBody::new(Zeroizing::new(body.to_vec())));
        let outbound = Outbound { method: parts.method, url, headers: parts.headers, body };
        let exchange = async {
            let mut answer = self.client.send(&server, outbound).await.map_err(|fault| fault.error)?;
            let mut body = Zeroizing::new(Vec::with_capacity(MOST));
            while let Some(chunk) = answer.chunk().await.map_err(|fault| fault.error)? {
                if body.len() + chunk.len() > MOST {
                    return Err(error("output", "the answer is longer than any with credentials"));
                }
                body.extend_from_slice(&chunk);
            }
            Ok((answer.status, body))
        };
        let exchanged = if near {
            let late = || Err(error("no_answer", format!("nothing answers within {} s", NEAR.as_secs())));
            tokio::time::timeout(NEAR, exchange).await.unwrap_or_else(|_| late())
        } else {
            exchange.await
        };
        match exchanged {
            Ok((status, body)) => {
                if status != 200 {
                    let _ = self.remember::<()>(Seen::Status(status));
                }
                let response = http::Response::builder().status(status).body(Bytes::from_owner(WipedBody::new(body)));
                response.map_err(|_| reqsign_core::Error::unexpected("no status"))
            }
            Err(error) => self.remember(Seen::Unreached(error)),
        }
    }

    async fn read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        let path = files::expanded(path, self.home.as_deref());
        // A token that a platform mounts may be readable for all; whom it lets read is its affair.
        let own = self.home.as_ref().is_some_and(|home| path.starts_with(home.join(".aws")));
        match secret_file(path.clone(), if own { Eyes::Few } else { Eyes::Any }).await {
            Ok(Some(mut bytes)) => Ok(std::mem::take(&mut *bytes)),
            Ok(None) => self.remember(Seen::NoFile(path)),
            Err(error) => self.remember(Seen::File(error)),
        }
    }

    async fn execute(&self) -> reqsign_core::Result<CommandOutput> {
        let words = self.line.as_deref().and_then(words).unwrap_or_default();
        let Some((program, arguments)) = words.split_first() else {
            return self.remember(Seen::Program("is no line of a program and its arguments".to_owned()));
        };
        let Some(program) = self.surroundings.find(program) else {
            return self.remember(Seen::Program("is not on this machine".to_owned()));
        };
        let arguments = arguments.to_vec();
        let surroundings = self.surroundings.clone();
        let job = Job { program, arguments, surroundings, input: None, limit: PROGRAM, most: MOST };
        let cancelled = Arc::new(AtomicBool::new(false));
        let cancel = Cancel(Arc::clone(&cancelled));
        let end = on_own_thread(NAME, PROGRAM + END, move || run(job, &cancelled)).await;
        drop(cancel);
        let how = match end {
            Ok(Some(End::Exited(0, mut stdout))) => {
                return Ok(CommandOutput { status: 0, stdout: std::mem::take(&mut *stdout), stderr: Vec::new() });
            }
            Ok(Some(End::Exited(status, _))) => format!("ended with status {status}"),
            Ok(Some(End::Signalled(signal))) => format!("was ended by signal {signal}"),
            Ok(Some(End::TooMuch)) => "printed more than any credentials have".to_owned(),
            Ok(Some(End::NotStarted(why))) => format!("could not be started ({why})"),
            Ok(Some(End::TooLate) | None) => format!("did not end within {} s", PROGRAM.as_secs()),
            Err(error) => error.message,
        };
        self.remember(Seen::Program(how))
    }
}

/// Sets its flag when it is dropped: a look-up that nobody waits for ends its program too.
struct Cancel(Arc<AtomicBool>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

/// The server of an address: https, this machine by number, or one of the addresses at which clouds give credentials.
fn server_of(url: &Url) -> Option<ServerUrl> {
    let mut root = url.clone();
    root.set_path("/");
    root.set_query(None);
    ServerUrl::named(root.as_str(), "address").ok().or_else(|| ServerUrl::of_the_cloud(&root))
}

/// A line as `credential_process` has it: words with blanks between them, quoted where a blank belongs to one. There is
/// no shell. `None` where a quote stays open.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match (c, quote) {
            (_, Some(open)) if c == open => quote = None,
            ('\\', Some('"')) => match rest.next()? {
                escaped @ ('"' | '\\') => word.get_or_insert_default().push(escaped),
                other => word.get_or_insert_default().extend(['\\', other]),
            },
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (' ' | '\t', None) => words.extend(word.take()),
            // On Windows it stands in paths.
            ('\\', None) if cfg!(unix) => word.get_or_insert_default().push(rest.next()?),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

impl HttpSend for Carrier {
    async fn http_send(&self, request: http::Request<Bytes>) -> reqsign_core::Result<http::Response<Bytes>> {
        self.send(request).await
    }
}

impl FileRead for Carrier {
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        self.read(path).await
    }
}

impl CommandExecute for Carrier {
    async fn command_execute<'a>(&'a self, _: &'a str, _: &'a [&'a str]) -> reqsign_core::Result<CommandOutput> {
        self.execute().await
    }
}

impl Env for Carrier {
    fn var(&self, _: &str) -> Option<String> {
        None
    }

    fn vars(&self) -> std::collections::HashMap<String, String> {
        std::collections::HashMap::new()
    }

    fn home_dir(&self) -> Option<PathBuf> {
        self.home.clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_line_is_split_into_words_without_a_shell() {
        let words = |line: &str| words(line);
        assert_eq!(words("/a/b c  --d").unwrap(), ["/a/b", "c", "--d"]);
        assert_eq!(words("\"/a b/c\" 'd e' f\"g\"").unwrap(), ["/a b/c", "d e", "fg"]);
        assert_eq!(words("a \"\" \"x\\\"y\"").unwrap(), ["a", "", "x\"y"]);
        assert_eq!(words("a $(id) `id` ; id > x").unwrap(), ["a", "$(id)", "`id`", ";", "id", ">", "x"]);
        assert!(words("a \"b").is_none() && words("").unwrap().is_empty());
    }

    #[test]
    fn plain_http_goes_to_this_machine_and_to_the_addresses_of_clouds_only() {
        let server = |text: &str| server_of(&Url::parse(text).unwrap()).map(|server| server.origin().to_string());
        for taken in [
            "https://sts.amazonaws.com/?a=b",
            "http://127.0.0.1:8080/x",
            "http://169.254.169.254/latest/api/token",
            "http://169.254.170.2/v2/credentials/x",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::254]/latest",
            "http://[fd00:ec2::23]/v1/credentials",
        ] {
            assert!(server(taken).is_some(), "{taken}");
        }
        for refused in [
            "http://sts.amazonaws.com/",
            "http://169.254.169.253/",
            "http://169.254.169.254:8080/",
            "http://user@169.254.169.254/",
            "http://10.0.0.1/",
            "http://metadata.example.org/",
            "ftp://127.0.0.1/",
        ] {
            assert!(server(refused).is_none(), "{refused}");
        }
    }
}
