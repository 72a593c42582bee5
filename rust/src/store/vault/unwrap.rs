//! Exchanging a wrapped secret id, which works once, for the secret id in a file, which works as long as the vault says.
//!
//! R may be ended at any moment of it, and the wrapping token is spent with the request. So a trace beside the file says
//! which wrapping token is being exchanged (by its hash, which gives nothing away) and where the secret id will be written.
//! What was written is taken up by whoever comes next. What was given and never written is lost: that cannot be mended, a
//! vault gives it once; but then it was us, and the error says so, since without the trace it would look like a theft.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ring::digest::{SHA256, digest};

use super::answer::{self, Said};
use super::api::Api;
use super::login::{CAP, of_store, on_files, secret_file};
use super::trouble::{self, error};
use super::{Raw, json};
use crate::error::{Error, Kind, Result};
use crate::file::{Eyes, Readers, SideLock, Source, Successor, read_small, replace};
use crate::hex::hex;
use crate::net::ServerUrl;
use crate::project::Login;
use crate::store::step::step;

/// How long another process may take to unwrap the same secret id.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a trace has at most.
const MOST: u64 = 8 << 10;

/// What stands in a trace in place of the file that is written into, once there is none.
const NOWHERE: &str = "-";

/// An exchange that is about to be made.
struct Exchange {
    lock: SideLock,
    token: Raw,
    successor: Successor,
    trace: Trace,
    /// Whether an earlier one of this wrapping token began here and did not end.
    broke_off: bool,
}

/// Whoever is first makes the exchange; the others wait, and find the file.
pub(super) async fn unwrap(api: &Api<'_>, wrapped: &Path, into: &Path) -> Result<()> {
    let (from, to) = (wrapped.to_owned(), into.to_owned());
    let Some(exchange) = on_files(move || begin(&from, &to)).await? else { return Ok(()) };
    let (client, server, wrapped) = (api.client.clone(), api.server.clone(), wrapped.to_owned());
    let namespace = api.namespace.map(str::to_owned);
    // Carried through, also where nobody waits for the look-up any more: the wrapping token is spent once it is sent.
    let carried = tokio::spawn(async move {
        let api = Api { client: &client, server: &server, namespace: namespace.as_deref() };
        let Exchange { lock, token, successor, trace, broke_off } = exchange;
        let given = ask(&api, &token, &wrapped, broke_off).await;
        step("secret id given");
        on_files(move || {
            let _lock = lock;
            let secret_id = match given {
                Ok(secret_id) => secret_id,
                Err(error) => {
                    drop(successor);
                    // Whether the vault took the request is not known from here: its trace stays.
                    trace.leads_nowhere()?;
                    return Err(error);
                }
            };
            successor.succeed(secret_id.bytes()).map_err(of_store)?;
            step("secret id written");
            finish(&wrapped, &trace);
            Ok(())
        })
        .await
    });
    carried.await.unwrap_or_else(|_| Err(Error::new(Kind::Internal, "unwrapping a secret id broke off")))
}

/// All that comes before the request. `None`: there is nothing to exchange.
fn begin(wrapped: &Path, into: &Path) -> Result<Option<Exchange>> {
    if !wrapped.exists() {
        return Ok(None);
    }
    let lock = SideLock::take(&beside(into, "lock"), false, PATIENCE).map_err(of_store)?;
    let Some(content) = secret_file(wrapped, Eyes::Few)? else { return Ok(None) };
    let token = answer::wrapping_token(content.bytes()).filter(|token| !token.bytes().is_empty());
    let token = token.ok_or_else(|| {
        error("login", format!("`{}` holds no wrapped secret id", wrapped.display()))
            .hint("it holds the wrapping token, alone or in the JSON that the vault answered")
    })?;
    let trace = Trace { path: beside(into, "exchange"), hash: hex(digest(&SHA256, token.bytes()).as_ref()) };
    let broke_off = match trace.follow()? {
        Earlier::None => false,
        Earlier::Lost => true,
        Earlier::Ended => {
            finish(wrapped, &trace);
            return Ok(None);
        }
        Earlier::Written(written, secret_id) => {
            replace(into, secret_id.bytes(), Readers::Owner).map_err(of_store)?;
            let _ = std::fs::remove_file(written);
            finish(wrapped, &trace);
            return Ok(None);
        }
    };
    // Before the request, which works once: a disk that is full must not cost the secret id.
    let successor = Successor::of(into, CAP).map_err(of_store)?;
    trace.leads_to(successor.place())?;
    Ok(Some(Exchange { lock, token, successor, trace, broke_off }))
}

/// The wrapping token is worth nothing any more.
fn finish(wrapped: &Path, trace: &Trace) {
    let _ = std::fs::remove_file(wrapped);
    let _ = std::fs::remove_file(&trace.path);
}

async fn ask(api: &Api<'_>, token: &Raw, wrapped: &Path, broke_off: bool) -> Result<Raw> {
    let nothing = json::object(&[]).unwrap_or_default();
    let reply = api.post("sys/wrapping/unwrap", Some(token), nothing).await?;
    let secret_id = answer::secret_id(reply.status, &reply.body).map_err(|said| match said {
        Said::Bad | Said::Denied | Said::Absent | Said::NoMount if broke_off => lost(api.server, wrapped),
        Said::Bad | Said::Denied | Said::Absent | Said::NoMount => trouble::wrapping_used(api.server, wrapped),
        said => trouble::login_refused(api.server, Login::AppRole, "sys/wrapping", &said),
    })?;
    if secret_id.bytes().len() > CAP {
        let message = format!("the vault at `{}` gave a secret id that is too long to be one", api.server.origin());
        return Err(error("output", message).hint("ask those who run the vault what it gives"));
    }
    Ok(secret_id)
}

/// The error for a wrapping token that was spent here, for nothing.
fn lost(server: &ServerUrl, wrapped: &Path) -> Error {
    let (vault, wrapped) = (server.origin(), wrapped.display());
    let message = format!(
        "the wrapped secret id in `{wrapped}` was sent to the vault at `{vault}` from here before, and R was ended or the \
         network failed before the answer was kept: it works once, so it is lost"
    );
    error("login", message)
        .hint("ask those who run the vault for a new one, and have them destroy this secret id")
        .hint("nobody else need have used it; where you doubt that, the vault's audit log tells how often it was unwrapped")
}

/// What became of an earlier exchange of the same wrapping token.
enum Earlier {
    /// There was none.
    None,
    /// It broke off before the secret id was written.
    Lost,
    /// It broke off after the secret id was written, into this file.
    Written(PathBuf, Raw),
    /// It broke off after all was done but the clearing up.
    Ended,
}

/// The trace of an exchange, beside the file of the secret id.
struct Trace {
    path: PathBuf,
    hash: String,
}

impl Trace {
    /// Follows the trace to what is left of an earlier exchange. That of another wrapping token is cleared away.
    fn follow(&self) -> Result<Earlier> {
        let read = read_small(&self.path, MOST, Source::User);
        let text = read.map_err(|unfit| of_store(unfit.at(&self.path, "cannot be read")))?;
        let text = text.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let Some((hash, place)) = text.trim_end_matches('\n').split_once('\n') else { return Ok(Earlier::None) };
        // A name in this folder, and no other file.
        let Some(name) = Path::new(place).file_name().filter(|name| *name == place) else { return Ok(Earlier::None) };
        let written = self.path.with_file_name(name);
        if hash != self.hash {
            if place != NOWHERE {
                let _ = std::fs::remove_file(&written);
            }
            return Ok(Earlier::None);
        }
        if place == NOWHERE {
            return Ok(Earlier::Lost);
        }
        // The room that was made for it is blank until it is written.
        let Some(content) = secret_file(&written, Eyes::Few)? else { return Ok(Earlier::Ended) };
        let length = content.bytes().iter().take_while(|byte| **byte != 0).count();
        if length == 0 {
            let _ = std::fs::remove_file(&written);
            return Ok(Earlier::Lost);
        }
        Ok(Earlier::Written(written, Raw::copy_of(&content.bytes()[..length])))
    }

    fn leads_to(&self, place: &Path) -> Result<()> {
        let name = place.file_name().and_then(std::ffi::OsStr::to_str);
        self.says(name.ok_or_else(|| {
            error("login", format!("`{}` is not UTF-8, so it cannot be written down", place.display()))
                .hint("give the file in `vault.secret_id_file` another name")
        })?)
    }

    fn leads_nowhere(&self) -> Result<()> {
        self.says(NOWHERE)
    }

    fn says(&self, place: &str) -> Result<()> {
        replace(&self.path, format!("{}\n{place}\n", self.hash).as_bytes(), Readers::Owner).map_err(of_store)
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{end}"));
    path.with_file_name(name)
}
