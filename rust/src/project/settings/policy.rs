//! What tokens have to comply with: the policy of the site, and what a user adds to it.
//!
//! `[policy]` is for all projects, `[project_policies]` has one for each of some, by short name. Both may stand in the
//! user's file and in the site's, and in no other place. Of each field the strictest value counts, wherever it stands:
//! a user can make a site's policy stricter and never laxer. What the site's policy does not say of `unknown` and `grace`
//! has the built-in value, and that counts as said.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value as Toml};

use super::span::Span;
use super::{Layers, covers, flag, in_file, plain, text, texts, unusable};
use crate::error::{Error, Kind, Result as Outcome};
use crate::token::ShortName;

/// The settings that belong here.
pub(super) const KEYS: [&str; 2] = ["policy", "project_policies"];

const FIELDS: [&str; 9] = ["max_age", "max_idle", "stores", "needs", "dag", "anchor", "on_breach", "unknown", "grace"];

/// An hour: what is shorter is no policy but a slip.
const SHORTEST: u64 = 3_600;

/// What becomes of a call whose token does not comply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnBreach {
    /// It is made, with a warning.
    #[default]
    Warn,
    /// It is refused.
    Refuse,
}

/// What becomes of a call of whose token it is not known whether it complies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnUnknown {
    /// It is made.
    Allow,
    /// It is made, with a warning.
    #[default]
    Warn,
    /// It is refused.
    Refuse,
}

/// A policy. What is not given is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// How old a token may be.
    pub max_age: Option<Span>,
    /// How long a token may go unused before a person has to let it go on.
    pub max_idle: Option<Span>,
    /// The stores that a token may come from.
    pub stores: Option<Vec<String>>,
    /// What tokens are needed for: they may do that and no more.
    pub needs: Option<Vec<String>>,
    /// Whether a token has to be confined to the Data Access Group of its project.
    pub dag: Option<bool>,
    /// For how long an entry of the audit log may be without an anchor.
    pub anchor: Option<Span>,
    /// What becomes of a call in a breach.
    pub on_breach: Option<OnBreach>,
    /// What becomes of a call where it is not known.
    pub unknown: Option<OnUnknown>,
    /// For how long after a breach began calls are still made, with a warning.
    pub grace: Option<Span>,
}

/// The policies of all projects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// For all projects.
    pub all: Policy,
    /// The whole of it for some, by short name: what is for all projects is in it.
    pub projects: BTreeMap<String, Policy>,
    /// What stands in the user's file and does not count, since the site's policy is stricter: a sentence each.
    pub ignored: Vec<String>,
}

impl Policies {
    /// The policy of one project.
    pub fn of(&self, short_name: &str) -> Policy {
        self.projects.get(short_name).unwrap_or(&self.all).clone()
    }

    /// Reads both files. What was found is noted with its place.
    pub(super) fn read(layers: &Layers, locked: &[String], found: &mut Vec<(String, String, String)>) -> Outcome<Self> {
        let mut said = |file: &Table, place: &str| {
            for key in KEYS {
                found.extend(in_file(file, key).map(|value| (key.to_owned(), plain(value), place.to_owned())));
            }
            Said::read(file, place)
        };
        let mut user = layers.user.clone();
        user.retain(|key, _| !locked.iter().any(|name| covers(name, key)));
        let user = said(&user, &layers.user_place)?;
        let site = said(&layers.site, &layers.site_place)?;
        let mut ignored: Vec<String> = Vec::new();
        // All that the site says of a project is put together before anything of the user's is: what is the user's for all
        // projects is laxer, perhaps, than what the site says of one.
        let mut both = |project: Option<&str>| {
            let limit = site.of(project);
            let (fit, laxer) = user.of(project).within(&limit);
            for laxer in laxer {
                let of_all = laxer.sentence(None, &layers.user_place, &layers.site_place);
                let sentence = laxer.sentence(project, &layers.user_place, &layers.site_place);
                if !ignored.contains(&of_all) && !ignored.contains(&sentence) {
                    ignored.push(sentence);
                }
            }
            limit.strictest(&fit)
        };
        let all = both(None);
        let names: BTreeSet<&String> = site.projects.keys().chain(user.projects.keys()).collect();
        let projects = names.into_iter().map(|name| (name.clone(), both(Some(name)))).collect();
        Ok(Self { all, projects, ignored })
    }
}

/// What one file says.
#[derive(Default)]
struct Said {
    all: Policy,
    projects: BTreeMap<String, Policy>,
}

impl Said {
    fn read(file: &Table, place: &str) -> Outcome<Self> {
        let [all, projects] = KEYS.map(|key| in_file(file, key));
        let all = all.map(Policy::read).transpose().map_err(|why| unusable(KEYS[0], place, why))?;
        let projects = projects.map(by_project).transpose().map_err(|why| unusable(KEYS[1], place, why))?;
        Ok(Self { all: all.unwrap_or_default(), projects: projects.unwrap_or_default() })
    }

    fn of(&self, project: Option<&str>) -> Policy {
        match project.and_then(|name| self.projects.get(name)) {
            Some(own) => self.all.strictest(own),
            None => self.all.clone(),
        }
    }
}

/// A field in which a policy is laxer than another.
struct Laxer {
    field: &'static str,
    is: String,
    limit: String,
}

impl Laxer {
    fn sentence(&self, project: Option<&str>, place: &str, site: &str) -> String {
        let Self { field, is, limit } = self;
        let whose = project.map_or_else(|| "the policy".to_owned(), |name| format!("the policy of `{name}`"));
        format!("`{field} = {is}` in {whose} in {place} does not count: {site} says `{limit}`, which is stricter")
    }
}

/// Refuses what is wished for where the site's policy, or what the user has for all projects, is stricter.
///
/// # Errors
/// `argument`.
pub(super) fn not_laxer(key: &str, value: &Toml, user: &Table, site: &Table, places: [&str; 2]) -> Outcome<()> {
    let (site, user) = (Said::read(site, places[1])?, Said::read(user, places[0])?);
    let wished = if key == KEYS[0] {
        vec![(None, Policy::read(value))]
    } else {
        let Toml::Table(members) = value else { return Ok(()) };
        members.iter().map(|(name, value)| (Some(name.as_str()), Policy::read(value))).collect()
    };
    for (project, policy) in wished {
        let policy = policy.map_err(|why| unusable(key, "the arguments", why))?;
        let own = Said { all: user.all.clone(), ..Said::default() };
        let others = [(site.of(project), places[1]), (own.of(None), places[0])];
        for (other, place) in others.iter().take(if project.is_some() { 2 } else { 1 }) {
            if let Some(Laxer { field, is, limit }) = policy.within(other).1.into_iter().next() {
                let who = if *place == places[1] { "the site's policy" } else { "your policy for all projects" };
                let message = format!("`{field} = {is}` is laxer than {who}, which says `{limit}`: it would not count");
                return Err(Error::new(Kind::Argument, message)
                    .hint(format!("the policy in `{place}` can be made stricter here, never laxer"))
                    .field("setting", format!("{key}.{field}"))
                    .field("argument", field)
                    .field("path", *place));
            }
        }
    }
    Ok(())
}

/// A table with a policy for each of some projects.
pub(super) fn by_project(value: &Toml) -> Result<BTreeMap<String, Policy>, String> {
    let Toml::Table(members) = value else { return Err("it must be a table: a policy for each short name".to_owned()) };
    let read = |(name, value): (&String, &Toml)| {
        ShortName::new(name).map_err(|_| "it names what is no short name of a project".to_owned())?;
        Ok((name.clone(), Policy::read(value).map_err(|why| format!("`{name}`: {why}"))?))
    };
    members.iter().map(read).collect()
}

impl Policy {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What becomes of a call in a breach.
    pub fn on_breach(&self) -> OnBreach {
        self.on_breach.unwrap_or_default()
    }

    /// What becomes of a call where it is not known.
    pub fn unknown(&self) -> OnUnknown {
        self.unknown.unwrap_or_default()
    }

    /// For how long after a breach began calls are still made.
    pub fn grace(&self) -> Span {
        self.grace.unwrap_or_default()
    }

    pub(super) fn read(value: &Toml) -> Result<Self, String> {
        let Toml::Table(members) = value else { return Err("it must be a table".to_owned()) };
        let mut policy = Self::default();
        for (name, value) in members {
            policy
                .set(name, value)
                .map_err(|why| if FIELDS.contains(&name.as_str()) { format!("`{name}`: {why}") } else { why })?;
        }
        Ok(policy)
    }

    fn set(&mut self, name: &str, value: &Toml) -> Result<(), String> {
        let list = |value: &Toml, what: &str| match texts(value)? {
            empty if empty.is_empty() => Err(format!("it must be a list of {what}")),
            mut list => {
                list.sort();
                list.dedup();
                Ok(Some(list))
            }
        };
        match name {
            "max_age" => self.max_age = Some(Span::read(value, SHORTEST)?),
            "max_idle" => self.max_idle = Some(Span::read(value, SHORTEST)?),
            // Which stores and rights there are, other rooms know; they name a stranger when the policy is set or asked.
            "stores" => self.stores = list(value, "stores")?,
            "needs" => self.needs = list(value, "rights or purposes")?,
            "dag" => self.dag = Some(flag(value)?),
            "anchor" => self.anchor = Some(Span::read(value, SHORTEST)?),
            "on_breach" => {
                self.on_breach = Some(match text(value)?.as_str() {
                    "warn" => OnBreach::Warn,
                    "refuse" => OnBreach::Refuse,
                    _ => return Err("it must be `warn` or `refuse`".to_owned()),
                });
            }
            "unknown" => {
                self.unknown = Some(match text(value)?.as_str() {
                    "allow" => OnUnknown::Allow,
                    "warn" => OnUnknown::Warn,
                    "refuse" => OnUnknown::Refuse,
                    _ => return Err("it must be `warn`, `refuse` or `allow`".to_owned()),
                });
            }
            "grace" => self.grace = Some(Span::read(value, 0)?),
            _ => {
                let stranger = crate::token::as_name(name);
                return Err(format!("a policy has no `{stranger}`; it has `{}`", FIELDS.join("`, `")));
            }
        }
        Ok(())
    }

    /// Of each field the stricter value.
    #[must_use]
    fn strictest(&self, other: &Self) -> Self {
        fn either<T: Clone>(one: Option<&T>, other: Option<&T>, both: impl Fn(&T, &T) -> T) -> Option<T> {
            match (one, other) {
                (Some(one), Some(other)) => Some(both(one, other)),
                (one, other) => one.or(other).cloned(),
            }
        }
        let shorter = |one: &Span, other: &Span| *one.min(other);
        Self {
            max_age: either(self.max_age.as_ref(), other.max_age.as_ref(), shorter),
            max_idle: either(self.max_idle.as_ref(), other.max_idle.as_ref(), shorter),
            stores: either(self.stores.as_ref(), other.stores.as_ref(), |one, other| common(one, other, |_, _| false)),
            needs: either(self.needs.as_ref(), other.needs.as_ref(), |one, other| common(one, other, is_less)),
            dag: either(self.dag.as_ref(), other.dag.as_ref(), |one, other| *one || *other),
            anchor: either(self.anchor.as_ref(), other.anchor.as_ref(), shorter),
            on_breach: either(self.on_breach.as_ref(), other.on_breach.as_ref(), |one, other| *one.max(other)),
            unknown: either(self.unknown.as_ref(), other.unknown.as_ref(), |one, other| *one.max(other)),
            grace: either(self.grace.as_ref(), other.grace.as_ref(), shorter),
        }
    }

    /// The policy without what is laxer than another's, and what that was.
    fn within(&self, limit: &Self) -> (Self, Vec<Laxer>) {
        let mut fit = self.clone();
        let mut laxer = Vec::new();
        let mut say = |field, is: String, limit: String| laxer.push(Laxer { field, is, limit });
        // Where there is a policy, what it does not say of these is said by what is built in.
        let (unknown, grace) =
            if limit.is_empty() { (None, None) } else { (Some(limit.unknown()), Some(limit.grace())) };
        for (field, mine, theirs) in [
            ("max_age", &mut fit.max_age, limit.max_age),
            ("max_idle", &mut fit.max_idle, limit.max_idle),
            ("anchor", &mut fit.anchor, limit.anchor),
            ("grace", &mut fit.grace, grace),
        ] {
            if let (Some(is), Some(most)) = (*mine, theirs)
                && is > most
            {
                say(field, is.to_string(), format!("{field} = {most}"));
                *mine = None;
            }
        }
        if fit.dag == Some(false) && limit.dag == Some(true) {
            say("dag", "false".to_owned(), "dag = true".to_owned());
            fit.dag = None;
        }
        if fit.on_breach < limit.on_breach && fit.on_breach.is_some() {
            say("on_breach", "warn".to_owned(), "on_breach = refuse".to_owned());
            fit.on_breach = None;
        }
        if let (Some(is), Some(least)) = (fit.unknown, unknown)
            && is < least
        {
            say("unknown", is.as_str().to_owned(), format!("unknown = {}", least.as_str()));
            fit.unknown = None;
        }
        for (field, mine, theirs, less) in [
            ("stores", &mut fit.stores, &limit.stores, (|_, _| false) as fn(&str, &str) -> bool),
            ("needs", &mut fit.needs, &limit.needs, is_less),
        ] {
            let (Some(is), Some(most)) = (mine.as_mut(), theirs) else { continue };
            if is.iter().all(|one| within(one, most, less)) {
                continue;
            }
            say(field, is.join(", "), format!("{field} = {}", most.join(", ")));
            is.retain(|one| within(one, most, less));
            if is.is_empty() {
                *mine = None;
            }
        }
        (fit, laxer)
    }

    /// As it stands in a settings file.
    pub(crate) fn to_toml(&self) -> Table {
        let mut table = Table::new();
        let mut put = |name: &str, value: Option<Toml>| value.map(|value| table.insert(name.to_owned(), value));
        let span = |span: Option<Span>| span.map(|span| Toml::String(span.to_string()));
        let list = |list: &Option<Vec<String>>| {
            list.as_ref().map(|list| Toml::Array(list.iter().cloned().map(Toml::String).collect()))
        };
        put("max_age", span(self.max_age));
        put("max_idle", span(self.max_idle));
        put("stores", list(&self.stores));
        put("needs", list(&self.needs));
        put("dag", self.dag.map(Toml::Boolean));
        put("anchor", span(self.anchor));
        put("on_breach", self.on_breach.map(|on| Toml::String(on.as_str().to_owned())));
        put("unknown", self.unknown.map(|on| Toml::String(on.as_str().to_owned())));
        put("grace", span(self.grace));
        table
    }

    /// In one line, for the audit log.
    pub(crate) fn words(&self) -> String {
        if self.is_empty() { "none".to_owned() } else { plain(&Toml::Table(self.to_toml())) }
    }

    /// Reads one as the settings file would have it, for whoever is given one.
    ///
    /// # Errors
    /// `argument`.
    pub(crate) fn parse(table: Table) -> Outcome<Self> {
        Self::read(&Toml::Table(table)).map_err(|why| {
            Error::new(Kind::Argument, format!("the policy is not usable: {why}")).field("argument", "policy")
        })
    }
}

impl OnBreach {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Refuse => "refuse",
        }
    }
}

impl OnUnknown {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Warn => "warn",
            Self::Refuse => "refuse",
        }
    }
}

/// Whether one of a list's is among another's, or less than one of them.
fn within(one: &str, others: &[String], less: impl Fn(&str, &str) -> bool) -> bool {
    others.iter().any(|other| other == one || less(one, other))
}

/// What is within both lists. Two that have nothing in common leave the first: nothing would be allowed by both.
fn common(one: &[String], other: &[String], less: impl Fn(&str, &str) -> bool + Copy) -> Vec<String> {
    let mut both: Vec<String> = one.iter().filter(|item| within(item, other, less)).cloned().collect();
    both.extend(other.iter().filter(|item| within(item, one, less)).cloned());
    both.sort();
    both.dedup();
    if both.is_empty() { one.to_owned() } else { both }
}

/// Whether a purpose asks for less than another.
fn is_less(one: &str, other: &str) -> bool {
    one == "export_deidentified" && other == "export"
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        Policy::read(&Toml::Table(text.parse().unwrap())).unwrap()
    }

    fn policies(user: &str, site: &str) -> Policies {
        let layers = Layers {
            user: user.parse().unwrap(),
            user_place: "USER".to_owned(),
            site: site.parse().unwrap(),
            site_place: "SITE".to_owned(),
            ..Layers::default()
        };
        Policies::read(&layers, &layers.locked().unwrap(), &mut Vec::new()).unwrap()
    }

    #[test]
    fn of_each_field_the_strictest_value_counts_wherever_it_stands() {
        // The user's line, the site's, what counts, and whether the user's is told as laxer.
        for (user, site, counts, told) in [
            ("max_age = 7", "max_age = 30", "max_age = 7", false),
            ("max_age = 90", "max_age = 30", "max_age = 30", true),
            ("max_age = 30", "max_age = \"30 days\"", "max_age = 30", false),
            ("max_idle = 90", "max_idle = 30", "max_idle = 30", true),
            ("anchor = \"2 hours\"", "anchor = \"1 hour\"", "anchor = \"1 hour\"", true),
            ("max_age = 7", "max_idle = 30", "max_age = 7\nmax_idle = 30", false),
            ("stores = [\"vault\"]", "stores = [\"vault\", \"aws\"]", "stores = [\"vault\"]", false),
            ("stores = [\"env\", \"vault\"]", "stores = [\"vault\", \"aws\"]", "stores = [\"vault\"]", true),
            ("stores = [\"env\"]", "stores = [\"vault\"]", "stores = [\"vault\"]", true),
            ("needs = [\"export_deidentified\"]", "needs = [\"export\"]", "needs = [\"export_deidentified\"]", false),
            ("needs = [\"export\"]", "needs = [\"export_deidentified\"]", "needs = [\"export_deidentified\"]", true),
            ("needs = [\"export\", \"import\"]", "needs = [\"export\"]", "needs = [\"export\"]", true),
            ("dag = true", "dag = false", "dag = true", false),
            ("dag = false", "dag = true", "dag = true", true),
            ("on_breach = \"refuse\"", "on_breach = \"warn\"", "on_breach = \"refuse\"", false),
            ("on_breach = \"warn\"", "on_breach = \"refuse\"", "on_breach = \"refuse\"", true),
            ("unknown = \"refuse\"", "max_age = 7", "max_age = 7\nunknown = \"refuse\"", false),
            // What the site leaves out has the built-in value, and that counts.
            ("unknown = \"allow\"", "max_age = 7", "max_age = 7", true),
            ("unknown = \"allow\"", "unknown = \"allow\"", "unknown = \"allow\"", false),
            ("grace = 7", "max_age = 7", "max_age = 7", true),
            ("grace = 7", "max_age = 7\ngrace = 14", "max_age = 7\ngrace = 7", false),
            ("grace = 21", "max_age = 7\ngrace = 14", "max_age = 7\ngrace = 14", true),
            ("max_age = 7\ngrace = 7\nunknown = \"allow\"", "", "max_age = 7\ngrace = 7\nunknown = \"allow\"", false),
        ] {
            for table in ["policy", "project_policies.X"] {
                let both = policies(&format!("[{table}]\n{user}\n"), &format!("[policy]\n{site}\n"));
                assert_eq!(both.of("X"), policy(counts), "{table}: {user} with {site}");
                assert_eq!(!both.ignored.is_empty(), told, "{table}: {user} with {site}: {:?}", both.ignored);
                assert!(both.ignored.iter().all(|said| said.contains("USER") && said.contains("SITE")));
                let other =
                    policies(&format!("[project_policies.X]\n{user}\n"), &format!("[policy]\n{site}\n")).of("Y");
                assert_eq!(other, policy(site), "another project keeps the site's");
            }
        }
    }

    #[test]
    fn a_policy_of_one_project_adds_to_that_of_all() {
        let both = policies(
            "[policy]\nmax_age = 90\n[project_policies]\nA = { max_age = 7 }\nB = { dag = true }\n",
            "[project_policies]\nB = { on_breach = \"refuse\" }\n",
        );
        assert_eq!(both.of("A"), policy("max_age = 7"));
        assert_eq!(both.of("B"), policy("max_age = 90\ndag = true\non_breach = \"refuse\""));
        assert_eq!(both.of("C"), policy("max_age = 90"));
        assert!(both.ignored.is_empty(), "{:?}", both.ignored);
    }

    #[test]
    fn what_is_a_users_for_all_projects_makes_no_policy_of_the_sites_for_one_laxer() {
        let site = "[project_policies]\nTRIAL = { stores = [\"vault\"], needs = [\"export_deidentified\"], \
                    max_age = 7, max_idle = 7, anchor = 1, dag = true, on_breach = \"refuse\" }\n";
        let alone = policies("", site).of("TRIAL");
        for field in [
            "stores = [\"env\"]",
            "needs = [\"design\"]",
            "needs = [\"export\"]",
            "max_age = 700",
            "max_idle = 700",
            "anchor = 100",
            "dag = false",
            "on_breach = \"warn\"",
            "unknown = \"allow\"",
            "grace = 30000",
        ] {
            let both = policies(&format!("[policy]\n{field}\n"), site);
            assert_eq!(both.of("TRIAL"), alone, "{field}");
            assert_eq!(both.ignored.len(), 1, "{field}: {:?}", both.ignored);
            assert_eq!(both.of("OTHER"), policy(field), "{field}");
        }
        let stricter = policies("[policy]\nmax_age = 3\n", site).of("TRIAL");
        assert_eq!(stricter, Policy { max_age: policy("max_age = 3").max_age, ..alone });
    }

    #[test]
    fn what_the_site_locks_is_the_sites_alone() {
        let user = "[policy]\nmax_age = 1\n";
        assert_eq!(policies(user, "locked = [\"policy\"]\n[policy]\nmax_age = 30\n").of("X"), policy("max_age = 30"));
        assert_eq!(policies(user, "locked = [\"policy\"]\n").of("X"), Policy::default());
    }

    #[test]
    fn a_slip_in_a_policy_is_named() {
        for (text, part) in [
            ("max_agee = 7", "a policy has no `max_agee`"),
            ("REDCapSync_A9A3F0C7712 = 7", "no `(not a name)`"),
            ("max_age = \"3 months\"", "`max_age`: months and years"),
            ("max_age = 0", "`max_age`: it must be from 1 hour"),
            ("stores = []", "`stores`: it must be a list of stores"),
            ("needs = 7", "`needs`: it must be a list"),
            ("dag = \"site_a\"", "`dag`: it must be `true` or `false`"),
            ("on_breach = \"stop\"", "`warn` or `refuse`"),
            ("unknown = \"maybe\"", "`warn`, `refuse` or `allow`"),
            ("grace = \"-1 days\"", "`grace`"),
        ] {
            let why = Policy::read(&Toml::Table(text.parse().unwrap())).unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
        assert!(by_project(&Toml::Integer(1)).is_err());
        let names: Toml = Toml::Table("\"no name\" = { max_age = 1 }".parse().unwrap());
        assert!(by_project(&names).unwrap_err().contains("no short name"));
    }

    #[test]
    fn a_policy_is_read_back_as_it_was_written() {
        let all = "max_age = 7\nmax_idle = \"36 hours\"\nstores = [\"aws\", \"vault\"]\nneeds = [\"export\"]\n\
                   dag = true\nanchor = 1\non_breach = \"refuse\"\nunknown = \"allow\"\ngrace = 0\n";
        let policy = policy(all);
        assert_eq!(Policy::parse(policy.to_toml()).unwrap(), policy);
        assert_eq!(policy.to_toml().len(), FIELDS.len());
        assert_eq!(policy.words().split("; ").next(), Some("anchor = 1 day"));
        assert_eq!(Policy::default().words(), "none");
    }
}
