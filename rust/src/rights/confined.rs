//! Whether a token is confined to one Data Access Group.

use std::collections::BTreeSet;

use crate::redcap::Groups;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Confinement {
    /// To the group that was asked for.
    Here,
    /// To another one.
    Another(String),
    /// It sees all records.
    Not,
    /// It is in a group, and can leave it.
    Movable,
    /// Not known.
    Open,
}

impl Confinement {
    /// Whether it is confined as it should be; nothing where that cannot be told.
    pub(crate) fn confined(&self) -> Option<bool> {
        match self {
            Self::Here => Some(true),
            Self::Another(_) | Self::Not | Self::Movable => Some(false),
            Self::Open => None,
        }
    }

    /// The group that it is confined to.
    pub(crate) fn group(&self, dag: &str) -> Option<String> {
        match self {
            Self::Here => Some(dag.to_owned()),
            Self::Another(group) => Some(group.clone()),
            Self::Not | Self::Movable | Self::Open => None,
        }
    }

    /// In words.
    pub(crate) fn words(&self, dag: &str) -> String {
        match self {
            Self::Here => format!("confined to {dag}"),
            Self::Another(_) => "confined to another".to_owned(),
            Self::Not => "not confined".to_owned(),
            Self::Movable => "can move itself".to_owned(),
            Self::Open => "cannot tell".to_owned(),
        }
    }

    /// The same, as a sentence about the token.
    pub(crate) fn sentence(&self, dag: &str) -> String {
        match self {
            Self::Open => format!("it cannot be told whether the token is confined to {dag}"),
            Self::Another(_) => "the token is confined to another group".to_owned(),
            Self::Movable => "the token can move itself to other groups".to_owned(),
            Self::Here | Self::Not => format!("the token is {}", self.words(dag)),
        }
    }
}

/// Which records' ids a token sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    /// Whether there are any.
    pub(super) any: bool,
    /// Whether the column of groups came along: then the user is in none.
    pub(super) column: bool,
    /// The groups of those records, as the checker sees them; blank for none. Nothing without a checker.
    pub(super) groups: Option<BTreeSet<String>>,
    /// Records that the checker does not see.
    pub(super) strange: bool,
}

/// All that is known.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(super) groups: Groups,
    /// The group that a list has the declared user in, blank for none, and who read the list.
    pub(super) listed: Option<(String, &'static str)>,
    /// Whether the user may import; nothing where that is open.
    pub(super) import: Option<bool>,
    /// Whether the log shows that the user has moved itself; nothing where it cannot be read.
    pub(super) moved: Option<bool>,
    /// Whether an administrator states that the DAG Switcher lists the user.
    pub(super) switcher: Option<bool>,
    pub(super) ids: Option<Ids>,
    /// That another project here has this token for another user, in words.
    pub(super) shared: Option<String>,
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// What was looked at.
    pub(crate) source: &'static str,
    /// Whose word it is: `self`, `checker`, `declared`, `probe`.
    pub(crate) evidence: &'static str,
    /// What it says.
    pub(crate) says: String,
}

/// What the evidence amounts to.
pub(crate) fn judge(seen: &Seen, dag: &str) -> (Confinement, Vec<Said>) {
    let mut said = Vec::new();
    let mut say = |source, evidence, says: String| said.push(Said { source, evidence, says });
    // Whether the user is in a group, and in which, as each piece has it.
    let mut within: Vec<bool> = Vec::new();
    let mut named: BTreeSet<String> = BTreeSet::new();
    match &seen.groups {
        Groups::Listed(all) if all.is_empty() => {
            say("dag", "probe", "the project has no Data Access Groups".to_owned());
            within.push(false);
        }
        Groups::Listed(_) => {
            say("dag", "probe", "the token lists the groups: its user is in none".to_owned());
            within.push(false);
        }
        Groups::Within => {
            say("dag", "probe", "REDCap says that the token's user is in a group".to_owned());
            within.push(true);
        }
        Groups::NoRight => say("dag", "probe", "the token may not ask for groups, which says nothing".to_owned()),
        Groups::Open => say("dag", "probe", "REDCap's answer says nothing".to_owned()),
    }
    match &seen.listed {
        Some((group, whose)) if group.is_empty() => {
            say("mapping", whose, "the declared user is in no group".to_owned());
            within.push(false);
        }
        Some((group, whose)) => {
            say("mapping", whose, format!("the declared user is in `{group}`"));
            within.push(true);
            named.insert(group.clone());
        }
        None => {}
    }
    let foreign = ids(seen.ids.as_ref(), &mut within, &mut named, &mut say);
    let movable = movable(seen, &mut say);
    if let Some(shared) = &seen.shared {
        say("token", "declared", format!("it may not be the declared user's: {shared}"));
        return (Confinement::Open, said);
    }
    let answer = match (within.contains(&true), within.contains(&false)) {
        (true, true) => {
            say("all", "probe", "these contradict each other: the token is not the declared user's".to_owned());
            Confinement::Open
        }
        (false, true) => Confinement::Not,
        (false, false) => Confinement::Open,
        (true, false) if foreign => Confinement::Open,
        (true, false) => match (movable, named.iter().next()) {
            (Some(true), _) => Confinement::Movable,
            (_, Some(_)) if named.len() > 1 => Confinement::Open,
            (_, Some(group)) if group != dag => Confinement::Another(group.clone()),
            (Some(false), Some(_)) => Confinement::Here,
            _ => Confinement::Open,
        },
    };
    (answer, said)
}

/// What the ids of records say. Whether they are of more than the one group that a list names.
fn ids(
    ids: Option<&Ids>,
    within: &mut Vec<bool>,
    named: &mut BTreeSet<String>,
    say: &mut impl FnMut(&'static str, &'static str, String),
) -> bool {
    let Some(ids) = ids else { return false };
    if !ids.any {
        say("records", "probe", "the token sees no record, which says nothing".to_owned());
        return false;
    }
    if ids.column {
        say("records", "probe", "records come with their groups: the token's user is in none".to_owned());
        within.push(false);
        return false;
    }
    say("records", "probe", "records come without their groups, as for a user in one".to_owned());
    if ids.strange {
        say("records", "checker", "the token sees records that the checker does not see".to_owned());
        return false;
    }
    match ids.groups.as_ref().map(|groups| groups.iter().cloned().collect::<Vec<_>>()) {
        Some(groups) if groups.len() == 1 && !groups[0].is_empty() => {
            say("records", "checker", format!("every record that the token sees is of `{}`", groups[0]));
            within.push(true);
            let agrees = named.is_empty() || named.contains(&groups[0]);
            named.insert(groups[0].clone());
            !agrees
        }
        Some(groups) => {
            let shown = |group: &String| if group.is_empty() { "no group".to_owned() } else { format!("`{group}`") };
            let shown: Vec<_> = groups.iter().map(shown).collect();
            say("records", "checker", format!("the token sees records of {}", shown.join(", ")));
            within.push(false);
            false
        }
        None => false,
    }
}

/// Whether the user can go to another group.
fn movable(seen: &Seen, say: &mut impl FnMut(&'static str, &'static str, String)) -> Option<bool> {
    if seen.moved == Some(true) {
        say("log", "checker", "the user has moved itself to another group".to_owned());
        return Some(true);
    }
    if seen.import == Some(false) {
        let whose = seen.listed.as_ref().map_or("checker", |(_, whose)| whose);
        say("api_import", whose, "the user may not import, so the token cannot move itself".to_owned());
        return Some(false);
    }
    let may =
        if seen.import == Some(true) { "the user may import" } else { "whether the user may import is not known" };
    match seen.switcher {
        Some(true) => {
            say("DAG Switcher", "declared", format!("{may}, and the DAG Switcher lists it"));
            Some(true)
        }
        Some(false) => {
            say("DAG Switcher", "declared", format!("{may}, and the DAG Switcher does not list it"));
            Some(false)
        }
        None => {
            say(
                "DAG Switcher",
                "probe",
                format!(
                    "{may}; REDCap does not say whether the DAG Switcher lists it: an administrator can state it with \
                     `declare_account()`"
                ),
            );
            None
        }
    }
}
