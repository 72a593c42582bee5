//! One operation and its calls.

mod refusal;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::answer::{Collected, Sink};
use super::bound::{BoundBy, bound, may_go, unbound};
use super::classify::{Head, MOST_TEXT, classify, head_of, is_data, is_file, is_out_of_memory, refuses_the_token};
use super::escapes::Watch;
use super::missing::{blank, malformed};
use super::policy::Anchored;
use super::request::{Expect, Request};
use super::{file_name, limiter, policy};
use crate::audit::{Checkpoints, Entry, Intent, OpenCall, RedcapUser, Refused, SharedLog};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::hex::hex;
use crate::net::{Answer, Client, Fault, Origin, WipedBody};
use crate::project::{Policy, Project, Registries};
use crate::store::{self, Found, Wanted};
use crate::token::{Fingerprint, Form, Scrubber};

/// Pauses before a read is tried again.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(9),
    Duration::from_secs(20),
];

/// How an operation came to its token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Came {
    /// By a look-up, or it will.
    LookedUp,
    /// By a second one, after a refusal: there is no third.
    Renewed,
    /// It was given to it, and none is looked up.
    Given,
}

/// One operation on one project: its token is looked up once, at the first call, and wiped at the end. It is looked up
/// once more where REDCap refuses it (`refusal.rs`).
pub(crate) struct Operation {
    ctx: Ctx,
    project: Project,
    origin: Origin,
    sandbox: bool,
    audit: SharedLog,
    client: Client,
    /// The client for requests that change data, where it is another one.
    writer: Option<Client>,
    found: Option<Found>,
    came: Came,
    /// What says that the token may go to the origin. With the registry, `project` is its entry; else what the object
    /// says beyond token name and address counts for nothing.
    bound_by: Option<BoundBy>,
    /// Held while the token is looked up, where operations run side by side and a person may be asked.
    turn: Option<Arc<Mutex<()>>>,
    /// Checkpoints of the log.
    checkpoints: Checkpoints,
    /// Whether it is a check, which no policy forbids as long as it asks for what a check asks for.
    is_check: bool,
    /// The token that the policy was asked about, and whether it was as a check's.
    judged: Option<(Fingerprint, bool)>,
}

impl Operation {
    /// Prepares an operation; nothing is looked up yet. `client` was made on the host's thread.
    pub(crate) fn new(ctx: &Ctx, project: Project, sandbox: bool, client: Client) -> Self {
        let folder = audit_folder(ctx, sandbox);
        let audit = ctx.shared.audit.at(&folder, &ctx.clock);
        let origin = project.redcap_uri.origin().clone();
        Self {
            ctx: ctx.clone(),
            project,
            origin,
            sandbox,
            audit,
            client,
            writer: None,
            found: None,
            bound_by: None,
            came: Came::LookedUp,
            turn: None,
            checkpoints: Checkpoints::new(ctx, &folder, sandbox),
            is_check: false,
            judged: None,
        }
    }

    /// From here on it is a check of the token: of whether it works, of its rights, of its age. What a check asks for is
    /// allowed whatever a policy says; for everything else the policy counts as before.
    pub(crate) fn as_check(&mut self) {
        self.is_check = true;
    }

    /// One look-up at a time, of all operations with this turn: a locked keyring asks for its password once, and not
    /// once for each of them.
    pub(crate) fn in_turn(mut self, turn: &Arc<Mutex<()>>) -> Self {
        self.turn = Some(Arc::clone(turn));
        self
    }

    /// With a token that is looked up nowhere: the calls of this operation try this one and no other.
    #[must_use]
    pub(crate) fn with_token(mut self, found: Found) -> Self {
        self.found = Some(found);
        self.came = Came::Given;
        self
    }

    /// The token that [`Operation::with_token`] was given, for what comes after the calls. One that was looked up does not
    /// come out.
    pub(crate) fn into_token(self) -> Option<Found> {
        self.found.filter(|_| self.came == Came::Given)
    }

    /// What changes data goes out over a client of its own, which uses no connection twice: on one that went stale
    /// an import may be lost after its bytes went out, and it is not sent again.
    #[must_use]
    pub(crate) fn writing_over(mut self, client: Client) -> Self {
        self.writer = Some(client);
        self
    }

    /// THE PIPELINE. One request, tried again where that is harmless; each try is a call of its own. The body
    /// of a good answer goes to `sink`, chunk by chunk, unaltered.
    ///
    /// # Errors
    /// Every kind but `argument` and those of the registry's files; `sink`'s own.
    pub(crate) async fn call(&mut self, request: &Request, sink: &mut dyn Sink) -> Result<()> {
        self.prepare(&[request]).await?;
        let tried = self.tries(request, sink, None).await;
        self.or_renewed(request, sink, tried).await
    }

    /// Two reads side by side, of which the whole good answers fit into memory, `most` bytes each. Of the second one,
    /// nothing is said before the first has its answer: what is wrong with both is told once.
    ///
    /// # Errors
    /// As [`Operation::call`]; those of the first come first.
    pub(crate) async fn collect_both(
        &mut self,
        first: &Request,
        second: &Request,
        most: usize,
    ) -> Result<(Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>)> {
        self.prepare(&[first, second]).await?;
        let (mut one, mut other) = (Collected::new(most), Collected::new(most));
        let (done, tried) = tokio::join!(self.tries(first, &mut one, None), self.send(second, &mut other));
        self.or_renewed(first, &mut one, done).await?;
        if let Err(failed) = tried {
            let tried = self.tries(second, &mut other, Some(failed)).await;
            self.or_renewed(second, &mut other, tried).await?;
        }
        Ok((one.finish(), other.finish()))
    }

    /// All that comes before the intents of some requests. A refusal names the first of them.
    async fn prepare(&mut self, requests: &[&Request]) -> Result<()> {
        let Some(first) = requests.first() else { return Ok(()) };
        let bound = self.bind();
        self.or_refused(first, bound).await?;
        let is_check = self.is_check && requests.iter().all(|request| request.is_check());
        let allowed = if is_check { Ok(()) } else { self.allowed().await };
        self.or_refused(first, allowed).await?;
        let anchored = self.checkpoints.gate().await;
        self.or_refused(first, anchored).await?;
        let count = u32::try_from(requests.len()).unwrap_or(u32::MAX);
        let permit = limiter::reserve(&self.ctx, &self.project.redcap_uri, count).await;
        self.or_refused(first, permit).await?;
        let found = self.look_up().await;
        self.or_refused(first, found).await?;
        self.comply(first, is_check).await?;
        for request in requests {
            let harmless = self.without_token(request);
            self.or_refused(request, harmless).await?;
        }
        Ok(())
    }

    /// What the policy says without the token. Once an operation.
    async fn allowed(&self) -> Result<()> {
        if self.judged.as_ref().is_some_and(|(_, as_check)| !as_check) {
            return Ok(());
        }
        policy::allow(&self.ctx, &self.project, self.sandbox, &self.checkpoints).await
    }

    /// What the policy says of the token that was found. Once an operation, and for another token anew.
    async fn comply(&mut self, request: &Request, is_check: bool) -> Result<()> {
        let Some(found) = &self.found else { return Ok(()) };
        let print = found.secret.fingerprint();
        if self.judged.as_ref().is_some_and(|(judged, as_check)| *judged == print && (is_check || !as_check)) {
            return Ok(());
        }
        let (ctx, project) = (&self.ctx, &self.project);
        let allowed = policy::allow_token(ctx, project, self.sandbox, found.source, print.as_str(), is_check).await;
        self.or_refused(request, allowed).await?;
        self.judged = Some((print, is_check));
        Ok(())
    }

    /// Looks the token up without a call: nothing is sent, and there is no entry.
    ///
    /// # Errors
    /// Those of a look-up.
    pub(crate) async fn look(&mut self) -> Result<()> {
        self.bind()?;
        self.look_up().await
    }

    /// One request, for which there is a permit, tried again where that is harmless. `failed` is a try that was made.
    async fn tries(
        &self,
        request: &Request,
        sink: &mut dyn Sink,
        mut failed: Option<Failed>,
    ) -> std::result::Result<(), Failed> {
        let mut tries = 0;
        loop {
            let failed = match failed.take() {
                Some(failed) => failed,
                None => match self.send(request, sink).await {
                    Ok(()) => return Ok(()),
                    Err(failed) => failed,
                },
            };
            let again = failed.again && !request.writes && tries < self.ctx.settings.retries && sink.restart();
            if !again {
                return Err(failed);
            }
            let pause = PAUSES[(tries as usize).min(PAUSES.len() - 1)];
            tries += 1;
            self.ctx.log.note(format!("{}; trying again", failed.error.message));
            tokio::time::sleep(pause).await;
            let permit = limiter::reserve(&self.ctx, &self.project.redcap_uri, 1).await;
            self.or_refused(request, permit).await?;
        }
    }

    /// A request whose whole good answer fits into memory, `most` bytes of it.
    pub(crate) async fn collect(&mut self, request: &Request, most: usize) -> Result<Zeroizing<Vec<u8>>> {
        let mut collected = Collected::new(most);
        self.call(request, &mut collected).await?;
        Ok(collected.finish())
    }

    /// Makes the outcomes durable: the end of the operation. A checkpoint that is due is taken.
    pub(crate) async fn finish(&self) -> Result<()> {
        let synced = self.audit.sync().await;
        if synced.is_ok() {
            self.checkpoints.at_end().await;
        }
        self.warn_of_devices();
        synced
    }

    /// That a device of the audit log was lost.
    fn warn_of_devices(&self) {
        for warning in self.audit.warnings() {
            self.ctx.log.warning(warning);
        }
    }

    /// The store that the token came from, once it was looked up.
    pub(crate) fn source(&self) -> Option<&'static str> {
        self.found.as_ref().map(|found| found.source)
    }

    /// The token's fingerprint, once it was looked up.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        self.found.as_ref().map(|found| found.secret.fingerprint().to_string())
    }

    /// Whether its project is a sandbox's.
    pub(crate) fn is_sandbox(&self) -> bool {
        self.sandbox
    }

    /// What is known of the anchors of its audit log, where the policy asks for them.
    pub(crate) async fn anchored(&self, policy: &Policy) -> Option<Anchored> {
        policy::anchored(policy, &self.checkpoints, self.sandbox).await
    }

    /// The project as the registry has it, once a call was allowed.
    pub(crate) fn project(&self) -> &Project {
        &self.project
    }

    /// A text of the server's that came as data and is shown, scrubbed.
    pub(crate) fn scrub(&self, text: &str) -> String {
        self.found.as_ref().map_or_else(|| text.to_owned(), |found| found.secret.scrubber().scrub(text))
    }

    /// Whether the token stands in one of some texts that are to be sent as data. Only once it was looked up.
    pub(crate) fn token_is_in<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        let Some(found) = &self.found else { return false };
        let scrubber = found.secret.scrubber();
        let mut watch = scrubber.watch();
        // The end of one text and the beginning of the next are no token.
        texts.into_iter().any(|text| watch.sees(text.as_bytes()) || watch.sees(b"\n"))
    }

    /// The token goes into the field that is its own, and into no other: what is sent as data stays on the server for
    /// all to read.
    fn without_token(&self, request: &Request) -> Result<()> {
        let Some(found) = &self.found else { return Ok(()) };
        let scrubber = found.secret.scrubber();
        match request.texts().find(|(_, text)| scrubber.watch().sees(text)) {
            None => Ok(()),
            Some((name, _)) => Err(token_in_data(&scrubber.scrub(name))),
        }
    }

    /// The token goes only to the origin that its name is bound to, by the user's own registry, this session's, the site's
    /// list of servers, or the store itself. Comes before any look-up. From here on the registry's entry is what counts:
    /// an object may say that it is another project, whose token the keyring has under its short name.
    fn bind(&mut self) -> Result<()> {
        if self.bound_by.is_none() {
            let (project, by) = bound(&self.ctx, &self.project, self.sandbox)?;
            self.project = project;
            self.bound_by = Some(by);
        }
        Ok(())
    }

    /// Whether the project is known by what its object says alone.
    fn nameless(&self) -> bool {
        self.bound_by != Some(BoundBy::Registry)
    }

    /// A call that is refused here leaves an entry too. What cannot be written does not hide the refusal.
    async fn or_refused(&self, request: &Request, allowed: Result<()>) -> Result<()> {
        let Err(error) = allowed else { return Ok(()) };
        let text = |field: &str| {
            let found = error.fields.iter().find(|(name, _)| name == field);
            found.and_then(|(_, value)| value.as_text().map(str::to_owned))
        };
        let refused = Refused {
            action: self.scrub(&request.action()),
            project: Some(self.project.short_name.as_str().to_owned()),
            origin: Some(self.origin.to_string()),
            token_name: Some(self.project.token_name.as_str().to_owned()),
            source: text("source"),
            fingerprint: text("fingerprint"),
            reason: error.kind,
        };
        match self.audit.note(Entry::Refused(refused)).await {
            Ok(()) => Err(error),
            // Where neither the limiter nor the log can write, there would be no call even without a limit.
            Err(unwritten) if error.kind == Kind::Limit && unwritten.kind == Kind::Audit => Err(unwritten),
            Err(unwritten) => Err(error.hint(format!("the audit log did not take the refusal: {}", unwritten.message))),
        }
    }

    async fn look_up(&mut self) -> Result<()> {
        if self.found.is_none() {
            self.found = Some(self.resolve().await?);
        }
        Ok(())
    }

    /// What the stores have under the token's name now, if it may be used. `env` gives what the environment held when
    /// the operation began: other threads must not read it, so a change during an operation is not seen. All other
    /// stores are asked anew each time, with the credentials that the process had at the beginning.
    async fn resolve(&self) -> Result<Found> {
        let _turn = match &self.turn {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        let Some(by) = self.bound_by else { return Err(unbound(&self.project, &[])) };
        let found = store::look_up_in(&self.ctx, &self.wanted()?, by.asked()).await?;
        let found = match (found, by) {
            (Some(found), _) => found,
            // That it is blank where it could be bound does not say that it is blank elsewhere.
            (None, BoundBy::Store) => return Err(unbound(&self.project, &[])),
            (None, _) => return Err(blank(&self.ctx, &self.project)),
        };
        may_go(by, &self.project, &found)?;
        if found.form != Form::Project {
            return Err(malformed(&self.ctx, &self.project, &found));
        }
        Ok(found)
    }

    fn wanted(&self) -> Result<Wanted> {
        if self.nameless() { Ok(by_token_name(&self.project)) } else { wanted(&self.ctx, &self.project, self.sandbox) }
    }

    /// Intent durable, send and scrub, outcome.
    async fn send(&self, request: &Request, sink: &mut dyn Sink) -> std::result::Result<(), Failed> {
        let Some(found) = &self.found else { return Err(blank(&self.ctx, &self.project).into()) };
        let mut open = self.intent(request, found).await?;
        let body = WipedBody::new(request.body(&found.secret));
        let started = self.ctx.clock.elapsed();
        let scrubber = found.secret.scrubber();
        let answered = self.answer(request, body, &scrubber, sink, &mut open).await;
        open.outcome.duration = self.ctx.clock.elapsed().saturating_sub(started);
        open.outcome.class = answered.as_ref().map_or_else(|f| f.error.kind.as_str(), |()| "ok").to_owned();
        let written = open.finish().await;
        answered?;
        Ok(written?)
    }

    async fn intent(&self, request: &Request, found: &Found) -> Result<OpenCall> {
        let declared = (!self.nameless()).then_some(&self.project);
        let fingerprint = found.secret.fingerprint().to_string();
        let intent = Intent {
            call_id: call_id(&self.ctx)?,
            action: request.action(),
            project: self.project.short_name.as_str().to_owned(),
            project_id: declared.and_then(|project| project.project_id.as_ref()?.parse().ok()),
            redcap_user: declared.and_then(|project| whose(project, &fingerprint)),
            origin: self.origin.to_string(),
            bound_by: self.bound_by.map(BoundBy::as_str).unwrap_or_default(),
            token_name: self.project.token_name.as_str().to_owned(),
            source: found.source.to_owned(),
            source_request_id: found.request_id.clone(),
            fingerprint,
            record_ids: request.records(),
        };
        let begun = self.audit.begin(intent).await;
        self.warn_of_devices();
        begun
    }

    async fn answer(
        &self,
        request: &Request,
        body: WipedBody,
        scrubber: &Scrubber<'_>,
        sink: &mut dyn Sink,
        open: &mut OpenCall,
    ) -> std::result::Result<(), Failed> {
        let client = self.writer.as_ref().filter(|_| request.writes).unwrap_or(&self.client);
        let doubt = Doubt(Some(client));
        let unknown = |fault: Fault| Failed::of_fault(fault, request.writes);
        let uri = &self.project.redcap_uri;
        let mut answer = client.post(uri, &request.content_type(), body).await.map_err(unknown)?;
        open.outcome.status = Some(answer.status);
        open.outcome.server_date = answer.date.as_deref().map(|date| scrubber.scrub(date).chars().take(40).collect());
        let mut head = Zeroizing::new(Vec::new());
        let enough = head_of(request.expect);
        let mut whole = true;
        let ended = match gather(&mut answer, &mut head, enough, &mut open.outcome.bytes).await {
            // What breaks off is known by its status all the same: a 403 is not tried again.
            Err(_) if answer.status != 200 => {
                whole = false;
                true
            }
            other => other.map_err(unknown)?,
        };
        let name = file_name::offered(answer.content_disposition.as_deref(), answer.content_type.as_deref());
        let good = if request.expect == Expect::Bytes {
            is_file(answer.status, name.is_some(), answer.content_type.as_deref(), &head)
        } else {
            is_data(answer.status, &head, request.expect)
        };
        if !good {
            if !ended {
                // What comes behind an error is of no interest where it breaks off or never ends.
                whole = gather(&mut answer, &mut head, MOST_TEXT, &mut open.outcome.bytes).await.unwrap_or(false);
            }
            let said = Head {
                status: answer.status,
                content_type: answer.content_type.as_deref(),
                location: answer.location.as_deref(),
                asked: uri.url(),
            };
            let error = classify(said, &head[..head.len().min(MOST_TEXT)], scrubber);
            // That a gateway gave up, a server failed or a strange page came back does not say what became of it.
            let by_redcap =
                !matches!(error.kind, Kind::Server) && (error.kind != Kind::NotRedcap || answer.status > 299);
            if request.writes && !by_redcap {
                return Err(outcome_unknown(&error).field("status", answer.status).into());
            }
            // What was too large for the server's memory will be so again.
            let again = matches!(answer.status, 408 | 500 | 502..=504) && !is_out_of_memory(&error);
            // A read may be sent again whatever came of it. A write is never sent twice, and this is no exception: REDCap
            // looks at the token before it looks at anything else, so the whole of this one answer, in its own words
            // and with its own status, proves that nothing was done. What merely resembles it proves nothing.
            let refused = error.kind == Kind::TokenRefused
                && (!request.writes || (whole && refuses_the_token(answer.status, &head)));
            let refused = self.found.as_ref().filter(|_| refused).map(|found| found.secret.fingerprint());
            return Err(Failed { error, again, refused });
        }
        sink.begin(name.map(|name| scrubber.scrub(&name)).as_deref())?;
        let mut watch = Watch::new(scrubber, request.expect);
        // What a sink says of the data may quote them.
        let plain = |error: Error| error.map_texts(|text| scrubber.scrub(text));
        deliver(&head, &mut watch, sink).map_err(plain)?;
        if !ended {
            while let Some(chunk) = answer.chunk().await.map_err(unknown)? {
                open.outcome.bytes += chunk.len() as u64;
                deliver(&chunk, &mut watch, sink).map_err(plain)?;
                if let Some(room) = sink.wait(false) {
                    room.await;
                }
            }
        }
        if let Some(done) = sink.wait(true) {
            done.await;
        }
        if !answer.header_values().any(|value| scrubber.watch().sees(value)) {
            doubt.settled();
        }
        if answer.proves_its_end() {
            sink.whole();
        }
        Ok(sink.end().map_err(plain)?)
    }
}

/// Reads until `enough` bytes are there or the body ends; whether it ended.
async fn gather(
    answer: &mut Answer,
    into: &mut Zeroizing<Vec<u8>>,
    enough: usize,
    bytes: &mut u64,
) -> std::result::Result<bool, Fault> {
    while into.len() < enough {
        let Some(chunk) = answer.chunk().await? else { return Ok(true) };
        *bytes += chunk.len() as u64;
        into.extend_from_slice(&chunk);
    }
    Ok(false)
}

/// Hands a chunk of data on, unless the token stands in it: clinical data is never altered, so it is withheld.
fn deliver(chunk: &[u8], watch: &mut Watch<'_>, sink: &mut dyn Sink) -> Result<()> {
    if watch.sees(chunk) {
        return Err(Error::new(Kind::TokenEcho, "the server's data contains the token itself; it was withheld")
            .hint("look for the token in the project's data or in its file repository and remove it there")
            .hint("regenerate the token: whoever may read that data has read it"));
    }
    sink.take(chunk)
}

/// As long as an answer is not known to be free of the token, its connection is not kept: what came over it stays
/// in the connection's buffers. Dropped in doubt (a failure, an echo, an interrupt), it closes the connections.
struct Doubt<'a>(Option<&'a Client>);

impl Doubt<'_> {
    /// Data and headers were watched, and the token is not in them.
    fn settled(mut self) {
        self.0 = None;
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if let Some(client) = self.0 {
            client.close_connections();
        }
    }
}

/// A try that failed, and whether it may be made again.
struct Failed {
    error: Error,
    again: bool,
    /// The token with which it was sent, where REDCap refused that token and did nothing.
    refused: Option<Fingerprint>,
}

impl Failed {
    fn of_fault(fault: Fault, writes: bool) -> Self {
        if writes && fault.sent {
            return outcome_unknown(&fault.error).into();
        }
        let again = fault.error.kind == Kind::Connection;
        Self { error: fault.error, again, refused: None }
    }
}

/// The error for the token among what is to be sent as data.
pub(crate) fn token_in_data(argument: &str) -> Error {
    Error::new(Kind::TokenInArgument, format!("`{argument}` contains this project's token, and nothing was sent"))
        .hint("take it out of the data, and regenerate the token: whoever may read the data has read it")
        .field("argument", argument)
}

/// The error for an import whose bytes went out and of which nobody knows what became of it.
fn outcome_unknown(why: &Error) -> Error {
    let why = &why.message;
    Error::new(
        Kind::OutcomeUnknown,
        format!("the write was sent and its outcome is not known ({why}); it is not sent again"),
    )
    .hint("look in REDCap's log whether it arrived before you send it again")
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, again: false, refused: None }
    }
}

/// Where the audit log of an operation is: the session's folder for a sandbox, else the site's or the user's.
pub(crate) fn audit_folder(ctx: &Ctx, sandbox: bool) -> PathBuf {
    if sandbox { ctx.dirs.session.join("audit") } else { ctx.settings.audit_folder(&ctx.dirs) }
}

/// What is looked up where the registries know nothing of a project: its token name and nothing else.
pub(crate) fn by_token_name(project: &Project) -> Wanted {
    Wanted { token_name: project.token_name.clone(), short_name: String::new(), sandbox: false }
}

/// What is looked up for a project of the registries: its token name, and its short name where that is no name of a
/// project at another origin, whose token would come here.
///
/// # Errors
/// `damaged`, `file`: the registry.
pub(crate) fn wanted(ctx: &Ctx, project: &Project, sandbox: bool) -> Result<Wanted> {
    let name = project.short_name.as_str();
    let short_name = match Registries::new(&ctx.dirs).rival(project, name)? {
        None => name.to_owned(),
        Some(rival) => {
            let (owner, origin) = (rival.short_name.as_str(), rival.redcap_uri.origin());
            ctx.log.once(format!(
                "`{name}` is a name of project `{owner}` at `{origin}` too, so no store is asked under it"
            ));
            String::new()
        }
    };
    Ok(Wanted { token_name: project.token_name.clone(), short_name, sandbox })
}

/// Whose token goes out: proved for the very token, or as the project is set up; nobody guesses.
fn whose(project: &Project, fingerprint: &str) -> Option<RedcapUser> {
    let verified = project.verified.as_ref().filter(|verified| verified.fingerprint == fingerprint);
    match verified {
        Some(verified) => Some(RedcapUser::Verified(verified.redcap_user.clone())),
        None => project.redcap_user.clone().map(RedcapUser::Declared),
    }
}

/// A new id for a call or a change, the same in its two entries.
pub(crate) fn call_id(ctx: &Ctx) -> Result<String> {
    let mut bytes = [0_u8; 16];
    ctx.random.fill(&mut bytes)?;
    Ok(hex(&bytes))
}
