//! What a policy wants to know of a token and REDCap alone can say: its rights, its group, and when it was made.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value as Json;

use super::ask::{Token, ask_confinement, ask_facts, finished, same_project};
use super::confined::{Confinement, judge};
use super::day::day;
use super::grade::{Graded, grade};
use super::need::Needs;
use crate::error::Result;
use crate::redcap::{Evidence, Expect, Request, list, may};

/// How far REDCap's clock may be from UTC, in seconds: its log has no zone.
const ZONES: i64 = 14 * 3600;

/// What is asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) needs: Option<Needs>,
    /// The group that the token should be confined to.
    pub(crate) dag: Option<String>,
    /// Whether to look in the log for when the token was made.
    pub(crate) age: bool,
}

/// When a token was made, as the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Birth {
    /// Then, in the server's clock taken for UTC.
    At(SystemTime, Evidence),
    /// The log does not say, and why.
    Unknown(&'static str),
}

/// The answers to what was asked.
#[derive(Debug, Default)]
pub(crate) struct Status {
    pub(crate) rights: Option<Graded>,
    pub(crate) group: Option<Confinement>,
    pub(crate) birth: Option<Birth>,
}

/// Asks REDCap. A checker of another project has no word here and is passed over. `first_seen`: when keycap first saw
/// this token; whatever was made later is another one.
///
/// # Errors
/// Those of a call.
pub(crate) async fn status(
    mut token: Token,
    mut checker: Option<Token>,
    asked: Asked,
    first_seen: SystemTime,
) -> Result<Status> {
    let answer = Box::pin(ask(&mut token, &mut checker, asked, first_seen)).await;
    finished(&token, checker.as_ref(), answer).await
}

async fn ask(token: &mut Token, checker: &mut Option<Token>, asked: Asked, first_seen: SystemTime) -> Result<Status> {
    token.open().await?;
    if let Some(other) = checker {
        other.open().await?;
        if same_project(token, other).is_err() {
            token.ctx.log.note("the checker's token opens another REDCap project: its word does not count here");
            *checker = None;
        }
    }
    let mut status = Status::default();
    if let Some(needs) = asked.needs {
        let facts = Box::pin(ask_facts(token, checker.as_mut())).await?;
        status.rights = Some(grade(&facts, &needs));
    }
    if let Some(dag) = asked.dag {
        let (seen, dag) = Box::pin(ask_confinement(token, checker.as_mut(), Some(dag), false)).await?;
        status.group = Some(judge(&seen, &dag).0);
    }
    if asked.age {
        status.birth = Some(birth(token, checker.as_mut(), first_seen).await?);
    }
    Ok(status)
}

/// When the token was made: what the log has last of the declared user's tokens.
async fn birth(token: &mut Token, checker: Option<&mut Token>, first_seen: SystemTime) -> Result<Birth> {
    let Some(user) = token.entry.redcap_user.clone() else {
        return Ok(Birth::Unknown("the project is set up without `redcap_user`, whose tokens the log would tell of"));
    };
    let mut askers = vec![(token, Evidence::Log)];
    askers.extend(checker.map(|checker| (checker, Evidence::Checker)));
    for (asker, evidence) in askers {
        // REDCap has these among what is managed; where a version has them elsewhere, they are looked for there.
        for kind in [Some("manage"), None] {
            let mut request = Request::read("log", Expect::Json).with("user", user.clone());
            if let Some(kind) = kind {
                request = request.with("logtype", kind);
            }
            let (_, entries) = may(list(&mut asker.operation, request).await)?;
            let Some(entries) = entries else { break };
            if let Some(event) = last_event(&entries, &user) {
                return Ok(born(event, first_seen, evidence));
            }
        }
    }
    Ok(Birth::Unknown("no log that could be read says when the token was made"))
}

/// What happened to a user's token, and when by the server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at: i64,
    made: bool,
}

/// The last of what the log has of a user's tokens. The words are REDCap's.
fn last_event(entries: &[Json], user: &str) -> Option<Event> {
    let event = |entry: &Json| {
        let text = |name: &str| entry.get(name).and_then(Json::as_str);
        let details = text("details")?.trim_start().to_ascii_lowercase();
        let made = ["create api token", "user regenerate own api token"].iter().any(|start| details.starts_with(start));
        let gone = details.starts_with("user delete own api token");
        let own = text("username")?.trim().eq_ignore_ascii_case(user);
        Some(Event { at: clock(text("timestamp")?)?, made }).filter(|_| own && (made || gone))
    };
    entries.iter().filter_map(event).max()
}

/// `YYYY-MM-DD HH:MM`, in seconds since 1970 as if it were UTC.
fn clock(text: &str) -> Option<i64> {
    let (date, time) = text.trim().split_once(' ')?;
    let (hour, minute) = time.get(..5)?.split_once(':')?;
    let (hour, minute): (i64, i64) = (hour.parse().ok()?, minute.parse().ok()?);
    ((0..24).contains(&hour) && (0..60).contains(&minute)).then_some(day(date)? * 86_400 + hour * 3600 + minute * 60)
}

/// What an event says of a token that keycap saw first at some moment.
fn born(event: Event, first_seen: SystemTime, evidence: Evidence) -> Birth {
    let first_seen = first_seen.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()).cast_signed();
    if event.at - ZONES > first_seen {
        return Birth::Unknown("the log has a later token of the declared user: this one is not that user's");
    }
    if !event.made {
        return Birth::Unknown("the log says that the declared user's token was deleted: this one is not that user's");
    }
    Birth::At(UNIX_EPOCH + Duration::from_secs(u64::try_from(event.at).unwrap_or_default()), evidence)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(text: &str) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(clock(text).unwrap().cast_unsigned())
    }

    #[test]
    fn the_last_event_of_the_users_own_tokens_counts_whatever_the_order_of_the_log() {
        let line =
            |time: &str, user: &str, details: &str| json!({"timestamp": time, "username": user, "details": details});
        let log = [
            line("2024-03-01 08:15", "Site_A", "User regenerate own API token"),
            line("2024-03-01 09:00", "site_b", "User regenerate own API token"),
            line("2024-02-29 23:59", "site_a", "Create API token"),
            line("2024-03-02 10:00", "site_a", "Request API token"),
            line("2024-03-03 10:00", "site_a", "Export records (API)"),
            json!({"timestamp": "soon", "username": "site_a", "details": "Create API token"}),
            json!({"details": 7}),
        ];
        let made = Event { at: 1_709_280_900, made: true };
        assert_eq!(last_event(&log, "site_a"), Some(made));
        assert_eq!(last_event(&log[2..4], "site_a").map(|event| event.at), Some(1_709_251_140));
        assert_eq!(last_event(&log[4..], "site_a"), None);
        let gone = [log[0].clone(), line("2024-03-04 10:00", "site_a", "User delete own API token")];
        assert!(!last_event(&gone, "site_a").unwrap().made);
    }

    #[test]
    fn a_time_that_contradicts_what_keycap_saw_is_no_birth() {
        let seen = at("2024-03-01 12:00");
        let made = |text: &str| Event { at: clock(text).unwrap(), made: true };
        assert_eq!(
            born(made("2024-02-29 08:00"), seen, Evidence::Log),
            Birth::At(at("2024-02-29 08:00"), Evidence::Log)
        );
        // The server's clock may be ahead of UTC by so much, and no more.
        assert!(matches!(born(made("2024-03-02 02:00"), seen, Evidence::Log), Birth::At(..)));
        assert!(matches!(born(made("2024-03-02 02:01"), seen, Evidence::Log), Birth::Unknown(_)));
        let gone = Event { made: false, ..made("2024-02-29 08:00") };
        assert!(matches!(born(gone, seen, Evidence::Checker), Birth::Unknown(_)));
        for text in ["2024-02-30 08:00", "2024-02-29", "2024-02-29 24:00", "2024-02-29 8:0", ""] {
            assert_eq!(clock(text), None, "{text}");
        }
    }
}
