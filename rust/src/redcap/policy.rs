//! Whether a token complies with the policy of its project, and what becomes of a call where it does not.
//!
//! [`judge`] says it from what is known, and asks nobody. The pipeline asks twice: before the limiter and the look-up for
//! what is known without the token ([`allow`]), and right after the look-up for the rest ([`allow_token`]). Neither makes
//! a call of its own: what REDCap says of a token's rights, group and age is what `policy_status()` found last.
//!
//! A check (see [`CHECKS`]) is always allowed, or a token that is too old could never be tested or replaced.

use std::time::{Duration, SystemTime};

use super::age::{Age, Ages, Check, Checked, days_between, in_days};
use crate::audit::{Checkpoints, Unanchored};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::net::io::blocking;
use crate::project::{Grant, Grants, OnBreach, OnUnknown, Policy, Project, Registries, Span};

/// What a check may ask for: none of it reads records. It is allowed whatever a policy says, and is no use of a token.
pub(crate) const CHECKS: [&str; 8] =
    ["version", "project", "user", "userRole", "userRoleMapping", "dag", "userDagMapping", "log"];

/// So many days what was found by a check counts.
const CHECK_COUNTS: f64 = 30.0;

/// The last part of a limit, in which its end is told ahead, and how many days that is at most.
const AHEAD: (f64, f64) = (0.2, 14.0);

/// An hour, in days.
const HOUR: f64 = 1.0 / 24.0;

/// A clock may be so much behind before it counts as set back.
const SLACK: Duration = Duration::from_secs(300);

const SET_BACK: &str = "this computer's clock shows a time before the last entry: it was set back";

/// What a policy can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    MaxAge,
    MaxIdle,
    Stores,
    Needs,
    Dag,
    Anchor,
}

impl Rule {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::MaxAge => "max_age",
            Self::MaxIdle => "max_idle",
            Self::Stores => "stores",
            Self::Needs => "needs",
            Self::Dag => "dag",
            Self::Anchor => "anchor",
        }
    }
}

/// How things stand with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Ok,
    /// It holds, and not for long any more.
    Warning,
    Breach,
    Unknown,
}

impl State {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Breach => "breach",
            Self::Unknown => "unknown",
        }
    }
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Made,
    Warned,
    Refused,
}

impl Call {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Warned => "warned",
            Self::Refused => "refused",
        }
    }
}

/// How things stand with one rule for one project.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) rule: Rule,
    /// What the policy says.
    pub(crate) limit: String,
    pub(crate) state: State,
    pub(crate) call: Call,
    /// Until the limit is reached; negative where it is over.
    pub(crate) days_left: Option<f64>,
    /// How it is known.
    pub(crate) evidence: Option<String>,
    /// What is so, in one sentence.
    pub(crate) says: String,
    /// What to do, where there is something to do.
    pub(crate) remedy: Option<String>,
}

/// What is known of a token, beside its project.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The store that it came from.
    pub(crate) source: String,
    pub(crate) age: Age,
    /// When it was last used by a call that is no check; else since when it is known that it was not.
    pub(crate) used: Option<Use>,
    pub(crate) grant: Option<Grant>,
    pub(crate) rights: Option<Checked>,
    pub(crate) group: Option<Checked>,
}

/// The last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Then.
    At(SystemTime),
    /// Not since then, which is as far as was looked, or when keycap first saw the token.
    NotSince(SystemTime),
}

/// What is known of the audit log's anchors.
pub(crate) type Anchored = std::result::Result<Unanchored, String>;

/// How things stand with each rule of a policy that what is given says something about: `anchored` about the audit
/// log, `known` about the token.
pub(crate) fn judge(
    policy: &Policy,
    project: &Project,
    now: SystemTime,
    anchored: Option<&Anchored>,
    known: Option<&Known>,
) -> Vec<Finding> {
    let judge = Judge { policy, name: project.short_name.as_str(), now };
    let mut findings = Vec::new();
    if let Some(known) = known {
        findings.extend(policy.max_age.map(|limit| judge.age(limit, &known.age)));
        findings.extend(policy.max_idle.map(|limit| judge.idle(limit, known)));
        findings.extend(policy.stores.as_deref().map(|stores| judge.store(stores, &known.source)));
        findings.extend(policy.needs.as_deref().map(|needs| judge.rights(needs, known.rights.as_ref())));
    }
    if policy.dag == Some(true) {
        match (&project.dag, known) {
            (Some(dag), Some(known)) => findings.push(judge.group(dag, known.group.as_ref())),
            (Some(_), None) => {}
            (None, _) => findings.push(judge.without_group()),
        }
    }
    if let (Some(limit), Some(anchored)) = (policy.anchor, anchored) {
        findings.push(judge.anchor(limit, anchored));
    }
    findings
}

struct Judge<'a> {
    policy: &'a Policy,
    name: &'a str,
    now: SystemTime,
}

impl Judge<'_> {
    fn finding(&self, rule: Rule, limit: String, state: State, says: String) -> Finding {
        let call = match state {
            State::Ok | State::Warning => Call::Made,
            State::Breach if self.policy.on_breach() == OnBreach::Refuse => Call::Refused,
            State::Unknown if self.policy.unknown() == OnUnknown::Refuse => Call::Refused,
            State::Unknown if self.policy.unknown() == OnUnknown::Allow => Call::Made,
            State::Breach | State::Unknown => Call::Warned,
        };
        Finding { rule, limit, state, call, days_left: None, evidence: None, says, remedy: None }
    }

    /// Of what may last so long and has lasted so many days.
    fn timed(&self, rule: Rule, limit: Span, days: f64, says: String) -> Finding {
        let left = limit.days() - days;
        let state = if left < 0.0 {
            State::Breach
        } else if left <= (limit.days() * AHEAD.0).min(AHEAD.1) {
            State::Warning
        } else {
            State::Ok
        };
        let mut finding = Finding { days_left: Some(left), ..self.finding(rule, limit.to_string(), state, says) };
        self.be_graceful(&mut finding, -left);
        finding
    }

    /// A breach that began so many days ago is not refused before the grace is over.
    fn be_graceful(&self, finding: &mut Finding, days: f64) {
        if finding.state == State::Breach && finding.call == Call::Refused && days <= self.policy.grace().days() {
            finding.call = Call::Warned;
        }
    }

    fn age(&self, limit: Span, age: &Age) -> Finding {
        let remedy = Some(format!("`rotate_project_token(\"{}\")` leads through a new token", self.name));
        let finding = match age {
            Age::Exact { evidence, .. } => {
                let days = age.days(self.now).unwrap_or_default();
                let says = format!("the token is {} old, and may be {limit}", in_days(days));
                Finding { evidence: Some(evidence.words().to_owned()), ..self.timed(Rule::MaxAge, limit, days, says) }
            }
            Age::AtLeast { .. } => {
                let days = age.days(self.now).unwrap_or_default();
                let says = if days < HOUR {
                    format!("keycap first saw the token {} ago, and it may be {limit} old", in_days(days))
                } else {
                    format!("the token is at least {} old, and may be {limit}", in_days(days))
                };
                let evidence = "since keycap first saw it; it may be older".to_owned();
                Finding { evidence: Some(evidence), ..self.timed(Rule::MaxAge, limit, days, says) }
            }
            Age::Unknown(why) => {
                let says = format!("it is not known how old the token is: {why}");
                self.finding(Rule::MaxAge, limit.to_string(), State::Unknown, says)
            }
        };
        if finding.state == State::Ok { finding } else { Finding { remedy, ..finding } }
    }

    fn idle(&self, limit: Span, known: &Known) -> Finding {
        let unknown = |why: &str| {
            let says = format!("it is not known when the token was last used: {why}");
            self.finding(Rule::MaxIdle, limit.to_string(), State::Unknown, says)
        };
        let (since, exact) = match known.used {
            None => return unknown("keycap cannot read what it noted of the token"),
            Some(Use::At(at)) => (at, true),
            Some(Use::NotSince(at)) => (at, false),
        };
        if since > self.now + SLACK {
            return unknown(SET_BACK);
        }
        let days = days_between(since, self.now);
        let ago = in_days(days);
        let says = match exact {
            true => format!("was last used {ago} ago"),
            false if days < HOUR => "was not used since keycap first saw it".to_owned(),
            false => format!("was not used for at least {ago}"),
        };
        let says = format!("the token {says}, and may go unused for {limit}");
        let evidence = Some("the audit log".to_owned());
        let finding = Finding { evidence, ..self.timed(Rule::MaxIdle, limit, days, says) };
        if finding.state != State::Breach {
            return finding;
        }
        if let Some(grant) = known.grant.as_ref().filter(|grant| grant.days_left(self.now) >= 0.0) {
            let left = grant.days_left(self.now);
            let state = if left <= AHEAD.1 { State::Warning } else { State::Ok };
            let says = format!("{}; it may go on until {}", finding.says, grant.until);
            let evidence = Some(format!("reauthorized by {}", grant.by));
            let granted = self.finding(Rule::MaxIdle, limit.to_string(), state, says);
            return Finding { days_left: Some(left), evidence, ..granted };
        }
        let name = self.name;
        let remedy = format!("a named person lets it go on with `reauthorize_project(\"{name}\", until, by)`");
        Finding { remedy: Some(remedy), ..finding }
    }

    fn store(&self, stores: &[String], source: &str) -> Finding {
        let limit = stores.join(", ");
        // The sandbox's own tokens are in no store.
        if source == "sandbox" || stores.iter().any(|store| store == source) {
            return self.finding(Rule::Stores, limit, State::Ok, format!("the token comes from `{source}`"));
        }
        let says = format!("the token comes from `{source}`, and may come from `{}` only", stores.join("`, `"));
        let finding = self.finding(Rule::Stores, limit, State::Breach, says);
        let name = self.name;
        let to = stores.first().map(String::as_str).unwrap_or_default();
        Finding {
            remedy: Some(format!(
                "`move_project_token(\"{name}\", from = \"{source}\", to = \"{to}\")` takes it there"
            )),
            ..finding
        }
    }

    /// Of what a check found, where it asked the same and is not too old.
    fn checked(&self, rule: Rule, limit: String, asked: &str, checked: Option<&Checked>, what: &str) -> Finding {
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let unknown = |says: String| {
            let name = self.name;
            let remedy = format!(
                "`policy_status(\"{name}\", checked_by = ...)` asks REDCap; what nobody can read, `check_project_dag()` and `check_project_rights()` name"
            );
            Finding { remedy: Some(remedy), ..self.finding(rule, limit.clone(), State::Unknown, says) }
        };
        let Some(found) = checked.filter(|found| found.asked == asked) else {
            return unknown(format!("{what} were not checked yet"));
        };
        if at(found.at) > self.now + SLACK {
            return unknown(format!("{what}: {SET_BACK}"));
        }
        let days = days_between(at(found.at), self.now);
        if days > CHECK_COUNTS {
            return unknown(format!("{what} were last checked {} ago", in_days(days)));
        }
        let evidence = Some(format!("checked {} ago", in_days(days)));
        match found.good {
            None => Finding { evidence, ..unknown(found.says.clone()) },
            Some(true) => Finding { evidence, ..self.finding(rule, limit, State::Ok, found.says.clone()) },
            Some(false) => {
                let mut finding = self.finding(rule, limit, State::Breach, found.says.clone());
                self.be_graceful(&mut finding, days_between(at(found.since), self.now));
                Finding { evidence, ..finding }
            }
        }
    }

    fn rights(&self, needs: &[String], checked: Option<&Checked>) -> Finding {
        let asked = needs.join(", ");
        let finding = self.checked(Rule::Needs, asked.clone(), &asked, checked, "the token's rights");
        if finding.state != State::Breach {
            return finding;
        }
        let name = self.name;
        let remedy =
            format!("take in REDCap what is too much from its user; `check_project_rights(\"{name}\")` lists it");
        Finding { remedy: Some(remedy), ..finding }
    }

    fn group(&self, dag: &str, checked: Option<&Checked>) -> Finding {
        let finding = self.checked(Rule::Dag, dag.to_owned(), dag, checked, "its Data Access Groups");
        if finding.state != State::Breach {
            return finding;
        }
        let name = self.name;
        let remedy = format!("assign its user to `{dag}` in REDCap; `check_project_dag(\"{name}\")` tells what is so");
        Finding { remedy: Some(remedy), ..finding }
    }

    fn without_group(&self) -> Finding {
        let says = "the project is set up without a Data Access Group, and has to be confined to one".to_owned();
        let remedy = "set it up again with `dag`, the unique name of the group".to_owned();
        let finding = self.finding(Rule::Dag, "one of its own".to_owned(), State::Breach, says);
        Finding { remedy: Some(remedy), ..finding }
    }

    fn anchor(&self, limit: Span, anchored: &Anchored) -> Finding {
        let remedy = |what: &str| Some(what.to_owned());
        match anchored {
            Ok(Unanchored::Nothing) => {
                let says = "every call in the audit log is kept by an anchor".to_owned();
                self.finding(Rule::Anchor, limit.to_string(), State::Ok, says)
            }
            Ok(Unanchored::Everything) => {
                let says = "the audit log has no anchor".to_owned();
                let finding = self.finding(Rule::Anchor, limit.to_string(), State::Breach, says);
                let what = "name an anchor in the settings: `?checkpoint_audit_log` says how";
                Finding { remedy: remedy(what), ..finding }
            }
            Ok(Unanchored::Since(at)) if *at > self.now + SLACK => {
                self.finding(Rule::Anchor, limit.to_string(), State::Unknown, SET_BACK.to_owned())
            }
            Ok(Unanchored::Since(at)) => {
                let days = days_between(*at, self.now);
                let says =
                    format!("calls of the last {} are kept by no anchor, and may be so for {limit}", in_days(days));
                let finding = self.timed(Rule::Anchor, limit, days, says);
                let what = "`checkpoint_audit_log()` brings the anchors what they lack";
                Finding { remedy: remedy(what).filter(|_| finding.state != State::Ok), ..finding }
            }
            Err(why) => {
                let says = format!("it is not known whether the audit log is anchored: {why}");
                self.finding(Rule::Anchor, limit.to_string(), State::Unknown, says)
            }
        }
    }
}

/// What is known of the anchors, where the policy asks for them. A sandbox's log goes to none.
pub(crate) async fn anchored(policy: &Policy, checkpoints: &Checkpoints, sandbox: bool) -> Option<Anchored> {
    if policy.anchor.is_none() || sandbox {
        return None;
    }
    Some(checkpoints.unanchored().await.map_err(|error| error.message))
}

/// Notes that a token was seen, and gives what is known of it, as far as the policy asks for it.
pub(crate) async fn known(
    ctx: &Ctx,
    policy: &Policy,
    project: &Project,
    sandbox: bool,
    source: &str,
    fingerprint: &str,
) -> Result<Known> {
    let (ctx, policy, project) = (ctx.clone(), policy.clone(), project.clone());
    let (source, print) = (source.to_owned(), fingerprint.to_owned());
    blocking(move || {
        let ages = Ages::of(&ctx, &project, sandbox);
        let now = ctx.clock.now();
        let age = ages.seen(&print, now).unwrap_or_else(|error| {
            ctx.log.once(format!("keycap cannot note that it saw this token: {}", error.message));
            Age::Unknown("what keycap noted of it cannot be read")
        });
        let used = policy.max_idle.and_then(|limit| last_use(&ages, &print, now, limit, policy.grace()));
        // What cannot be read is not known.
        let checked = |asked: bool, check| if asked { ages.last_check(&print, check).ok().flatten() } else { None };
        let rights = checked(policy.needs.is_some(), Check::Rights);
        let group = checked(policy.dag == Some(true), Check::Group);
        let grant = if policy.max_idle.is_some() { grant(&ctx, &project)? } else { None };
        Ok(Known { source, age, used, grant, rights, group })
    })
    .await
}

/// The last use, as far back as it matters.
fn last_use(ages: &Ages, print: &str, now: SystemTime, limit: Span, grace: Span) -> Option<Use> {
    let first_seen = ages.first_seen(print).ok().flatten()?;
    let matters = Duration::from_secs(limit.seconds() + grace.seconds() + 86_400);
    let from = now.checked_sub(matters).map_or(first_seen, |from| from.max(first_seen));
    Some(ages.last_use(print, from).map_or(Use::NotSince(from), Use::At))
}

fn grant(ctx: &Ctx, project: &Project) -> Result<Option<Grant>> {
    let found = Registries::new(&ctx.dirs).find(&project.short_name)?;
    found.map_or(Ok(None), |(kept, _)| Grants::new(&ctx.dirs, kept).find(project))
}

/// Whether a call is allowed by what is known without its token. Asked before the limiter and the look-up.
///
/// # Errors
/// `policy`.
pub(super) async fn allow(ctx: &Ctx, project: &Project, sandbox: bool, checkpoints: &Checkpoints) -> Result<()> {
    for ignored in &ctx.settings.policies.ignored {
        ctx.log.once(ignored.clone());
    }
    let policy = ctx.settings.policies.of(project.short_name.as_str());
    let anchored = anchored(&policy, checkpoints, sandbox).await;
    enforce(ctx, project, judge(&policy, project, ctx.clock.now(), anchored.as_ref(), None))
}

/// Whether a call is allowed with the token that was found. Asked right after the look-up. `is_check`: whatever it is,
/// it is allowed; that the token is there is noted all the same.
///
/// # Errors
/// `policy`; `file`, `damaged`: what grants there are.
pub(super) async fn allow_token(
    ctx: &Ctx,
    project: &Project,
    sandbox: bool,
    source: &str,
    fingerprint: &str,
    is_check: bool,
) -> Result<()> {
    let nothing = Policy::default();
    let policy = ctx.settings.policies.of(project.short_name.as_str());
    let policy = if is_check { &nothing } else { &policy };
    let known = known(ctx, policy, project, sandbox, source, fingerprint).await?;
    let mut findings = judge(policy, project, ctx.clock.now(), None, Some(&known));
    // It was said before the look-up.
    findings.retain(|finding| finding.rule != Rule::Dag || project.dag.is_some());
    enforce(ctx, project, findings).map_err(|error| error.field("source", source).field("fingerprint", fingerprint))
}

/// The first refusal is an error. Breaches that are not refused are warnings; what will be one soon is told once a
/// session.
fn enforce(ctx: &Ctx, project: &Project, findings: Vec<Finding>) -> Result<()> {
    let name = project.short_name.as_str();
    if let Some(finding) = findings.iter().find(|finding| finding.call == Call::Refused) {
        return Err(refused(ctx, project, finding));
    }
    for finding in findings {
        let Finding { rule, state, call, days_left, says, remedy, .. } = finding;
        let what = remedy.map_or_else(String::new, |remedy| format!("; {remedy}"));
        match (call, state, days_left) {
            (Call::Warned, ..) => ctx.log.warning(format!("policy `{}`: {says}{what}", rule.as_str())),
            (_, State::Warning, Some(left)) => {
                ctx.log.once(format!("policy `{}` of `{name}`: {} left ({says}){what}", rule.as_str(), in_days(left)));
            }
            _ => {}
        }
    }
    Ok(())
}

fn refused(ctx: &Ctx, project: &Project, finding: &Finding) -> Error {
    let mut places: Vec<&str> = Vec::new();
    for (key, _, place) in &ctx.settings.found {
        if matches!(key.as_str(), "policy" | "project_policies") && !places.contains(&place.as_str()) {
            places.push(place);
        }
    }
    let mut error = Error::new(Kind::Policy, format!("the policy refuses this call: {}", finding.says));
    if let Some(remedy) = &finding.remedy {
        error = error.hint(remedy.clone());
    }
    error
        .hint(
            "testing the token, checks of its rights, and replacing it stay allowed; `policy_status()` shows all rules",
        )
        .hint(format!("the policy stands in `{}`", places.join("` and `")))
        .field("rule", finding.rule.as_str())
        .field("limit", finding.limit.clone())
        .field("state", finding.state.as_str())
        .field("short_name", project.short_name.as_str())
}
