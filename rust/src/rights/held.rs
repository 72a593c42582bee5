//! What a token may do, as it is kept to be compared with what another one may.

use std::collections::BTreeMap;

use super::ask::{Token, ask_facts};
use super::code::read;
use super::grade::{Facts, Whose, whose};
use crate::error::Result;
use crate::project::Held;
use crate::redcap::Groups;

/// The key of the user's Data Access Group among the codes; no right is called so.
const GROUP: &str = "group";

/// Whose word that of a list is, if a list of users says what both of two tokens may.
pub(crate) const PROBE: &str = "probe";

/// Asks REDCap what a token may do: what its user is listed with, where somebody may read that, and what REDCap lets it do.
///
/// # Errors
/// Those of a call; `argument`: the checker is another project's.
pub(crate) async fn held(token: &mut Token, checker: Option<&mut Token>) -> Result<Held> {
    Box::pin(ask_facts(token, checker)).await.map(|facts| of(&facts))
}

fn of(facts: &Facts) -> Held {
    let mut flags = Vec::new();
    let (evidence, codes, contradicted) = match whose(facts, &mut flags) {
        Whose::Listed(reader, listed) => {
            let codes = listed.codes().into_iter().flatten().cloned();
            let group = (GROUP.to_owned(), listed.group.clone());
            (reader.as_str(), codes.chain([group]).collect(), None)
        }
        Whose::Role(..) => (PROBE, BTreeMap::new(), None),
        Whose::Open(_) => (PROBE, BTreeMap::new(), flags.into_iter().next()),
    };
    let seen = &facts.probes;
    let groups = match &seen.groups {
        Groups::Listed(_) => Some(true),
        Groups::Within | Groups::NoRight => Some(false),
        Groups::Open => None,
    };
    let within = match &seen.groups {
        Groups::Within => Some(false),
        Groups::Listed(_) => Some(true),
        Groups::NoRight | Groups::Open => None,
    };
    let probes = [
        ("api_export", seen.export),
        ("user_rights", seen.users),
        ("logging", seen.logging),
        ("data_access_groups", groups),
        ("all groups", within),
    ];
    let probes = probes.into_iter().filter_map(|(right, may)| Some((right.to_owned(), may?))).collect();
    Held { evidence: evidence.to_owned(), codes, probes, contradicted }
}

/// What one token may and another one, before it, might not: one sentence each. What only one of the two could be asked
/// about says nothing.
pub(crate) fn more(before: &Held, after: &Held) -> Vec<String> {
    let mut more = Vec::new();
    if both_listed(before, after) {
        for (right, code) in after.codes.iter().filter(|(right, _)| *right != GROUP) {
            let was = before.codes.get(right).map_or("", String::as_str);
            let (was, is) = (read(right, was), read(right, code));
            // A code that nobody knows counts as more than any other.
            let level = |level: Option<u8>| level.map_or(u16::from(u8::MAX) + 1, u16::from);
            if level(is.level) > level(was.level) || (is.level.is_none() && is.words != was.words) {
                more.push(format!("`{right}`: {}, before: {}", is.words, was.words));
            }
        }
        let group = |held: &Held| held.codes.get(GROUP).cloned().unwrap_or_default();
        let (was, is) = (group(before), group(after));
        if was != is && !was.is_empty() {
            let is = if is.is_empty() { "none, so all records".to_owned() } else { format!("`{is}`") };
            more.push(format!("the Data Access Group: {is}, before: `{was}`"));
        }
    }
    for (right, _) in after.probes.iter().filter(|(_, may)| **may) {
        if before.probes.get(right) == Some(&false) && !more.iter().any(|one| one.starts_with(&format!("`{right}`"))) {
            more.push(format!("`{right}`: REDCap allows it now and refused it before"));
        }
    }
    more
}

/// What REDCap let one token do and refuses another one, after it: it may be another user's.
pub(crate) fn fewer(before: &Held, after: &Held) -> Vec<String> {
    let lost = before.probes.iter().filter(|(right, may)| **may && after.probes.get(*right) == Some(&false));
    lost.map(|(right, _)| format!("`{right}`")).collect()
}

/// Whether a list of users said what each of the two may.
pub(crate) fn both_listed(before: &Held, after: &Held) -> bool {
    before.evidence != PROBE && after.evidence != PROBE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(evidence: &str, codes: &[(&str, &str)], probes: &[(&str, bool)]) -> Held {
        Held {
            evidence: evidence.to_owned(),
            codes: codes.iter().map(|(right, code)| ((*right).to_owned(), (*code).to_owned())).collect(),
            probes: probes.iter().map(|(right, may)| ((*right).to_owned(), *may)).collect(),
            contradicted: None,
        }
    }

    #[test]
    fn more_rights_are_seen_in_each_kind_of_code_and_fewer_are_none() {
        for (right, was, is, is_more) in [
            ("api_import", "0", "1", true),
            ("api_import", "1", "0", false),
            ("api_import", "1", "1", false),
            ("user_rights", "2", "1", true),
            ("user_rights", "1", "2", false),
            ("forms_export:a", "2", "3", true),
            ("forms_export:a", "3", "1", true),
            ("forms_export:a", "1", "2", false),
            ("forms:a", "129", "130", true),
            ("forms:a", "2", "129", false),
            ("design", "1", "x", true),
            ("teleport", "7", "7", false),
            ("teleport", "7", "8", true),
            ("group", "site_a", "site_b", true),
            ("group", "site_a", "", true),
            ("group", "", "site_a", false),
        ] {
            let (one, other) = (held("self", &[(right, was)], &[]), held("checker", &[(right, is)], &[]));
            assert_eq!(!more(&one, &other).is_empty(), is_more, "{right} {was} {is}: {:?}", more(&one, &other));
        }
        // A right that the list did not have.
        let (one, other) = (held("self", &[], &[]), held("self", &[("design", "1"), ("logging", "0")], &[]));
        assert_eq!(more(&one, &other), ["`design`: yes, before: no"]);
    }

    #[test]
    fn where_no_list_can_be_read_what_redcap_allows_is_compared_and_nothing_else() {
        let one = held("self", &[("design", "0")], &[("logging", false), ("api_export", true)]);
        let other = held("probe", &[], &[("logging", true), ("api_export", true), ("user_rights", true)]);
        assert_eq!(more(&one, &other), ["`logging`: REDCap allows it now and refused it before"]);
        assert!(!both_listed(&one, &other) && both_listed(&one, &one));
        let confined = held("probe", &[], &[("all groups", false)]);
        assert_eq!(more(&confined, &held("probe", &[], &[("all groups", true)])).len(), 1);
        assert!(more(&confined, &confined).is_empty());
        assert_eq!(fewer(&other, &one), ["`logging`"]);
        assert!(fewer(&one, &other).is_empty());
    }
}
