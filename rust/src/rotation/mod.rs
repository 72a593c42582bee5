//! Rotation: a token is replaced by a new one, step by step, and each step is proved before the next.
//!
//! REDCap's API makes no token: a person clicks on a page, and at that click the old token is dead. So a rotation leads a
//! person there, waits, takes the new token in as any token comes in, and proves what can be proved before the store has
//! it. What cannot be, it says.
//!
//! The steps, each with an entry in the audit log that has both fingerprints, and each with a line in the state file
//! ([`crate::project::Rotations`]) that is written before it:
//!
//! | step | entry | what is done |
//! |---|---|---|
//! | `begun` | `rotate_begin` | the old token: whether it works, its project, its rights, its age |
//! | `waiting` | `rotate_wait` | the link goes out; the new token is waited for |
//! | `checking` | `rotate_check` | the new one: form, differs, works, same project and user, no more rights |
//! | `confirming` | `rotate_confirm` | REDCap refuses the old one |
//! | `storing` | `set_token` | put, read back, compared |
//! | `searching` | `rotate_search` | stores that still have the old one, or are asked before |
//! | | `rotate_done` | with the time without service |
//!
//! Whenever the process dies, the store has the old token or the new one whole, and the next call looks which: a token in
//! the store that is not the old one is checked as one that a person enters is.
//!
//! This room imports `rights`, `redcap` and what stands below them.

mod evidence;
mod state;
#[cfg(all(test, unix))]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use evidence::Evidence;
pub(crate) use evidence::{Done, Finished, Stand, Waiting};
use state::failed;

use crate::audit::{Change, seconds, utc};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::net::Client;
use crate::net::io;
use crate::project::{Begun, Held, Project, Rotations, Step};
use crate::redcap::{
    Ages, BoundBy, Evidence as Born, Operation, api_page, audited, blank, bond_of_target, malformed, may_go, version_of,
};
use crate::rights::{Token, both_listed, fewer, held, more};
use crate::store::entry::{Entered, Hold, Place, Question, Way, Wipe, enter};
use crate::store::step::step;
use crate::store::{self, Found, Wanted, keep};
use crate::token::Form;

/// How far a rotation is, for the one who interrupts it.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<Mutex<Option<Step>>>);

impl Progress {
    fn is(&self, step: Step) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(step);
    }

    /// What to say to the one who interrupts.
    pub(crate) fn word(&self, name: &str) -> String {
        let goes_on = format!("`rotate_project_token(\"{name}\")` goes on");
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            None => "interrupted: nothing was changed".to_owned(),
            Some(Step::Storing | Step::Searching) => {
                format!("interrupted: the new token may be stored already; {goes_on}")
            }
            Some(_) => format!("interrupted: the store has what it had before, and the rotation is begun; {goes_on}"),
        }
    }
}

/// The rotation of one project's token.
pub(crate) struct Rotation {
    ctx: Ctx,
    /// The project as the object says.
    hint: Project,
    /// And as the registry has it.
    entry: Project,
    wanted: Wanted,
    client: Client,
    checker: Option<Token>,
    rotations: Rotations,
    progress: Progress,
}

/// What came out of looking at a token.
struct Looked {
    found: Found,
    works: bool,
    version: Option<String>,
    project_id: Option<String>,
    held: Option<Held>,
}

/// What a store has, besides the old token.
enum There {
    Old,
    Another(Found),
    Nothing,
}

impl Rotation {
    /// `entry` and `wanted` are the registry's; `client` was made on the host's thread.
    pub(crate) fn new(
        ctx: Ctx,
        hint: Project,
        (entry, wanted): (Project, Wanted),
        client: Client,
        checker: Option<Token>,
        progress: Progress,
    ) -> Self {
        let rotations = Rotations::new(&ctx.dirs, wanted.sandbox);
        Self { ctx, hint, entry, wanted, client, checker, rotations, progress }
    }

    fn name(&self) -> &str {
        self.entry.short_name.as_str()
    }

    /// The stores that a look-up asks, in their order.
    fn asked(&self) -> Vec<String> {
        store::asked_for(&self.ctx, &self.wanted)
    }

    fn now(&self) -> String {
        utc(self.ctx.clock.now())
    }

    fn change(&self, action: &'static str, begun: &Begun) -> Change {
        Change {
            action,
            project: Some(self.name().to_owned()),
            token_name: Some(self.wanted.token_name.as_str().to_owned()),
            store: Some(begun.store.clone()),
            fingerprint: Some(begun.new.clone().unwrap_or_else(|| begun.old.clone())),
            replaced: begun.new.as_ref().map(|_| begun.old.clone()),
            ..Change::default()
        }
    }

    async fn audited<T>(&self, change: Change, work: impl Future<Output = Result<T>>) -> Result<T> {
        audited(&self.ctx, self.wanted.sandbox, change, work).await
    }

    /// An entry about something that is found already.
    async fn noted(&self, change: Change) -> Result<()> {
        self.audited(change, async { Ok(()) }).await
    }

    fn to(&self, begun: &mut Begun, step: Step) -> Result<()> {
        begun.step = step;
        self.rotations.put(&self.entry, begun)?;
        self.progress.is(step);
        self::step(step.as_str());
        Ok(())
    }

    /// The rotation that is begun. Up to the moment when the new token is stored it may go to another store.
    async fn known(&self, store: Option<&str>) -> Result<Option<Begun>> {
        let known = self.rotations.find(&self.entry)?;
        let Some(store) = store else { return Ok(known) };
        // That a store is unknown, forbidden or not there is told before anything is begun.
        match keep::takes_tokens(&self.ctx, store, &self.wanted).await {
            Err(error) if !is_read_only(&error) => return Err(error),
            _ => {}
        }
        match known {
            Some(begun) if begun.store != store && matches!(begun.step, Step::Storing | Step::Searching) => {
                let message =
                    format!("the new token of `{}` is being stored in `{}` already", self.name(), begun.store);
                Err(Error::new(Kind::Argument, message)
                    .hint(format!("{} goes on", begun.command()))
                    .field("argument", "store"))
            }
            Some(mut begun) => {
                store.clone_into(&mut begun.store);
                Ok(Some(begun))
            }
            None => Ok(None),
        }
    }

    /// The first steps: what the old token is, and where the new one is made. A rotation that is begun is taken up.
    ///
    /// # Errors
    /// `token_missing`, `token_form`: there is nothing to rotate. `rotation`: another process is at it. Those of a call.
    pub(crate) async fn begin(&mut self, store: Option<String>) -> Result<Stand> {
        let _lock = self.rotations.lock(&self.entry)?;
        let known = self.known(store.as_deref()).await?;
        let is_new = known.is_none();
        let (mut begun, old) = if let Some(begun) = known {
            let old = self.holder_of(&begun.old, &begun.store).await?;
            (begun, old)
        } else {
            let old = self.looked_up().await?;
            let store = store.unwrap_or_else(|| old.source.to_owned());
            (Begun::of(&self.entry, &store, old.secret.fingerprint().to_string(), self.now()), Some(old))
        };
        let there = self.there(&begun).await?;
        let resumed = !is_new && begun.step != Step::Begun;
        let mut works = None;
        if !(matches!(there, There::Another(_)) && matches!(begun.step, Step::Storing | Step::Searching)) {
            self.progress.is(begun.step);
            if !resumed {
                self.to(&mut begun, Step::Begun)?;
            }
            let looked = Box::pin(self.state_before(&mut begun, old, resumed)).await;
            if looked.is_err() && is_new {
                // Nobody was sent anywhere: nothing is begun.
                self.rotations.end(&self.entry)?;
            }
            works = looked?;
            if matches!(there, There::Another(_)) {
                begun.step = Step::Waiting;
                self.rotations.put(&self.entry, &begun)?;
            } else {
                begun.new = None;
                self.to(&mut begun, Step::Waiting)?;
                let page = begun.api_page.clone().map(|page| format!("the new token is made at {page}"));
                self.noted(Change { detail: page, ..self.change("rotate_wait", &begun) }).await?;
            }
        }
        let age = self.age(&begun).await;
        let another = match &there {
            There::Another(found) => Some(found.secret.fingerprint().to_string()),
            There::Old | There::Nothing => None,
        };
        Ok(Stand { begun, works, another, age, resumed })
    }

    /// The token that a call would use now.
    async fn looked_up(&self) -> Result<Found> {
        let found = store::look_up(&self.ctx, &self.wanted).await?;
        let found = found.ok_or_else(|| blank(&self.ctx, &self.entry))?;
        if found.form != Form::Project {
            return Err(malformed(&self.ctx, &self.entry, &found));
        }
        may_go(BoundBy::Registry, &self.entry, &found)?;
        Ok(found)
    }

    /// What the store has that the new token goes into.
    async fn there(&self, begun: &Begun) -> Result<There> {
        let found = match keep::get(&self.ctx, &begun.store, &self.wanted).await {
            // Items that differ, or a newest version that was deleted, are no obstacle: the new token takes their place.
            Err(error) if matches!(state_of(&error), Some("differing" | "deleted" | "destroyed")) => None,
            found => found?,
        };
        Ok(match found {
            Some(found) if found.form != Form::Project => There::Nothing,
            Some(found) if found.secret.fingerprint().to_string() == begun.old => There::Old,
            Some(found) => There::Another(found),
            None => There::Nothing,
        })
    }

    /// A token with this fingerprint, from whichever store of the order still has it. A store that fails has none.
    async fn holder_of(&self, print: &str, first: &str) -> Result<Option<Found>> {
        let others = self.asked().into_iter().filter(|store| store != first);
        for store in [first.to_owned()].into_iter().chain(others) {
            if let Ok(Some(found)) = keep::get(&self.ctx, &store, &self.wanted).await
                && found.secret.fingerprint().to_string() == print
                && may_go(BoundBy::Registry, &self.entry, &found).is_ok()
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The old token before the new one comes: whether it works, and the first time what it may. Nothing where no store
    /// has it any more.
    async fn state_before(&mut self, begun: &mut Begun, old: Option<Found>, resumed: bool) -> Result<Option<bool>> {
        let Some(old) = old else { return Ok(None) };
        let change = self.change("rotate_begin", begun);
        let mut checker = self.checker.take();
        let looked = self.audited(change, Box::pin(self.look_at(old, !resumed, checker.as_mut()))).await?;
        let now = Some(self.now());
        if looked.works {
            begun.worked = now;
            begun.refused = None;
        } else {
            begun.refused = begun.refused.take().or(now);
        }
        begun.project_id = looked.project_id.or(begun.project_id.take());
        begun.held = looked.held.or(begun.held.take());
        begun.api_page = match &looked.version {
            Some(version) => Some(api_page(&self.entry, version, begun.project_id.as_deref())),
            // The path to the page has REDCap's version in it, which a refused token cannot ask for.
            None => begun.api_page.take().or_else(|| Some(front_page(&self.entry))),
        };
        drop(looked.found);
        Ok(Some(looked.works))
    }

    /// Asks REDCap about a token, with calls of that token and of no other. That REDCap refuses it is an answer.
    async fn look_at(&self, found: Found, rights: bool, checker: Option<&mut Token>) -> Result<Looked> {
        let operation = Operation::new(&self.ctx, self.hint.clone(), self.wanted.sandbox, self.client.clone());
        let mut token = Token::new(self.ctx.clone(), operation.with_token(found), self.hint.clone());
        let asked = async {
            let version = match version_of(&mut token.operation).await {
                Ok(version) => version,
                Err(error) if error.kind == Kind::TokenRefused => return Ok(None),
                Err(error) => return Err(error),
            };
            let held = if rights { Some(held(&mut token, checker).await?) } else { None };
            Ok(Some((version, held)))
        };
        let asked = Box::pin(asked).await;
        let written = token.operation.finish().await;
        let asked = asked?;
        written?;
        let project_id = token.project_id().filter(|_| token.read_project()).map(str::to_owned);
        let found = token.operation.into_token();
        let found = found.ok_or_else(|| Error::new(Kind::Internal, "an operation lost its token"))?;
        Ok(match asked {
            Some((version, held)) => Looked { found, works: true, version: Some(version), project_id, held },
            None => Looked { found, works: false, version: None, project_id: None, held: None },
        })
    }

    /// How old the token that is replaced is, as far as it is known here.
    async fn age(&self, begun: &Begun) -> Option<String> {
        let (ages, old, now) = (self.ages(), begun.old.clone(), self.ctx.clock.now());
        io::blocking(move || Ok(ages.age(&old, now)?.words(now))).await.ok()?
    }

    fn ages(&self) -> Ages {
        Ages::of(&self.ctx, &self.entry, self.wanted.sandbox)
    }

    /// Keeps when the new token was made: not before the old one was last seen to work. Where that cannot be kept, the
    /// rotation is done all the same.
    async fn born(&self, begun: &Begun, evidence: &Evidence) {
        let Some(new) = begun.new.clone() else { return };
        let is_listed = matches!(evidence.rights, "self" | "checker") && evidence.lost.is_empty();
        let old = begun.old.clone();
        let seen = begun.worked.as_deref().or(begun.refused.as_deref()).and_then(seconds);
        let made = seen.map_or_else(|| self.ctx.clock.now(), |at| UNIX_EPOCH + Duration::from_secs_f64(at.max(0.0)));
        let ages = self.ages();
        let kept = io::blocking(move || {
            ages.created(&new, made, Born::Rotation)?;
            if is_listed { ages.inherit(&new, &old) } else { Ok(()) }
        });
        if let Err(error) = kept.await {
            self.ctx.log.warning(format!("the new token's age is not kept: {}", error.message));
        }
    }

    /// The steps from the new token on. Without a descriptor or a file the store is looked at first, then a person is
    /// asked; where nobody can be asked, the rotation goes on waiting.
    ///
    /// # Errors
    /// `rotation`: the new token is not what it must be, and nothing was stored; the rotation goes on waiting. Those of
    /// entering a token, of the store, and of a call.
    pub(crate) async fn finish(&mut self, way: Way, place: Place, hold: &Hold) -> Result<Done> {
        let _lock = self.rotations.lock(&self.entry)?;
        let Some(mut begun) = self.rotations.find(&self.entry)? else {
            return Err(failed("not_begun", format!("no rotation of `{}` is begun", self.name()))
                .hint(format!("`rotate_project_token(\"{}\")` begins one", self.name())));
        };
        self.progress.is(begun.step);
        if let (Way::Person, There::Another(found)) = (&way, self.there(&begun).await?) {
            let print = found.secret.fingerprint().to_string();
            match Box::pin(self.check(&mut begun, found)).await {
                Ok((found, evidence)) => return Box::pin(self.take_over(begun, found, None, evidence, true)).await,
                Err(error) if is_refused(&error) => self.ctx.log.note(format!(
                    "`{}` has another token ({print}), which REDCap refuses: it is not the new one",
                    begun.store
                )),
                Err(error) => return Err(error),
            }
        }
        let entered = match self.enter(&begun, way, place, hold).await {
            Ok(entered) => entered,
            Err(Unentered::Nobody(waiting)) => return Ok(Done::Waiting(waiting)),
            Err(Unentered::Failed(error)) => return Err(error),
        };
        let Entered { found, wipe } = entered;
        step("entered");
        self.takes_no_place(&begun, &found).await?;
        let (found, evidence) = Box::pin(self.check(&mut begun, found)).await?;
        Box::pin(self.take_over(begun, found, wipe, evidence, false)).await
    }

    /// What stands in the store meanwhile and works is somebody's, and no token is overwritten that may be the only copy.
    /// Nor does one go beside another server's origin, where a machine without a registry would send it.
    async fn takes_no_place(&self, begun: &Begun, entered: &Found) -> Result<()> {
        let held = keep::held(&self.ctx, &begun.store, &self.wanted).await?;
        bond_of_target(&self.entry, &begun.store, held.origin.as_ref())?;
        let There::Another(other) = self.there(begun).await? else { return Ok(()) };
        let (print, new) = (other.secret.fingerprint(), entered.secret.fingerprint());
        if print == new || !Box::pin(self.look_at(other, false, None)).await?.works {
            return Ok(());
        }
        Err(failed(
            "another_there",
            format!(
                "`{}` has another token under `{}` ({print}), which REDCap accepts and which is not the one that was given \
                 ({new}); nothing was stored",
                begun.store,
                self.wanted.token_name.as_str()
            ),
        )
        .hint(format!("{} without `file` and `fd` checks and takes the one that is there", begun.command()))
        .hint("if it belongs to somebody else, put it where it belongs, then go on"))
    }

    async fn enter(
        &self,
        begun: &Begun,
        way: Way,
        place: Place,
        hold: &Hold,
    ) -> std::result::Result<Entered, Unentered> {
        let by_person = matches!(way, Way::Person);
        if let Err(error) = keep::takes_tokens(&self.ctx, &begun.store, &self.wanted).await {
            if by_person && is_read_only(&error) {
                return Err(Unentered::Nobody(Waiting::boxed(begun, &place_it(self.name(), &self.wanted, begun))));
            }
            return Err(Unentered::Failed(error));
        }
        let question = Question {
            project: self.name().to_owned(),
            token_name: self.wanted.token_name.as_str().to_owned(),
            store: begun.store.clone(),
            kept: self.entry.dir_path.is_some() && !self.wanted.sandbox,
        };
        let entered = enter(&self.ctx, way, &self.wanted, question, place, hold).await;
        entered.map_err(|error| {
            let nobody = error.kind == Kind::Argument
                && error.fields.iter().any(|(name, value)| name == "argument" && value.as_text() == Some("from"));
            if by_person && nobody {
                let name = self.name();
                let hints = [
                    format!("in a terminal (in RStudio: the tab `Terminal`): `Rscript -e 'keycap::rotate_project_token(\"{name}\")'`"),
                    format!("in a script: {} with `file` (one that is yours alone) or `fd`", begun.command()),
                ];
                Unentered::Nobody(Waiting::boxed(begun, &hints))
            } else {
                Unentered::Failed(error)
            }
        })
    }

    /// The new token, before anything has it.
    async fn check(&mut self, begun: &mut Begun, found: Found) -> Result<(Found, Evidence)> {
        begun.new = Some(found.secret.fingerprint().to_string());
        self.to(begun, Step::Checking)?;
        let change = Change { from: Some(found.source.to_owned()), ..self.change("rotate_check", begun) };
        let mut checker = self.checker.take();
        let answer = self.audited(change, Box::pin(self.checked(begun, found, checker.as_mut()))).await;
        self.checker = checker;
        step("checked");
        if answer.is_err() {
            // What is waited for is still waited for.
            begun.new = None;
            self.to(begun, Step::Waiting)?;
        }
        answer
    }

    async fn checked(&self, begun: &Begun, found: Found, checker: Option<&mut Token>) -> Result<(Found, Evidence)> {
        let (name, print) = (self.name(), found.secret.fingerprint().to_string());
        if found.form != Form::Project {
            return Err(malformed(&self.ctx, &self.entry, &found));
        }
        may_go(BoundBy::Registry, &self.entry, &found)?;
        if print == begun.old {
            return Err(failed("same", format!("this is the old token of `{name}` ({print}), not a new one"))
                .hint("click `Regenerate` on the project's API page in REDCap, and copy what it shows then"));
        }
        let looked = Box::pin(self.look_at(found, true, checker)).await?;
        if !looked.works {
            return Err(failed(
                "refused",
                format!("REDCap refuses the new token of `{name}` ({print}); it is not stored"),
            )
            .hint("copy it again from the project's API page: it may have been regenerated once more meanwhile"));
        }
        let after = looked.held.unwrap_or_default();
        if let Some(against) = after.contradicted.as_ref()
            && begun.held.as_ref().is_none_or(|before| before.contradicted.is_none())
        {
            return Err(failed("other_user", format!("the new token of `{name}` is not stored: {against}"))
                .hint("regenerate and copy the token as the user that the project is set up with"));
        }
        let gained = begun.held.as_ref().map(|before| more(before, &after)).unwrap_or_default();
        if !gained.is_empty() {
            let gained = gained.join("; ");
            return Err(failed("more_rights", format!("the new token of `{name}` may do more than the old one ({gained}); it is not stored"))
                .hint("is it another user's token? Then regenerate and copy that of the right user")
                .hint(format!(
                    "if the user was given these rights meanwhile and should have them: `set_project_token(\"{name}\", store = \"{}\")`, \
                     then `rotate_project_token(\"{name}\", cancel = TRUE)`",
                    begun.store
                )));
        }
        let lost = begun.held.as_ref().map(|before| fewer(before, &after)).unwrap_or_default();
        let listed = begun.held.as_ref().is_some_and(|before| both_listed(before, &after));
        let evidence = Evidence {
            same_project: looked.project_id.is_some() && looked.project_id == begun.project_id,
            user: match (&self.entry.redcap_user, after.evidence.as_str()) {
                (None, _) => "unknown",
                (Some(_), "self") => "self",
                (Some(_), "checker") => "checker",
                (Some(_), _) => "declared",
            },
            rights: match (&begun.held, listed, after.evidence.as_str()) {
                (None, ..) => "unknown",
                (Some(_), true, "checker") => "checker",
                (Some(_), true, _) => "self",
                (Some(_), false, _) => "probe",
            },
            how: looked.found.source,
            lost,
            old_refused: None,
        };
        Ok((looked.found, evidence))
    }

    /// The old one is refused; the new one goes into the store; the others are looked at.
    async fn take_over(
        &mut self,
        mut begun: Begun,
        found: Found,
        wipe: Option<Wipe>,
        mut evidence: Evidence,
        is_there: bool,
    ) -> Result<Done> {
        self.to(&mut begun, Step::Confirming)?;
        evidence.old_refused =
            self.audited(self.change("rotate_confirm", &begun), Box::pin(self.confirmed(&begun))).await?;
        if evidence.old_refused == Some(true) && begun.refused.is_none() {
            begun.refused = Some(self.now());
        }
        step("confirmed");
        self.to(&mut begun, Step::Storing)?;
        let mut wiped = false;
        if is_there {
            drop(found);
        } else {
            wiped = self.put(&begun, found, wipe).await?;
        }
        step("stored");
        let ended = self.now();
        self.to(&mut begun, Step::Searching)?;
        let change = self.change("rotate_search", &begun);
        let (still, shadowed_by) = self.audited(change, async { Ok(self.others(&begun).await) }).await?;
        step("searched");
        self.born(&begun, &evidence).await;
        let since = |time: &Option<String>| Some(seconds(&ended)? - seconds(time.as_deref()?)?);
        let (at_most, at_least) = (since(&begun.worked), since(&begun.refused));
        let done = evidence::Finished { begun, evidence, still, shadowed_by, at_most, at_least, wiped };
        let detail = Some(done.detail());
        self.noted(Change { detail, ..self.change("rotate_done", &done.begun) }).await?;
        step("noted");
        self.rotations.end(&self.entry)?;
        Ok(Done::Finished(Box::new(done)))
    }

    /// Whether REDCap refuses the old token; nothing where no store has it any more.
    async fn confirmed(&self, begun: &Begun) -> Result<Option<bool>> {
        let Some(old) = self.holder_of(&begun.old, &begun.store).await? else { return Ok(None) };
        if !Box::pin(self.look_at(old, false, None)).await?.works {
            return Ok(Some(true));
        }
        let name = self.name();
        Err(failed(
            "two_valid",
            format!(
                "REDCap accepts the old token of `{name}` still, beside the new one: two tokens are valid, and the new one \
                 is not stored"
            ),
        )
        .hint("a user has one token in a project, so the new one is another user's: copy that of the right user")
        .hint(format!(
            "to change the user on purpose: `rotate_project_token(\"{name}\", cancel = TRUE)`, delete the old token in \
             REDCap, and set the new one with `set_project_token()`"
        )))
    }

    /// Put, read back and compared; carried through where the operation is cancelled. Whether its file was wiped.
    async fn put(&self, begun: &Begun, found: Found, wipe: Option<Wipe>) -> Result<bool> {
        let change = Change {
            from: Some(found.source.to_owned()),
            detail: Some("rotation".to_owned()),
            ..self.change("set_token", begun)
        };
        let (ctx, wanted, store) = (self.ctx.clone(), self.wanted.clone(), begun.store.clone());
        let carried = tokio::spawn(async move {
            step("before put");
            let put = keep::put(&ctx, &store, &wanted, &found.secret, &found.form);
            audited(&ctx, wanted.sandbox, change, put).await?;
            drop(found);
            step("put");
            let Some(wipe) = wipe else { return Ok(false) };
            match io::blocking(move || wipe.carry_out()).await {
                Ok(()) => Ok(true),
                Err(error) => {
                    let what = format!("the token is stored, but its file is still there: {}", error.message);
                    ctx.log.warning(what);
                    Ok(false)
                }
            }
        });
        carried.await.unwrap_or_else(|_| Err(Error::new(Kind::Internal, "storing the new token broke off")))
    }

    /// The stores that still have the old token, and the one whose token is used instead of the new one.
    async fn others(&self, begun: &Begun) -> (Vec<String>, Option<String>) {
        let mut still = Vec::new();
        for store in self.asked().into_iter().filter(|store| *store != begun.store) {
            match keep::get(&self.ctx, &store, &self.wanted).await {
                Ok(Some(found)) if found.secret.fingerprint().to_string() == begun.old => still.push(store),
                Ok(_) => {}
                Err(error) => self
                    .ctx
                    .log
                    .warning(format!("whether `{store}` still has the old token is not known: {}", error.message)),
            }
        }
        let used = store::look_up(&self.ctx, &self.wanted).await.ok().flatten();
        let shadow = used.filter(|used| Some(used.secret.fingerprint().to_string()) != begun.new);
        (still, shadow.map(|used| used.source.to_owned()))
    }

    /// Gives a rotation up that is begun. Where the old token is dead already, that is no way out, unless the store has
    /// another one by now.
    ///
    /// # Errors
    /// `rotation`: none is begun, or the old token is dead and the store has no other one. Those of a call.
    pub(crate) async fn cancel(&mut self) -> Result<Begun> {
        let _lock = self.rotations.lock(&self.entry)?;
        let name = self.name().to_owned();
        let Some(mut begun) = self.rotations.find(&self.entry)? else {
            return Err(failed(
                "not_begun",
                format!("no rotation of `{name}` is begun, so there is nothing to give up"),
            ));
        };
        begun.new = match self.there(&begun).await? {
            There::Another(found) => Some(found.secret.fingerprint().to_string()),
            There::Old | There::Nothing => None,
        };
        let change = self.change("rotate_cancel", &begun);
        self.audited(change, async {
            let old = if begun.new.is_none() { self.holder_of(&begun.old, &begun.store).await? } else { None };
            if let Some(old) = old
                && !Box::pin(self.look_at(old, false, None)).await?.works
            {
                return Err(failed(
                    "waiting",
                    format!("the old token of `{name}` is dead already, so its rotation cannot be given up"),
                )
                .hint(format!("{} takes the new token and ends this", begun.command())));
            }
            self.rotations.end(&self.entry)
        })
        .await?;
        Ok(begun)
    }
}

/// Why no token came.
enum Unentered {
    /// Nobody can be asked here, or the store takes none from us.
    Nobody(Box<Waiting>),
    Failed(Error),
}

fn is_refused(error: &Error) -> bool {
    state_of(error) == Some("refused")
}

fn is_read_only(error: &Error) -> bool {
    state_of(error) == Some("read_only")
}

fn state_of(error: &Error) -> Option<&str> {
    error.fields.iter().find(|(name, _)| name == "state").and_then(|(_, value)| value.as_text())
}

/// What to do where keycap cannot write to the store.
fn place_it(name: &str, wanted: &Wanted, begun: &Begun) -> Vec<String> {
    let command = begun.command();
    if begun.store == "env" {
        let token_name = wanted.token_name.as_str();
        return vec![
            format!(
                "put the new token into the line `{token_name}=` of your `.Renviron`, then `readRenviron(\"~/.Renviron\")` and {command}"
            ),
            format!("or keep it out of files: `rotate_project_token(\"{name}\", store = \"keyring\")` asks for it"),
        ];
    }
    vec![format!("put the new token into `{}` by its own means, then {command}", begun.store)]
}

/// Where a person begins who knows no better page.
fn front_page(project: &Project) -> String {
    let uri = project.redcap_uri.as_str();
    uri.strip_suffix("api/").unwrap_or(uri).to_owned()
}
