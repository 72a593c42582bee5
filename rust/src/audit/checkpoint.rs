//! Checkpoints: signing how far the log is, and bringing that to the anchors.
//!
//! Beside the log stand `….checkpoints` with all notes that were signed, which is the queue too: what an anchor has not
//! kept yet is taken from there; `….pub` with the public keys; and `….anchors`, how far each anchor has got, which only
//! saves work: without it, all is brought again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::anchor::Parcel;
use super::key::{Key, KeyPlace};
use super::note::{Note, Signed, VerifierKey, anchored};
use super::{AnchorState, Anchoring, AuditLog, Checked, Checkpoint, Entry, Setup, State, check, utc};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::file::{Readers, SideLock, replace};
use crate::net::io::blocking;
use crate::project::{Anchor, AnchorPlace, AuditSecond, CheckpointSettings};

/// How long an operation is held up at its end, or before a call that would be refused.
const BOUND: Duration = Duration::from_secs(10);

/// How long an anchor that was out of reach is left alone by operations that end.
const PAUSE: Duration = Duration::from_secs(300);

/// How long another process that takes a checkpoint is waited for by who asks for one.
const PATIENCE: Duration = Duration::from_secs(30);

/// Room for one note: a text of six lines and some signatures.
const NOTE: usize = 8 << 10;

/// The checkpoints of one log.
pub(crate) struct Checkpoints {
    ctx: Ctx,
    log: AuditLog,
    sandbox: bool,
    /// Whether the limit for being without an anchor was looked at: once an operation.
    looked: AtomicBool,
}

/// A checkpoint that was taken, and what the anchors did with it.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) state: AnchorState,
    pub(crate) note: String,
    pub(crate) key: VerifierKey,
    /// Where the signing key is: a store's name, or `file`.
    pub(crate) kept_in: String,
    pub(crate) public_file: PathBuf,
    pub(crate) anchors: Vec<Delivery>,
}

/// What of a log no anchor has kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanchored {
    /// There is no anchor.
    Everything,
    /// The calls and changes since then.
    Since(SystemTime),
    /// Every call and change is kept.
    Nothing,
}

/// What became of the checkpoints for one anchor.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) anchor: String,
    /// Why it is out of reach; none where it has them all.
    pub(crate) trouble: Option<Error>,
}

/// How far each anchor has got.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Progress {
    /// When the log was first looked at with anchors, in seconds since 1970.
    begun: u64,
    anchors: BTreeMap<String, Reached>,
}

/// How far one anchor has got.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Reached {
    /// The entries of the last checkpoint that it has kept.
    entries: u64,
    /// When it kept that.
    kept: u64,
    /// When it was tried in vain since; 0: it was not.
    tried: u64,
    /// Whether the log says already that it is out of reach.
    told: bool,
}

impl Checkpoints {
    /// Those of the log in a folder.
    pub(crate) fn new(ctx: &Ctx, dir: &Path, sandbox: bool) -> Self {
        // Checkpoints are of the log in its own folder; what stands in a second one has another chain.
        let setup = Setup { group_readable: !sandbox && ctx.settings.audit.group_readable, ..Setup::default() };
        let log = AuditLog::new(dir, ctx.clock.clone()).with_setup(Arc::new(setup));
        Self { ctx: ctx.clone(), log, sandbox, looked: AtomicBool::new(false) }
    }

    /// Signs how far the log is, and brings it to the anchors. With `new_key` a new key takes over: the old one, where
    /// it can be found, signs that too.
    ///
    /// # Errors
    /// `audit`: the log is empty, or takes no entry. `store`, `file`, `damaged`: the signing key.
    pub(crate) async fn take(&self, new_key: bool) -> Result<Taken> {
        let _turn = self.turn(PATIENCE).await?;
        let (state, note, key) = self.sign(new_key).await?;
        let anchors = self.deliver(None).await?;
        Ok(Taken {
            state,
            note,
            key: key.signer.public(),
            kept_in: key.kept_in,
            public_file: self.log.beside("pub"),
            anchors,
        })
    }

    /// At the end of an operation: takes a checkpoint when one is due, and brings to the anchors what they lack, within
    /// a bound. What fails is a warning.
    pub(crate) async fn at_end(&self) {
        if self.sandbox || !self.settings().is_automatic() {
            return;
        }
        let log = &self.ctx.log;
        match tokio::time::timeout(BOUND, self.whatever_is_due()).await {
            Ok(Ok(deliveries)) => self.warn(&deliveries),
            Ok(Err(error)) => log.warning(format!("no checkpoint of the audit log was taken: {}", error.message)),
            Err(_) => log.warning(format!(
                "the anchors of the audit log did not answer within {} s; the checkpoint waits for the next operation",
                BOUND.as_secs()
            )),
        }
    }

    /// Before a call: whether the site's limit for being without an anchor is over. Then one more try is made, within a
    /// bound.
    ///
    /// # Errors
    /// `audit`: it is over, and no anchor is in reach.
    pub(crate) async fn gate(&self) -> Result<()> {
        let settings = self.settings();
        let limited = settings.limit.is_some() || settings.limit_entries.is_some();
        if self.sandbox || settings.anchors.is_empty() || !limited || self.looked.load(Ordering::Relaxed) {
            return Ok(());
        }
        let over = self.over().await?;
        self.looked.store(over.is_none(), Ordering::Relaxed);
        let Some(over) = over else { return Ok(()) };
        let tried = tokio::time::timeout(BOUND, async {
            let _turn = self.turn(PATIENCE).await?;
            self.sign(false).await?;
            self.deliver(None).await
        });
        let why = match tried.await {
            Ok(Ok(deliveries)) if deliveries.iter().any(|delivery| delivery.trouble.is_none()) => return Ok(()),
            Ok(Ok(deliveries)) => {
                deliveries.into_iter().find_map(|d| Some(format!("`{}`: {}", d.anchor, d.trouble?.message)))
            }
            Ok(Err(error)) => Some(error.message),
            Err(_) => Some(format!("no anchor answered within {} s", BOUND.as_secs())),
        };
        let message = format!("no anchor has kept a checkpoint of the audit log for {over}; the site allows no more");
        let error = Error::new(Kind::Audit, message)
            .hint(why.unwrap_or_else(|| "no anchor is in reach".to_owned()))
            .hint("when an anchor is in reach again, the next call brings it what it lacks, and goes on")
            .field("cause", "anchor")
            .field("path", self.log.beside("checkpoints").display().to_string());
        Err(error)
    }

    /// What of the log no anchor has kept. Asks none.
    ///
    /// # Errors
    /// `audit`: the log cannot be read.
    pub(crate) async fn unanchored(&self) -> Result<Unanchored> {
        if self.settings().anchors.is_empty() {
            return Ok(Unanchored::Everything);
        }
        let progress = self.progress()?;
        let reached = self.settings().anchors.iter().filter_map(|anchor| progress.anchors.get(&anchor.name));
        let entries = reached.map(|reached| reached.entries).max().unwrap_or(0);
        let log = self.log.clone();
        let first = blocking(move || {
            let files = log.files();
            if super::is_missing(&log.dir) {
                return Ok(None);
            }
            let newest = files.newest()?;
            let segments: Vec<_> = (1..=newest).map(|number| files.segment(number)).collect();
            Ok(super::uses::first_after(&segments, entries))
        });
        Ok(first.await?.map_or(Unanchored::Nothing, |at| {
            Unanchored::Since(UNIX_EPOCH + Duration::try_from_secs_f64(at).unwrap_or_default())
        }))
    }

    fn settings(&self) -> &CheckpointSettings {
        &self.ctx.settings.checkpoints
    }

    fn now(&self) -> u64 {
        seconds(self.ctx.clock.now())
    }

    /// One process at a time signs and brings.
    async fn turn(&self, patience: Duration) -> Result<SideLock> {
        let (log, path) = (self.log.clone(), self.log.beside("anchors.lock"));
        blocking(move || {
            super::file::folder(&log.dir, &log.setup)?;
            SideLock::take(&path, false, patience)
        })
        .await
    }

    /// By how much the limit is over, in words.
    async fn over(&self) -> Result<Option<String>> {
        let Some(state) = self.state().await? else { return Ok(None) };
        let mut progress = self.progress()?;
        if progress.begun == 0 {
            progress.begun = self.now();
            self.save(&progress)?;
        }
        let reached: Vec<_> = self.settings().anchors.iter().filter_map(|a| progress.anchors.get(&a.name)).collect();
        let entries = reached.iter().map(|reached| reached.entries).max().unwrap_or(0);
        let kept = reached.iter().map(|reached| reached.kept).max().unwrap_or(0);
        let waiting = state.entries.saturating_sub(entries);
        let since = self.now().saturating_sub(if kept == 0 { progress.begun } else { kept });
        if self.settings().limit_entries.is_some_and(|most| waiting > u64::from(most)) {
            return Ok(Some(format!("{waiting} entries")));
        }
        let is_long = self.settings().limit.is_some_and(|most| since > most.as_secs());
        Ok((waiting > 0 && is_long).then(|| format!("{:.1} hours", since as f64 / 3600.0)))
    }

    async fn whatever_is_due(&self) -> Result<Vec<Delivery>> {
        let Some(state) = self.state().await? else { return Ok(Vec::new()) };
        let is_due = self.is_due(&state)?;
        if !is_due && !self.is_behind()? {
            return Ok(Vec::new());
        }
        // Another process is at it: it does this one's work too.
        let Ok(_turn) = self.turn(Duration::ZERO).await else { return Ok(Vec::new()) };
        if is_due && self.is_due(&state)? {
            self.sign(false).await?;
        }
        self.deliver(Some(PAUSE)).await
    }

    fn is_due(&self, state: &AnchorState) -> Result<bool> {
        let Some(last) = self.last_note()? else { return Ok(true) };
        let age = std::fs::metadata(self.log.beside("checkpoints")).and_then(|metadata| metadata.modified());
        let age = age.map_or(0, |then| self.now().saturating_sub(seconds(then)));
        let new = state.entries.saturating_sub(last.note.size);
        Ok(new >= self.settings().entries() || (new > 0 && age >= self.settings().age().as_secs()))
    }

    /// Whether an anchor lacks a note, and is not left alone just now.
    fn is_behind(&self) -> Result<bool> {
        let Some(last) = self.last_note()? else { return Ok(false) };
        let progress = self.progress()?;
        Ok(self.settings().anchors.iter().any(|anchor| {
            let reached = progress.anchors.get(&anchor.name).cloned().unwrap_or_default();
            reached.entries < last.note.size && !self.rests(&reached, Some(PAUSE))
        }))
    }

    fn rests(&self, reached: &Reached, pause: Option<Duration>) -> bool {
        pause.is_some_and(|pause| reached.tried > 0 && self.now() < reached.tried + pause.as_secs())
    }

    async fn state(&self) -> Result<Option<AnchorState>> {
        let log = self.log.clone();
        blocking(move || log.state()).await
    }

    fn notes(&self) -> Result<Vec<Signed>> {
        let origin = self.log.origin();
        let mut notes = Signed::parse_all(&self.log.read_beside("checkpoints")?);
        notes.retain(|signed| signed.note.origin == origin);
        Ok(notes)
    }

    /// The last note that was signed; there may be very many.
    fn last_note(&self) -> Result<Option<Signed>> {
        let text = self.log.read_beside("checkpoints")?;
        let from = text.len().saturating_sub(NOTE);
        let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(from);
        Ok(Signed::parse_all(&text[from..]).pop())
    }

    /// Signs how far the log is. Whoever calls this holds the turn.
    async fn sign(&self, new_key: bool) -> Result<(AnchorState, String, Key)> {
        let state = self.state().await?.ok_or_else(|| {
            Error::new(Kind::Audit, "the audit log has no entry yet, so there is nothing to sign")
                .hint("make a call first; its entries are what a checkpoint vouches for")
                .field("cause", "empty")
        })?;
        let place = KeyPlace::new(&self.ctx, &state.origin, self.sandbox);
        let found = place.find().await?;
        let next = if new_key || found.is_none() { Some(place.make()?) } else { None };
        let time = utc::utc(self.ctx.clock.now());
        let mut note = Note {
            origin: state.origin.clone(),
            size: state.entries,
            hash: state.hash.clone(),
            time,
            key: next.as_ref().filter(|_| found.is_some()).map(|(signer, _)| signer.public()),
        };
        // A key is kept before it signs alone, and vouched for before it takes the place of another.
        let (text, key) = match (found, next) {
            (Some(old), Some((new, seed))) => {
                self.log.publish(&old.signer.public())?;
                self.log.publish(&new.public())?;
                let text = note.sign(&[&old.signer, &new]);
                self.log.append_beside("checkpoints", &format!("\n{text}"))?;
                let kept_in = place.keep(&seed, Some(&old.kept_in)).await?;
                (text, Key { signer: new, kept_in })
            }
            (Some(key), None) => {
                self.log.publish(&key.signer.public())?;
                let text = note.sign(&[&key.signer]);
                self.log.append_beside("checkpoints", &format!("\n{text}"))?;
                (text, key)
            }
            (None, Some((new, seed))) => {
                let kept_in = place.keep(&seed, None).await?;
                if !self.log.read_beside("pub")?.is_empty() {
                    self.ctx.log.warning("the key that signed earlier checkpoints was not found; a new one was made");
                }
                note.key = None;
                self.log.publish(&new.public())?;
                let text = note.sign(&[&new]);
                self.log.append_beside("checkpoints", &format!("\n{text}"))?;
                (text, Key { signer: new, kept_in })
            }
            (None, None) => return Err(Error::new(Kind::Internal, "no signing key was made")),
        };
        let entry = Entry::Checkpoint(Checkpoint {
            origin: state.origin.clone(),
            entries: state.entries,
            hash: state.hash.clone(),
            key: key.signer.public().id_text(),
            signature: text.lines().last().and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned(),
        });
        self.write(vec![entry]).await?;
        Ok((state, text, key))
    }

    async fn write(&self, entries: Vec<Entry>) -> Result<()> {
        let log = self.log.clone();
        blocking(move || log.note(&entries)).await
    }

    /// Brings each anchor what it lacks, in order, until one is not kept; one that was out of reach a moment ago is left
    /// alone for a pause. Whoever calls this holds the turn. A sandbox's checkpoints go nowhere.
    async fn deliver(&self, pause: Option<Duration>) -> Result<Vec<Delivery>> {
        let mut deliveries = Vec::new();
        if self.sandbox {
            return Ok(deliveries);
        }
        let notes = self.notes()?;
        for anchor in &self.settings().anchors {
            let mut progress = self.progress()?;
            let mut reached = progress.anchors.get(&anchor.name).cloned().unwrap_or_default();
            let lacking: Vec<_> = notes.iter().filter(|signed| signed.note.size > reached.entries).collect();
            if lacking.is_empty() || self.rests(&reached, pause) {
                continue;
            }
            // Should the bound come in between, it is known that it was tried.
            let before = reached.tried;
            reached.tried = self.now();
            progress.anchors.insert(anchor.name.clone(), reached.clone());
            self.save(&progress)?;
            let mut trouble = None;
            for signed in lacking {
                match self.bring(anchor, signed).await {
                    Ok(()) => {
                        reached = Reached { entries: signed.note.size, kept: self.now(), tried: 0, told: false };
                    }
                    Err(error) => {
                        trouble = Some((signed.note.size, error));
                        break;
                    }
                }
            }
            let entry = match &trouble {
                None => Some(anchoring(anchor, reached.entries, "kept", None)),
                Some((size, error)) if !reached.told => {
                    Some(anchoring(anchor, *size, "queued", Some(error.message.clone())))
                }
                Some(_) => None,
            };
            reached.told = trouble.is_some();
            reached.tried = if trouble.is_some() { self.now().max(before) } else { 0 };
            progress.anchors.insert(anchor.name.clone(), reached);
            self.save(&progress)?;
            if let Some(entry) = entry {
                self.write(vec![entry]).await?;
            }
            deliveries.push(Delivery { anchor: anchor.name.clone(), trouble: trouble.map(|(_, error)| error) });
        }
        Ok(deliveries)
    }

    async fn bring(&self, anchor: &Anchor, signed: &Signed) -> Result<()> {
        let parcel =
            Parcel { origin: signed.note.origin.clone(), entries: signed.note.size, note: signed.whole.clone() };
        anchor.keep(&self.ctx, &parcel, &self.log.beside("note")).await
    }

    fn warn(&self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            if let Some(trouble) = &delivery.trouble {
                self.ctx.log.warning(format!(
                    "the anchor `{}` of the audit log is out of reach, so the checkpoint waits: {}",
                    delivery.anchor, trouble.message
                ));
            }
        }
    }

    fn progress(&self) -> Result<Progress> {
        let text = self.log.read_beside("anchors")?;
        // What cannot be read is made anew: the anchors get again what they have.
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    fn save(&self, progress: &Progress) -> Result<()> {
        let text = serde_json::to_string(progress).map_err(|_| Error::new(Kind::Internal, "a state is no JSON"))?;
        replace(&self.log.beside("anchors"), text.as_bytes(), Readers::Owner)
    }
}

fn anchoring(anchor: &Anchor, entries: u64, state: &'static str, cause: Option<String>) -> Entry {
    Entry::Anchor(Anchoring { anchor: anchor.name.clone(), entries, state, cause })
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The public keys that stand beside some logs, and which logs those are.
pub fn beside(logs: &[PathBuf]) -> (Vec<VerifierKey>, Vec<String>) {
    let (mut keys, mut origins) = (Vec::new(), Vec::new());
    for path in logs {
        let folder = if path.is_dir() { path.as_path() } else { super::file::parent(path) };
        let Ok(items) = std::fs::read_dir(folder) else { continue };
        for item in items.flatten() {
            let name = item.file_name().to_string_lossy().into_owned();
            origins.extend(origin_of(&name).map(str::to_owned));
            if item.path().extension().is_some_and(|ending| ending == "pub")
                && let Ok(text) = std::fs::read_to_string(item.path())
            {
                keys.extend(VerifierKey::parse_all(&text));
            }
        }
    }
    origins.sort();
    origins.dedup();
    (keys, origins)
}

/// What is known of some logs from outside them: what the given files hold, and what the anchors of the settings give
/// back where they are asked, and for each whether a key signed it that stands beside the logs or in one of the given files.
///
/// # Errors
/// `file`: a given file cannot be read. An anchor that cannot be read is a warning.
pub(crate) async fn evidence(
    ctx: &Ctx,
    logs: &[PathBuf],
    given: &[PathBuf],
    ask: bool,
) -> Result<Vec<(AnchorState, bool)>> {
    let (mut keys, mut origins) = beside(logs);
    // The log that this user writes there is looked for even where nothing of it is left.
    let second =
        |path: &Path| matches!(&ctx.settings.audit.second, Some(AuditSecond::Folder(second)) if second == path);
    let own = logs.iter().filter(|path| !path.is_file() && !second(path));
    let own = own.map(|path| AuditLog::new(path, ctx.clock.clone()).origin());
    origins.extend(own);
    origins.sort();
    origins.dedup();
    let mut notes = String::new();
    for path in given {
        let bytes = std::fs::read(path).map_err(|error| crate::file::fault(path, "cannot be read", &error))?;
        let text = String::from_utf8_lossy(&bytes);
        keys.extend(VerifierKey::parse_all(&text));
        notes.push_str(&text);
        notes.push('\n');
    }
    for anchor in ctx.settings.checkpoints.anchors.iter().filter(|_| ask) {
        // A file holds the notes of all logs; a program may be asked for those of one.
        let is_file = matches!(anchor.place, AnchorPlace::File(_));
        for origin in if is_file { &origins[..origins.len().min(1)] } else { &origins[..] } {
            match anchor.read(ctx, origin).await {
                Ok(text) => notes.extend(text.into_iter().chain(["\n".to_owned()])),
                Err(error) => {
                    let name = &anchor.name;
                    ctx.log.warning(format!("the anchor `{name}` of the audit log cannot be read: {}", error.message));
                }
            }
        }
    }
    let mut states = anchored(&notes, &keys);
    states.retain(|(state, _)| origins.contains(&state.origin));
    Ok(states)
}

/// Verifies logs against what is known from outside. What no known key has signed vouches for nothing; where it
/// contradicts a log, that is an alarm all the same.
pub fn judge(paths: &[PathBuf], known: &[(AnchorState, bool)]) -> Vec<Checked> {
    let signed: Vec<_> = known.iter().filter(|(_, signed)| *signed).map(|(state, _)| state.clone()).collect();
    let answers = check(paths, &signed);
    if signed.len() == known.len() {
        return answers;
    }
    let all: Vec<_> = known.iter().map(|(state, _)| state.clone()).collect();
    let mut alarms = check(paths, &all);
    alarms.retain(|alarm| matches!(alarm.verdict, State::Tampered(_)));
    let same = |one: &Checked, other: &Checked| one.origin == other.origin && one.segments == other.segments;
    let mut judged: Vec<_> =
        answers.into_iter().filter(|answer| !alarms.iter().any(|alarm| same(alarm, answer))).collect();
    judged.extend(alarms);
    judged
}

/// The log whose segment or public keys a file holds, by its name.
fn origin_of(name: &str) -> Option<&str> {
    if !name.starts_with("audit-") {
        return None;
    }
    let (origin, number) = match name.strip_suffix(".jsonl") {
        Some(stem) => stem.rsplit_once('-')?,
        None => return name.strip_suffix(".pub"),
    };
    (number.len() >= 6 && number.bytes().all(|b| b.is_ascii_digit())).then_some(origin)
}

#[cfg(all(test, unix))]
mod tests;
