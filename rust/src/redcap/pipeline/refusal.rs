//! What becomes of a call whose token REDCap refuses.
//!
//! A token may have been replaced while an operation runs: regenerated in REDCap and stored anew. So a refusal is answered
//! by one new look-up, one an operation however many of its calls were refused. Another fingerprint is tried once, in a
//! call of its own, and kept; the same fingerprint lets the refusal stand.

use super::{Came, Failed, Operation, limiter};
use crate::audit::utc;
use crate::error::{Error, Result};
use crate::project::{Begun, Rotations};
use crate::redcap::answer::Sink;
use crate::redcap::bound::BoundBy;
use crate::redcap::request::Request;
use crate::store::{self, Found};
use crate::token::{Fingerprint, Form};

impl Operation {
    /// What came of a request; if REDCap refused the token, what came of it with another one.
    pub(super) async fn or_renewed(
        &mut self,
        request: &Request,
        sink: &mut dyn Sink,
        tried: std::result::Result<(), Failed>,
    ) -> Result<()> {
        let Err(failed) = tried else { return Ok(()) };
        let Some(refused) = &failed.refused else { return Err(failed.error) };
        match self.renew(refused).await {
            Ok(true) => {}
            Ok(false) => return Err(self.with_reason(failed.error).await),
            Err(why) => {
                return Err(self
                    .with_rotation(failed.error)
                    .hint(format!("the token was looked up anew, without success: {}", why.message)));
            }
        }
        let permit = limiter::reserve(&self.ctx, &self.project.redcap_uri, 1).await;
        self.or_refused(request, permit).await?;
        let is_check = self.is_check && request.is_check();
        self.comply(request, is_check).await?;
        let harmless = self.without_token(request);
        self.or_refused(request, harmless).await?;
        match self.tries(request, sink, None).await {
            Ok(()) => Ok(()),
            Err(failed) if failed.refused.is_some() => Err(self.with_reason(failed.error).await),
            Err(failed) => Err(failed.error),
        }
    }

    /// A refusal that stands, and why it may be: the token is being replaced, or it is in the way of another one.
    async fn with_reason(&self, error: Error) -> Error {
        let error = self.with_rotation(error);
        self.with_shadow(error).await
    }

    /// A rotation of the project's token that is begun. Of a state that cannot be read the rotation itself will tell.
    pub(in crate::redcap) fn rotation(&self) -> Option<Begun> {
        Rotations::new(&self.ctx.dirs, self.sandbox).find(&self.project).ok().flatten()
    }

    /// REDCap kills a token at the click that makes the next one. Where a rotation of this one is begun, that is what
    /// became of it, and there is one command that ends it.
    fn with_rotation(&self, mut error: Error) -> Error {
        let (Some(found), Some(begun)) = (&self.found, self.rotation()) else { return error };
        let Some(waits) = begun.waits(&found.secret.fingerprint().to_string()) else { return error };
        // When the service was first seen to be gone is of interest, and what cannot be noted is not.
        if begun.refused.is_none() {
            let rotations = Rotations::new(&self.ctx.dirs, self.sandbox);
            drop(rotations.refused(&self.project, utc(self.ctx.clock.now())));
        }
        error.message = format!("{}; {waits}", error.message);
        error.hints.insert(0, format!("{} takes the new token and ends this", begun.command()));
        error.field("rotation", "waiting")
    }

    /// Looks the token up anew, if that was not done before. Whether there is another one than was refused.
    async fn renew(&mut self, refused: &Fingerprint) -> Result<bool> {
        if self.found.as_ref().is_some_and(|found| found.secret.fingerprint() != *refused) {
            // It was sent beside a call for which the token was looked up anew already.
            return Ok(true);
        }
        if self.came != Came::LookedUp {
            return Ok(false);
        }
        self.came = Came::Renewed;
        let found = self.resolve().await?;
        let print = found.secret.fingerprint();
        if print == *refused {
            return Ok(false);
        }
        self.ctx.log.note(format!(
            "REDCap refused the token; a new look-up found another one in `{}` ({print}), which is used from here on",
            found.source
        ));
        self.found = Some(found);
        Ok(true)
    }

    /// A refusal that stands. Where a later store holds another token, the one that was refused may only be in its way.
    async fn with_shadow(&self, error: Error) -> Error {
        let (Some(found), Some(by)) = (&self.found, self.bound_by) else { return error };
        let _turn = match &self.turn {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        let print = found.secret.fingerprint();
        let Ok(wanted) = self.wanted() else { return error };
        let behind = store::look_behind(&self.ctx, &wanted, by.asked(), found.source).await;
        let is_another = |other: &Found| other.form == Form::Project && other.secret.fingerprint() != print;
        let Some(other) = behind.into_iter().filter_map(|seen| seen.answer.ok()?).find(is_another) else {
            return error;
        };
        let (name, source) = (self.project.token_name.as_str(), found.source);
        let (behind, other) = (other.source, other.secret.fingerprint().to_string());
        let project = match by {
            BoundBy::Registry => format!("\"{}\"", self.project.short_name.as_str()),
            BoundBy::Site | BoundBy::Store => "project".to_owned(),
        };
        error
            .hint(format!(
                "`{name}` holds different tokens in `{source}` ({print}), which was refused, and in `{behind}` ({other}), \
                 which is not used: `remove_project_token({project}, store = \"{source}\")` ends that"
            ))
            .field("source", source)
            .field("fingerprint", print.to_string())
            .field("shadowed_source", behind)
            .field("shadowed_fingerprint", other)
    }
}
