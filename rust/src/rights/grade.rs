//! The verdict on each right of a token.

use super::account::Account;
use super::code::{FULL, RIGHTS, Scale, read, scale};
use super::day::day;
use super::listed::{Listed, Role};
use super::need::{Needs, Verdict, Want, by_form};
use crate::redcap::Groups;

/// A user that expires within this many days is soon gone.
const SOON: i64 = 30;

/// What the token itself was seen to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Probes {
    /// Whether it may export; nothing where that is open.
    pub(super) export: Option<bool>,
    pub(super) users: Option<bool>,
    pub(super) logging: Option<bool>,
    pub(super) groups: Groups,
}

/// Who read the list of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lister {
    Itself,
    Checker,
}

impl Lister {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Itself => "self",
            Self::Checker => "checker",
        }
    }
}

/// All that is known of a token's rights.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// The user whose token it is, as declared at set-up.
    pub(super) user: Option<String>,
    /// The user whose token it is, as REDCap's answers prove.
    pub(super) proved: Option<String>,
    /// That another project here has this token for another user, in words.
    pub(super) shared: Option<String>,
    pub(super) probes: Probes,
    /// Who could read the list of users, and what it says of the declared user.
    pub(super) list: Option<(Lister, Option<Listed>)>,
    pub(super) account: Option<Account>,
    /// Days since 1970-01-01.
    pub(super) today: i64,
}

/// A line of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) right: String,
    pub(crate) held: Option<String>,
    pub(crate) needed: Option<&'static str>,
    pub(crate) verdict: Verdict,
    pub(crate) evidence: Option<&'static str>,
    pub(crate) remark: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Graded {
    pub(crate) rows: Vec<Row>,
    /// What somebody should look at, one sentence each.
    pub(crate) flags: Vec<String>,
}

/// How sure it is that the rights that a list has are those of this token.
pub(super) enum Whose<'a> {
    /// The list has the declared user, and the token does what that user may.
    Listed(Lister, &'a Listed),
    /// The list has the declared user, but it is open what role counts.
    Role(Lister, &'a Listed),
    /// Not known, and why.
    Open(String),
}

/// Grades.
pub(crate) fn grade(facts: &Facts, needs: &Needs) -> Graded {
    let mut flags = Vec::new();
    let whose = whose(facts, &mut flags);
    let mut rows = vec![user_row(facts, &whose)];
    match &whose {
        Whose::Listed(reader, listed) => {
            rows.extend(role_row(*reader, listed));
            rows.push(expiration_row(*reader, listed, facts.today, &mut flags));
            rows.extend(known(*reader, listed, needs));
            flag_rights(listed, needs, facts, &mut flags);
        }
        Whose::Role(reader, listed) => {
            rows.push(expiration_row(*reader, listed, facts.today, &mut flags));
            rows.extend(listed.codes.iter().map(|(right, code)| Row {
                right: right.clone(),
                held: Some(read(right, code).words),
                needed: needs.of(right).words(),
                verdict: Verdict::Unknown,
                evidence: Some(reader.as_str()),
                remark: Some("the user's own right; a role would override it, and roles cannot be read".to_owned()),
            }));
        }
        Whose::Open(_) => rows.extend(probed(&facts.probes, needs)),
    }
    rows.extend(declared(facts, &mut flags));
    Graded { rows, flags }
}

/// Whose rights are looked at. A user who is listed with other rights than the token was seen to have is not the
/// token's user.
pub(super) fn whose<'a>(facts: &'a Facts, flags: &mut Vec<String>) -> Whose<'a> {
    if let Some(shared) = &facts.shared {
        flags.push(format!("this may not be the declared user's token: {shared}"));
        return Whose::Open(format!("declared, and contradicted: {shared}"));
    }
    let (reader, listed) = match (&facts.user, &facts.list) {
        (None, _) => {
            return Whose::Open("not declared: say `redcap_user` when you set the project up".to_owned());
        }
        (Some(_), None) => {
            return Whose::Open(
                "declared, not verified: give a project in `checked_by` whose token may list users".to_owned(),
            );
        }
        (Some(_), Some((_, None))) => {
            flags.push("the declared user is not among the project's users".to_owned());
            return Whose::Open("declared, and not among the project's users".to_owned());
        }
        (Some(_), Some((reader, Some(listed)))) => (*reader, listed),
    };
    if listed.codes().is_none() {
        return Whose::Role(reader, listed);
    }
    let against = contradictions(&facts.probes, listed);
    if against.is_empty() {
        return Whose::Listed(reader, listed);
    }
    flags.push(format!("this is not the declared user's token: {}", against.join("; ")));
    if let Some(name) = &facts.proved {
        flags.push(format!("it is the token of `{name}`: of the project's users, this one alone may do what it does"));
    }
    Whose::Open(format!("declared, and contradicted: {}", against.join("; ")))
}

/// The users whose token it may be, of a list that has all of the project: those who may do what it does, and nothing
/// that it may not. Where there is one alone, it is that user's.
pub(super) fn candidates<'a>(probes: &Probes, all: &'a [(String, Listed)], today: i64) -> Vec<&'a str> {
    let is_over = |listed: &Listed| {
        // The server's day may be another one.
        day(listed.expiration.get(..10).unwrap_or_default()).is_some_and(|until| until + 1 < today)
    };
    let groups = match probes.groups {
        Groups::Listed(_) => Some(true),
        Groups::NoRight if probes.export == Some(true) => Some(false),
        _ => None,
    };
    let may_be = |listed: &Listed| {
        let may = |right: &str| read(right, listed.code(right)?).level.map(|level| level > 0);
        let contradicts = groups.is_some_and(|seen| may("data_access_groups") == Some(!seen));
        // REDCap refuses the token of a user without either.
        let is_refused = may("api_export") == Some(false) && may("api_import") == Some(false);
        contradictions(probes, listed).is_empty() && !contradicts && !is_refused && !is_over(listed)
    };
    all.iter().filter(|(_, listed)| may_be(listed)).map(|(name, _)| name.as_str()).collect()
}

/// Where the token does what the user may not, or the other way round.
fn contradictions(probes: &Probes, listed: &Listed) -> Vec<String> {
    let may = |right: &str| read(right, listed.code(right)?).level.map(|level| level > 0);
    let mut against = Vec::new();
    for (right, seen) in [("api_export", probes.export), ("user_rights", probes.users), ("logging", probes.logging)] {
        if let (Some(seen), Some(may)) = (seen, may(right))
            && seen != may
        {
            let (token, user) = if seen { ("has", "has not") } else { ("has not", "has") };
            against.push(format!("the token {token} `{right}`, the user {user}"));
        }
    }
    match &probes.groups {
        Groups::Listed(all) if !all.is_empty() && !listed.group.is_empty() => {
            against.push("the token is in no Data Access Group, the user is in one".to_owned());
        }
        Groups::Within if listed.group.is_empty() => {
            against.push("the token is in a Data Access Group, the user is in none".to_owned());
        }
        _ => {}
    }
    against
}

fn user_row(facts: &Facts, whose: &Whose<'_>) -> Row {
    let (verdict, evidence, remark) = match whose {
        Whose::Listed(reader, _) if facts.proved.is_some() => (
            Verdict::Ok,
            Some(reader.as_str()),
            "verified: of the project's users, this one alone may do what the token does".to_owned(),
        ),
        Whose::Listed(reader, _) => (
            Verdict::Ok,
            Some(reader.as_str()),
            "declared; the project has this user, and the token may do what the user may".to_owned(),
        ),
        Whose::Role(reader, _) => {
            (Verdict::Unknown, Some(reader.as_str()), "declared; the project has this user".to_owned())
        }
        Whose::Open(why) => (Verdict::Unknown, facts.user.as_ref().map(|_| "declared"), why.clone()),
    };
    Row { right: "user".to_owned(), held: facts.user.clone(), needed: None, verdict, evidence, remark: Some(remark) }
}

fn role_row(reader: Lister, listed: &Listed) -> Option<Row> {
    let Role::Some { label, .. } = &listed.role else { return None };
    Some(Row {
        right: "role".to_owned(),
        held: Some(label.clone()),
        needed: None,
        verdict: Verdict::Ok,
        evidence: Some(reader.as_str()),
        remark: Some("the role's rights count, and none of the user's own".to_owned()),
    })
}

fn expiration_row(reader: Lister, listed: &Listed, today: i64, flags: &mut Vec<String>) -> Row {
    let until = &listed.expiration;
    let left = day(until.get(..10).unwrap_or_default()).map(|day| day - today);
    let (verdict, remark) = match left {
        _ if until.is_empty() => (Verdict::Ok, None),
        None => (Verdict::Unknown, Some("it is not written as a day".to_owned())),
        Some(left) if left <= 0 => (Verdict::Missing, Some("the user has expired, and REDCap refuses it".to_owned())),
        Some(left) if left <= SOON => (Verdict::Ok, Some(format!("the user expires in {left} days"))),
        Some(_) => (Verdict::Ok, None),
    };
    flags.extend(remark.clone());
    let held = if until.is_empty() { "never".to_owned() } else { until.clone() };
    Row {
        right: "expiration".to_owned(),
        held: Some(held),
        needed: None,
        verdict,
        evidence: Some(reader.as_str()),
        remark,
    }
}

/// Every right that the list has, and those that are needed and not in it.
fn known(reader: Lister, listed: &Listed, needs: &Needs) -> Vec<Row> {
    let Some(codes) = listed.codes() else { return Vec::new() };
    let gives = |right: &str, want: Want| {
        let scale = scale(right);
        codes.iter().any(|(other, code)| {
            let held = read(other, code);
            by_form(other) && self::scale(other) == scale && held.level != Some(0) && {
                want.judge(other, &held, false) == Verdict::Ok
            }
        })
    };
    let mut rows: Vec<Row> = codes
        .iter()
        .map(|(right, code)| {
            let (held, want) = (read(right, code), needs.of(right));
            let remark = match (held.level, right.as_str()) {
                (None, _) if scale(right) == Scale::Strange => {
                    Some("a right that keycap does not know; counted as excess".to_owned())
                }
                (None, _) => Some("a code that keycap does not know; counted as excess".to_owned()),
                (Some(0), "user_rights") if want == Want::Nothing => {
                    Some("good: a token need not list users".to_owned())
                }
                _ => None,
            };
            let verdict = want.judge(right, &held, gives(right, want));
            let needed = want.words();
            Row {
                right: right.clone(),
                held: Some(held.words),
                needed,
                verdict,
                evidence: Some(reader.as_str()),
                remark,
            }
        })
        .collect();
    for right in needs.named().filter(|right| !codes.iter().any(|(known, _)| known == right)) {
        rows.push(Row {
            right: right.to_owned(),
            held: None,
            needed: needs.of(right).words(),
            verdict: Verdict::Unknown,
            evidence: None,
            remark: Some("this server does not list it".to_owned()),
        });
    }
    rows
}

/// What the token itself shows, where nobody can say what else it may do.
fn probed(probes: &Probes, needs: &Needs) -> Vec<Row> {
    let groups = match &probes.groups {
        Groups::Listed(_) => Some(true),
        Groups::NoRight => Some(false),
        Groups::Within | Groups::Open => None,
    };
    let row = |right: &str| {
        let seen = match right {
            "api_export" => probes.export,
            "user_rights" => probes.users,
            "data_access_groups" => groups,
            "logging" => probes.logging,
            _ => None,
        };
        let want = needs.of(right);
        let verdict = match (seen, want) {
            (None, _) => Verdict::Unknown,
            (Some(true), Want::Nothing) => Verdict::Excess,
            (Some(false), Want::Some) => Verdict::Missing,
            (Some(_), _) => Verdict::Ok,
        };
        let remark = match (right, seen) {
            ("user_rights", Some(false)) => Some("good: the token may not list users".to_owned()),
            ("user_rights", Some(true)) => Some("at least read-only".to_owned()),
            _ => None,
        };
        Row {
            right: right.to_owned(),
            held: seen.map(|seen| if seen { "yes" } else { "no" }.to_owned()),
            needed: want.words(),
            verdict,
            evidence: seen.map(|_| "probe"),
            remark,
        }
    };
    let forms = ["forms", "forms_export"].into_iter();
    RIGHTS.into_iter().filter(|right| *right != "data_export").chain(forms).map(row).collect()
}

fn flag_rights(listed: &Listed, needs: &Needs, facts: &Facts, flags: &mut Vec<String>) {
    let level = |right: &str| listed.code(right).map(|code| read(right, code).level);
    let held = |right: &str| level(right).is_some_and(|level| level != Some(0));
    let unneeded = |right: &str| needs.of(right) == Want::Nothing;
    let service = facts.account.as_ref().is_some_and(|account| account.api_only == Some(true));
    let whose = if service { "a service account" } else { "this account" };
    if held("design") && unneeded("design") {
        flags.push(format!("{whose} may change the project's design; a token for data should not"));
    }
    if level("user_rights").is_some_and(|level| level.is_none_or(|level| level > 1)) && unneeded("user_rights") {
        flags.push(format!("{whose} may change users and their rights, its own among them; a token should not"));
    }
    if (held("mobile_app") || held("mobile_app_download_data")) && unneeded("mobile_app") {
        flags.push(format!("{whose} has rights for the mobile app, which hands out a token of its own"));
    }
    if held("api_import") && !listed.group.is_empty() {
        match facts.account.as_ref().and_then(|account| account.dag_switcher) {
            Some(false) => {}
            Some(true) => flags.push(
                "`api_import` and the DAG Switcher: the token can move itself to any group, or to all records".to_owned(),
            ),
            None => flags.push(
                "`api_import` in a Data Access Group: if the DAG Switcher lists the user, the token can move itself, and \
                 REDCap does not say who is listed; an administrator can state it with `declare_account()`"
                    .to_owned(),
            ),
        }
    }
    let full = |right: &str, code: &str| scale(right) == Scale::Export && read(right, code).level == Some(FULL);
    let codes = listed.codes().map(Vec::as_slice).unwrap_or_default();
    if held("api_export")
        && needs.of("forms_export") == Want::Deidentified
        && codes.iter().any(|(right, code)| full(right, code))
    {
        flags.push("identifiers can be exported, and are not needed".to_owned());
    }
}

/// What an administrator states, as that and as no more.
fn declared(facts: &Facts, flags: &mut Vec<String>) -> Vec<Row> {
    let account = facts.account.as_ref();
    let over = account.is_some_and(|account| account.is_over(facts.today));
    if over {
        flags.push("what an administrator stated of the account is no longer stated: its day is over".to_owned());
    }
    let yes = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
    let stated = [
        ("api_only", account.and_then(|account| account.api_only).map(yes)),
        ("inactivity", account.and_then(|account| account.inactivity.clone())),
        ("dag_switcher", account.and_then(|account| account.dag_switcher).map(yes)),
    ];
    let row = |(what, held): (&str, Option<String>)| {
        let remark = match (account, &held) {
            (Some(account), Some(_)) => {
                format!("stated by {} until {}{}", account.by, account.until, if over { ", which is over" } else { "" })
            }
            _ => "REDCap does not say; an administrator can state it with `declare_account()`".to_owned(),
        };
        Row {
            right: what.to_owned(),
            evidence: held.as_ref().map(|_| "declared"),
            held,
            needed: None,
            verdict: Verdict::Unknown,
            remark: Some(remark),
        }
    };
    stated.into_iter().map(row).collect()
}
