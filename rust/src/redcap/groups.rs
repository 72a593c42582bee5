//! What REDCap's refusals say of a token: the three answers about Data Access Groups, and lists that it may not read.

use serde_json::Value as Json;

use super::pipeline::Operation;
use super::repair;
use super::request::{Expect, Request};
use crate::error::{Error, Kind, Result};

/// A list of users or groups is not larger than this.
const MOST: usize = 16 * 1024 * 1024;

/// What REDCap answers to a token that asks for the project's Data Access Groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Groups {
    /// Their unique names: the token's user has the right to them, and is in none.
    Listed(Vec<String>),
    /// The user is in a group: a positive sign that the token is confined.
    Within,
    /// The user has not the right to groups. Whether it is in one is left open.
    NoRight,
    /// REDCap said something else.
    Open,
}

/// Asks for the project's groups.
///
/// # Errors
/// Those of a call, REDCap's own refusals apart.
pub(crate) async fn groups(operation: &mut Operation) -> Result<Groups> {
    match list(operation, Request::read("dag", Expect::Json)).await {
        Ok(rows) => Ok(Groups::Listed(
            rows.iter().filter_map(|row| Some(row.get("unique_group_name")?.as_str()?.to_owned())).collect(),
        )),
        Err(error) if error.kind == Kind::Redcap => Ok(refused(&error.message)),
        Err(error) => Err(error),
    }
}

/// The two refusals, told apart by the words that were seen on live servers; the misspelling is REDCap's, and one day
/// it may be mended.
fn refused(message: &str) -> Groups {
    let said = message.to_ascii_lowercase();
    if said.contains("assigned to a data access group") {
        Groups::Within
    } else if said.contains("'data access groups' privileges") || said.contains("api export") {
        Groups::NoRight
    } else {
        Groups::Open
    }
}

/// A list of rows, as JSON.
///
/// # Errors
/// Those of a call; `not_redcap`: it is no list.
pub(crate) async fn list(operation: &mut Operation, request: Request) -> Result<Vec<Json>> {
    let body = operation.collect(&request, MOST).await?;
    match repair::json(&body) {
        Ok(Json::Array(rows)) if rows.iter().all(Json::is_object) => Ok(rows),
        _ => Err(Error::new(Kind::NotRedcap, "the answer is not a list as REDCap gives it")
            .hint("check `redcap_uri`: the API address ends in `/api/`")),
    }
}

/// Whether a list may be read; nothing where REDCap's refusal leaves that open: an older server does not know every
/// content.
///
/// # Errors
/// Those of a call, REDCap's own refusals apart.
pub(crate) fn may<T>(asked: Result<T>) -> Result<(Option<bool>, Option<T>)> {
    match asked {
        Ok(rows) => Ok((Some(true), Some(rows))),
        Err(error) if error.kind == Kind::Redcap && error.message.contains("is not valid") => Ok((None, None)),
        Err(error) if error.kind == Kind::Redcap => Ok((Some(false), None)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusals_about_groups_are_told_apart() {
        for (message, answer) in [
            (
                "REDCap: You do not have permission to export/import/delete Data Access Groups because you have beed \
                 assigned to a Data Access Group..",
                Groups::Within,
            ),
            ("… because you have been assigned to a Data Access Group.", Groups::Within),
            (
                "Insufficient user privileges: You must have 'API Export' privileges and 'Data Access Groups' \
                 privileges in the project.",
                Groups::NoRight,
            ),
            ("You do not have API Export privileges", Groups::NoRight),
            ("The value of the parameter \"content\" is not valid", Groups::Open),
        ] {
            assert_eq!(refused(message), answer, "{message}");
        }
    }

    #[test]
    fn a_content_that_a_server_does_not_know_is_no_missing_right() {
        let said = |message: &str| may::<()>(Err(Error::new(Kind::Redcap, message))).ok().and_then(|(may, _)| may);
        assert_eq!(said("The value of the parameter \"content\" is not valid"), None);
        assert_eq!(said("You do not have the right"), Some(false));
        assert!(may::<()>(Err(Error::new(Kind::Connection, "gone"))).is_err());
    }
}
