//! What is known of the age of tokens, by fingerprint: when REDCap made one, where that is known, and when keycap first
//! saw it. And when it was last used, as the audit log tells.
//!
//! It is kept in `known_tokens.json` in the user's data folder (a sandbox's in the session's folder), 0600, with no
//! token in it. [`Ages::seen`] is called with each operation, once its token is looked up; [`Ages::created`] by whoever
//! learns when a token was made: a rotation, or who reads REDCap's log. [`Ages::age`] only reads.
//!
//! A file that was taken away begins anew with what the audit log says of a token, so that it cannot be made young by
//! that. Times are seconds of UTC: no zone and no summer time changes an age. Where the clock shows a time before the
//! token was first seen, it was set back, and the age is unknown: it is never negative.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::pipeline::audit_folder;
use crate::audit;
use crate::ctx::{Ctx, Dirs};
use crate::error::Result;
use crate::json_list::JsonList;
use crate::project::{Project, Registries};
use crate::token::ShortName;

const FILE: &str = "known_tokens.json";

/// So many tokens are remembered; of more, those that were seen first are forgotten.
const MOST: usize = 2_000;

const NEVER_SEEN: &str = "keycap has not seen this token before";

/// A clock may be so much behind before it counts as set back: machines share a folder.
const SLACK: u64 = 300;

const DAY: f64 = 86_400.0;

/// How it is known when a token was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Evidence {
    /// keycap led through the rotation that made it.
    Rotation,
    /// The project's log in REDCap, read with the token itself.
    Log,
    /// The same, read with a checker's token.
    Checker,
}

impl Evidence {
    /// As a person reads it.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Rotation => "made in a rotation by keycap",
            Self::Log => "REDCap's log",
            Self::Checker => "REDCap's log, read by the checker",
        }
    }
}

/// How old a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// It was made at this time.
    Exact {
        /// When.
        since: SystemTime,
        /// How that is known.
        evidence: Evidence,
    },
    /// keycap has known it for so many whole days; it may be much older.
    AtLeast {
        /// How many.
        days: u64,
        /// Since when.
        since: SystemTime,
    },
    /// Not known, and why: it was never seen, or the clock was set back.
    Unknown(&'static str),
}

/// What is kept of a check that asked REDCap: of the rights, or of the Data Access Group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Checked {
    /// What was asked: the needs, or the group.
    pub(crate) asked: String,
    /// Whether it is as it should be; nothing where that could not be told.
    pub(crate) good: Option<bool>,
    /// What was found, in words.
    pub(crate) says: String,
    /// When it was last checked, in seconds since 1970.
    pub(crate) at: u64,
    /// Since when the answer is that one.
    pub(crate) since: u64,
}

/// Which check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    Rights,
    Group,
}

/// What is known of one token.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Known {
    fingerprint: String,
    /// Where it was seen first, for whoever reads the file.
    project: String,
    origin: String,
    first_seen: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<Birth>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rights: Option<Checked>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<Checked>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Birth {
    at: u64,
    evidence: Evidence,
}

/// The ages of the tokens of one project.
pub(crate) struct Ages {
    list: JsonList<Known>,
    audit: std::path::PathBuf,
    project: String,
    origin: String,
}

impl Ages {
    /// Those of a project's tokens. `sandbox`: the project is a sandbox's.
    pub(crate) fn of(ctx: &Ctx, project: &Project, sandbox: bool) -> Self {
        let folder = if sandbox { &ctx.dirs.session } else { &ctx.dirs.data };
        Self {
            list: JsonList::at(folder.join(FILE)),
            audit: audit_folder(ctx, sandbox),
            project: project.short_name.as_str().to_owned(),
            origin: project.redcap_uri.origin().to_string(),
        }
    }

    /// Notes that a token is there, and gives its age. What is known is not written again. Blocks.
    ///
    /// # Errors
    /// `file`, `damaged`.
    pub(crate) fn seen(&self, fingerprint: &str, now: SystemTime) -> Result<Age> {
        let age = self.age(fingerprint, now)?;
        if age != Age::Unknown(NEVER_SEEN) {
            return Ok(age);
        }
        // The audit log may have known it before this file did.
        let logged = audit::first_sight(&self.audit, fingerprint).map(|at| at as u64);
        let first_seen = logged.map_or(seconds(now), |logged| logged.min(seconds(now)));
        self.change(fingerprint, first_seen, |known| known.age(now))
    }

    /// Notes when a token was made. What a rotation saw is not replaced by what a log says, which has neither seconds nor
    /// a zone. A token is not younger than keycap knows it. Blocks.
    ///
    /// # Errors
    /// `file`, `damaged`.
    pub(crate) fn created(&self, fingerprint: &str, when: SystemTime, evidence: Evidence) -> Result<()> {
        let when = seconds(when);
        let rotated = evidence == Evidence::Rotation;
        self.change(fingerprint, when, |known| {
            let at = when.min(known.first_seen);
            if rotated || known.created.is_none_or(|birth| birth.evidence != Evidence::Rotation) {
                known.created = Some(Birth { at, evidence });
            }
        })
    }

    /// What was checked of one token holds for another one too: for a rotation that has proved, by a list of users, that the
    /// new one is the same user's and may do no more. Blocks.
    ///
    /// # Errors
    /// `file`, `damaged`.
    pub(crate) fn inherit(&self, fingerprint: &str, before: &str) -> Result<()> {
        let Some(before) = self.known(before)? else { return Ok(()) };
        self.change(fingerprint, before.first_seen, |known| {
            known.rights = known.rights.take().or(before.rights);
            known.group = known.group.take().or(before.group);
        })
    }

    /// How old a token is. Writes nothing. Blocks.
    ///
    /// # Errors
    /// `file`, `damaged`.
    pub(crate) fn age(&self, fingerprint: &str, now: SystemTime) -> Result<Age> {
        Ok(self.known(fingerprint)?.map_or(Age::Unknown(NEVER_SEEN), |known| known.age(now)))
    }

    /// When keycap first saw a token. Blocks.
    ///
    /// # Errors
    /// `file`, `damaged`.
    pub(crate) fn first_seen(&self, fingerprint: &str) -> Result<Option<SystemTime>> {
        Ok(self.known(fingerprint)?.map(|known| time(known.first_seen)))
    }

    /// When a token last went out with a call that is no check, as the audit log tells; none where it did not since a
    /// moment. Blocks.
    pub(crate) fn last_use(&self, fingerprint: &str, not_before: SystemTime) -> Option<SystemTime> {
        let counts = |content: &str| !super::policy::CHECKS.contains(&content);
        audit::last_use(&self.audit, fingerprint, seconds(not_before) as f64, counts).map(|at| time(at as u64))
    }

    /// Keeps what a check found. Blocks.
    ///
    /// # Errors
    /// `file`, `damaged`.
    pub(crate) fn checked(&self, fingerprint: &str, check: Check, mut found: Checked) -> Result<()> {
        self.change(fingerprint, found.at, |known| {
            let place = match check {
                Check::Rights => &mut known.rights,
                Check::Group => &mut known.group,
            };
            if let Some(before) = place.as_ref().filter(|before| before.asked == found.asked) {
                // What could not be told this time does not take away what was found before, for as long as that counts.
                if found.good.is_none() && before.good.is_some() {
                    return;
                }
                if before.good == found.good {
                    found.since = before.since;
                }
            }
            *place = Some(found);
        })
    }

    /// What a check found last. Blocks.
    ///
    /// # Errors
    /// `file`, `damaged`.
    pub(crate) fn last_check(&self, fingerprint: &str, check: Check) -> Result<Option<Checked>> {
        Ok(self.known(fingerprint)?.and_then(|known| match check {
            Check::Rights => known.rights,
            Check::Group => known.group,
        }))
    }

    /// The other project here that a token was first seen with, where its declared user is another one: a user has one token
    /// in a project, so one of the two projects has the wrong token. In words. Blocks.
    ///
    /// # Errors
    /// `file`, `damaged`.
    pub(crate) fn shared(&self, fingerprint: &str, project: &Project, dirs: &Dirs) -> Result<Option<String>> {
        let Some(known) = self.known(fingerprint)? else { return Ok(None) };
        let (Some(user), Ok(other)) = (&project.redcap_user, ShortName::new(&known.project)) else { return Ok(None) };
        if other == project.short_name || known.origin != self.origin {
            return Ok(None);
        }
        let found = Registries::new(dirs).find(&other)?;
        let same = |entry: &Project| entry.redcap_uri.origin() == project.redcap_uri.origin();
        let owner = found.filter(|(_, entry)| same(entry)).and_then(|(_, entry)| entry.redcap_user);
        Ok(owner
            .filter(|owner| !owner.eq_ignore_ascii_case(user))
            .map(|owner| format!("`{}` has the same token, and its declared user is `{owner}`", other.as_str())))
    }

    fn known(&self, fingerprint: &str) -> Result<Option<Known>> {
        Ok(self.list.read()?.into_iter().find(|known| known.fingerprint == fingerprint))
    }

    fn change<R>(&self, fingerprint: &str, first_seen: u64, change: impl FnOnce(&mut Known) -> R) -> Result<R> {
        self.list.change(|all| {
            let at = all.iter().position(|known| known.fingerprint == fingerprint).unwrap_or_else(|| {
                all.push(Known {
                    fingerprint: fingerprint.to_owned(),
                    project: self.project.clone(),
                    origin: self.origin.clone(),
                    first_seen,
                    created: None,
                    rights: None,
                    group: None,
                });
                all.len() - 1
            });
            let answer = change(&mut all[at]);
            if all.len() > MOST {
                let first = (0..all.len() - 1).min_by_key(|n| all[*n].first_seen);
                first.map(|first| all.remove(first));
            }
            answer
        })
    }
}

impl Known {
    fn age(&self, now: SystemTime) -> Age {
        let now = seconds(now);
        if now + SLACK < self.first_seen {
            return Age::Unknown(
                "this computer's clock shows a time before keycap first saw the token: it was set back",
            );
        }
        match self.created {
            Some(Birth { at, evidence }) => Age::Exact { since: time(at), evidence },
            None => Age::AtLeast { days: now.saturating_sub(self.first_seen) / 86_400, since: time(self.first_seen) },
        }
    }
}

impl Age {
    /// In words; nothing where it is not known.
    pub(crate) fn words(&self, now: SystemTime) -> Option<String> {
        match self {
            Self::Exact { evidence, .. } => Some(format!("{} ({})", in_days(self.days(now)?), evidence.words())),
            Self::AtLeast { days: 0, .. } => Some("first seen by keycap today; it may be older".to_owned()),
            Self::AtLeast { .. } => Some(format!("{} at least: so long keycap has known it", in_days(self.days(now)?))),
            Self::Unknown(_) => None,
        }
    }

    /// In days, as far as it is known; never negative.
    pub(crate) fn days(&self, now: SystemTime) -> Option<f64> {
        match self {
            Self::Exact { since, .. } | Self::AtLeast { since, .. } => Some(days_between(*since, now)),
            Self::Unknown(_) => None,
        }
    }
}

/// Days as a person reads them, hours where it is less than two.
pub(super) fn in_days(days: f64) -> String {
    if days * 24.0 < 1.0 {
        return "less than an hour".to_owned();
    }
    let (number, unit) = if days < 2.0 { ((days * 24.0).floor(), "hour") } else { (days.floor(), "day") };
    format!("{number} {unit}{}", if number.to_bits() == 1.0_f64.to_bits() { "" } else { "s" })
}

/// The days from one moment to another; never negative.
pub(crate) fn days_between(from: SystemTime, to: SystemTime) -> f64 {
    to.duration_since(from).map_or(0.0, |passed| passed.as_secs_f64() / DAY)
}

/// In seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn time(seconds: u64) -> SystemTime {
    // What no clock shows was written by nobody.
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::audit::utc;

    const PRINT: &str = "kc1:00000000000000aa";
    const DAYS: u64 = 86_400;

    fn at(seconds: u64) -> SystemTime {
        time(seconds)
    }

    /// 2023-12-01 in UTC: the days after it go over a turn of the year and a leap day.
    const START: u64 = 1_701_388_800;

    struct World(tempfile::TempDir);

    impl World {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn data(&self) -> std::path::PathBuf {
            self.0.path().join("data")
        }
    }

    fn ages(world: &World) -> Ages {
        Ages {
            list: JsonList::at(world.data().join(FILE)),
            audit: world.data().join("audit"),
            project: "T".to_owned(),
            origin: "https://redcap.example.org".to_owned(),
        }
    }

    #[test]
    fn a_token_ages_from_its_first_sight_by_whole_days_over_months_and_leap_days() {
        let world = World::new();
        let ages = ages(&world);
        assert!(matches!(ages.age(PRINT, at(START)).unwrap(), Age::Unknown(_)));
        assert!(!world.data().exists(), "asking writes nothing");
        for (after, days) in [(0, 0), (DAYS - 1, 0), (DAYS, 1), (90 * DAYS, 90), (91 * DAYS, 91), (366 * DAYS, 366)] {
            let age = ages.seen(PRINT, at(START + after)).unwrap();
            assert_eq!(age, Age::AtLeast { days, since: at(START) }, "{after}");
            assert_eq!(ages.age(PRINT, at(START + after)).unwrap(), age);
        }
        assert_eq!(ages.first_seen(PRINT).unwrap(), Some(at(START)));
        assert_eq!(ages.first_seen("kc1:00000000000000bb").unwrap(), None);
        // 91 days later it is 1 March: the leap day was one of them.
        assert!(utc(at(START + 91 * DAYS)).starts_with("2024-03-01T00:00:00"));
    }

    #[test]
    fn an_age_is_never_negative_and_a_clock_that_was_set_back_is_said() {
        let world = World::new();
        let ages = ages(&world);
        ages.seen(PRINT, at(START)).unwrap();
        assert!(matches!(ages.seen(PRINT, at(START - SLACK)).unwrap(), Age::AtLeast { days: 0, .. }));
        let Age::Unknown(why) = ages.seen(PRINT, at(START - SLACK - 1)).unwrap() else { panic!() };
        assert!(why.contains("set back"), "{why}");
        assert!(matches!(ages.age(PRINT, UNIX_EPOCH).unwrap(), Age::Unknown(_)));
        assert!(matches!(ages.age(PRINT, at(START)).unwrap(), Age::AtLeast { .. }), "nothing was forgotten meanwhile");
        assert_eq!(days_between(at(START), at(START - 5)).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn when_a_token_was_made_is_known_from_a_rotation_before_any_log() {
        let world = World::new();
        let ages = ages(&world);
        ages.seen(PRINT, at(START)).unwrap();
        let exact = |since, evidence| Age::Exact { since: at(since), evidence };
        ages.created(PRINT, at(START - 40 * DAYS), Evidence::Log).unwrap();
        assert_eq!(ages.age(PRINT, at(START)).unwrap(), exact(START - 40 * DAYS, Evidence::Log));
        assert_eq!(ages.age(PRINT, at(START)).unwrap().days(at(START)), Some(40.0));
        ages.created(PRINT, at(START - 41 * DAYS), Evidence::Checker).unwrap();
        assert_eq!(ages.age(PRINT, at(START)).unwrap(), exact(START - 41 * DAYS, Evidence::Checker));
        ages.created(PRINT, at(START - 60), Evidence::Rotation).unwrap();
        ages.created(PRINT, at(START - 41 * DAYS), Evidence::Log).unwrap();
        assert_eq!(ages.age(PRINT, at(START)).unwrap(), exact(START - 60, Evidence::Rotation));
        // A token is not younger than keycap knows it, whatever a log without a zone says.
        let other = "kc1:00000000000000bb";
        ages.seen(other, at(START)).unwrap();
        ages.created(other, at(START + 7_200), Evidence::Log).unwrap();
        assert_eq!(ages.age(other, at(START)).unwrap(), exact(START, Evidence::Log));
        // And one may be known before it was seen: right after a rotation.
        let new = "kc1:00000000000000cc";
        ages.created(new, at(START + DAYS), Evidence::Rotation).unwrap();
        assert_eq!(ages.age(new, at(START + 8 * DAYS)).unwrap().days(at(START + 8 * DAYS)), Some(7.0));
    }

    #[test]
    fn a_file_that_was_taken_away_begins_with_what_the_audit_log_says() {
        let world = World::new();
        let ages = ages(&world);
        let log = world.data().join("audit/audit-1@x-000001.jsonl");
        std::fs::create_dir_all(log.parent().unwrap()).unwrap();
        let line = |at: u64, action: &str| {
            let time = utc(time(at));
            format!(
                "{{\"seq\":1,\"time\":\"{time}\",\"phase\":\"intent\",\"action\":\"{action}\",\"fingerprint\":\"{PRINT}\"}}\n"
            )
        };
        let lines = [line(START, "version"), line(START + DAYS, "record/export"), line(START + 9 * DAYS, "project")];
        std::fs::write(&log, lines.concat()).unwrap();
        let now = at(START + 10 * DAYS);
        assert_eq!(ages.seen(PRINT, now).unwrap(), Age::AtLeast { days: 10, since: at(START) });
        // A check is no use.
        assert_eq!(ages.last_use(PRINT, at(START)), Some(at(START + DAYS)));
        assert_eq!(ages.last_use(PRINT, at(START + 2 * DAYS)), None);
    }

    #[test]
    fn what_a_check_found_is_kept_with_the_day_since_when_it_is_so() {
        let world = World::new();
        let ages = ages(&world);
        let found =
            |good, asked: &str, at| Checked { asked: asked.to_owned(), good, says: "x".to_owned(), at, since: at };
        let expect = |found: Checked, since| {
            ages.checked(PRINT, Check::Rights, found.clone()).unwrap();
            let kept = ages.last_check(PRINT, Check::Rights).unwrap().unwrap();
            assert_eq!(kept, Checked { since, ..found });
        };
        expect(found(Some(false), "export", 10), 10);
        expect(found(Some(false), "export", 20), 10);
        expect(found(Some(true), "export", 30), 30);
        expect(found(Some(true), "import", 40), 40);
        assert_eq!(ages.last_check(PRINT, Check::Group).unwrap(), None);
        // What could not be told takes nothing away, and counts no longer than what was found.
        ages.checked(PRINT, Check::Rights, found(None, "import", 50)).unwrap();
        assert_eq!(ages.last_check(PRINT, Check::Rights).unwrap().unwrap().at, 40);
        // A rotation may have proved that the new token is the same user's. That it was one proves nothing.
        let new = ["kc1:00000000000000bb", "kc1:00000000000000cc"];
        ages.created(new[0], at(50), Evidence::Rotation).unwrap();
        ages.inherit(new[1], PRINT).unwrap();
        assert_eq!(ages.last_check(new[0], Check::Rights).unwrap(), None);
        assert_eq!(ages.last_check(new[1], Check::Rights).unwrap().unwrap().asked, "import");
    }

    #[test]
    fn no_more_tokens_are_remembered_than_there_is_room_for() {
        let world = World::new();
        let ages = ages(&world);
        let known = |n: u64| Known {
            fingerprint: format!("kc1:1{n:015x}"),
            project: "T".into(),
            origin: "o".into(),
            first_seen: n,
            created: None,
            rights: None,
            group: None,
        };
        ages.list.change(|all| all.extend((0..MOST as u64).map(known))).unwrap();
        ages.seen(PRINT, at(START)).unwrap();
        let all = ages.list.read().unwrap();
        assert_eq!((all.len(), all[0].first_seen), (MOST, 1));
        assert!(matches!(ages.age(PRINT, at(START)).unwrap(), Age::AtLeast { .. }));
    }
}
