//! Does a token work? `version`, then `project`, over one connection.

use serde_json::Value as Json;

use super::classify::is_version;
use super::groups::{Groups, groups};
use super::pipeline::Operation;
use super::repair;
use super::request::{Expect, Request};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::project::{Project, Registries};

/// What REDCap said about a token that works.
pub(crate) struct Probe {
    pub(crate) version: String,
    pub(crate) project_id: Option<String>,
    pub(crate) project_title: Option<String>,
    pub(crate) fingerprint: Option<String>,
    /// The project's API page.
    pub(crate) api_page: String,
    /// Why project information is missing though the token works.
    pub(crate) remark: Option<String>,
    /// That the token is not confined to a Data Access Group though the project is set up with one.
    pub(crate) unconfined: Option<String>,
    /// What is known of its confinement otherwise.
    pub(crate) confined: Option<String>,
}

/// Asks REDCap. The first success pins the project's id; another id later is an error.
pub(crate) async fn probe(ctx: &Ctx, project: &Project, operation: &mut Operation) -> Result<Probe> {
    operation.as_check();
    let asked = ask(ctx, project, operation).await;
    let finished = operation.finish().await;
    let found = asked?;
    finished?;
    Ok(found)
}

async fn ask(ctx: &Ctx, project: &Project, operation: &mut Operation) -> Result<Probe> {
    let version = version_of(operation).await?;
    let hinted_id = project.project_id.clone();
    let project = &operation.project().clone();
    let information = match operation.collect(&Request::read("project", Expect::Json), 4 * 1024 * 1024).await {
        Ok(body) => Ok(Information::read(&body, |text| operation.scrub(text))?),
        Err(error) if error.kind == Kind::Redcap => Err(error.message),
        Err(error) => return Err(error),
    };
    let fingerprint = operation.fingerprint();
    let (project_id, project_title, remark) = match information {
        Ok(Information { id, title, .. }) => (Some(id), title, None),
        Err(said) => (None, None, Some(format!("the token works but may not read project information ({said})"))),
    };
    if let Some(id) = &project_id {
        same_project(ctx, project, hinted_id.as_deref(), id)?;
    }
    let rotation = operation.rotation().map(|begun| begun.stands(fingerprint.as_deref()));
    let remarks: Vec<String> = remark.into_iter().chain(rotation).collect();
    let remark = (!remarks.is_empty()).then(|| remarks.join("; "));
    let api_page = api_page(project, &version, project_id.as_deref());
    let (mut confined, mut unconfined) = (None, None);
    if let Some(dag) = &project.dag {
        match groups(operation).await? {
            Groups::Listed(_) => {
                unconfined = Some(format!("the token is not confined to `{dag}`: its user is in no Data Access Group"));
            }
            Groups::Within => {
                confined =
                    Some("the user is in a Data Access Group; `check_project_dag()` finds out in which".to_owned());
            }
            Groups::NoRight | Groups::Open => {
                confined = Some("not known; `check_project_dag()` with `checked_by` finds it out".to_owned());
            }
        }
    }
    Ok(Probe { version, project_id, project_title, fingerprint, api_page, remark, unconfined, confined })
}

/// REDCap's version: the one question that every token which works may ask.
pub(crate) async fn version_of(operation: &mut Operation) -> Result<String> {
    let body = operation.collect(&Request::read("version", Expect::Version), 4 * 1024).await?;
    version(&body).ok_or_else(|| strange("its version"))
}

/// Checks project information against the id that is pinned and the one that the object has, and gives what the answer
/// says of the project.
pub(crate) fn identify(ctx: &Ctx, project: &Project, hinted_id: Option<&str>, body: &[u8]) -> Result<Information> {
    let information = Information::read(body, str::to_owned)?;
    same_project(ctx, project, hinted_id, &information.id)?;
    Ok(information)
}

/// The first id that is seen is pinned; another one is an error.
pub(crate) fn same_project(ctx: &Ctx, project: &Project, hinted_id: Option<&str>, id: &str) -> Result<()> {
    let pinned = Registries::new(&ctx.dirs).pin(project, id)?;
    let hinted = hinted_id.unwrap_or(&pinned);
    if pinned != *id || hinted != id {
        let known = if pinned == *id { hinted } else { &pinned };
        return Err(changed(project, known, id));
    }
    Ok(())
}

fn strange(what: &str) -> Error {
    Error::new(Kind::NotRedcap, format!("the answer is not what REDCap gives as {what}"))
        .hint("check `redcap_uri`: the API address ends in `/api/`")
}

/// The version, if the whole body is one: a body may begin like a version and go on with anything.
fn version(body: &[u8]) -> Option<String> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    is_version(body).then(|| String::from_utf8_lossy(body).into_owned())
}

/// Project information, as far as it is used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Information {
    pub(crate) id: String,
    pub(crate) title: Option<String>,
    /// The missing-data codes as REDCap writes them: `code, label | code, label`.
    pub(crate) missing_codes: String,
    pub(crate) is_longitudinal: bool,
}

impl Information {
    /// Reads the answer: one object, or a list of one. Id and title came as data, where a token may hide in escapes, and
    /// are shown: no part of it passes.
    ///
    /// # Errors
    /// `not_redcap`.
    pub(crate) fn read(body: &[u8], scrub: impl Fn(&str) -> String) -> Result<Self> {
        let strange = || strange("project information");
        let json = match repair::json(body).map_err(|_| strange())? {
            Json::Array(items) => items.into_iter().next().ok_or_else(strange)?,
            json => json,
        };
        let id = match json.get("project_id") {
            Some(Json::Number(id)) => id.to_string(),
            Some(Json::String(id)) => id.clone(),
            _ => return Err(strange()),
        };
        if id.is_empty() || id.len() > 12 || !id.bytes().all(|b| b.is_ascii_digit()) || scrub(&id) != id {
            return Err(strange());
        }
        let text = |name: &str| json.get(name).and_then(Json::as_str);
        let plain = |title: &str| title.chars().filter(|c| !c.is_control()).collect::<String>();
        let flag = json.get("is_longitudinal").cloned().unwrap_or_default();
        Ok(Self {
            id,
            title: text("project_title").map(|title| scrub(&plain(title)).chars().take(200).collect()),
            missing_codes: text("missing_data_codes").unwrap_or_default().to_owned(),
            is_longitudinal: flag == Json::Bool(true) || flag.as_i64() == Some(1) || flag.as_str() == Some("1"),
        })
    }
}

fn changed(project: &Project, known: &str, now: &str) -> Error {
    let name = project.token_name.as_str();
    Error::new(
        Kind::ProjectChanged,
        format!(
            "the token under `{name}` opens REDCap project {now}; `{}` was project {known}",
            project.short_name.as_str()
        ),
    )
    .hint("the token of another project is stored under this name: store the right one")
    .hint("if the project was replaced, `delete_project()` and set it up again")
    .field("project_id", now)
    .field("pinned_project_id", known)
}

/// The page where a person regenerates the token.
pub(crate) fn api_page(project: &Project, version: &str, project_id: Option<&str>) -> String {
    let base = project.redcap_uri.as_str();
    let base = base.strip_suffix("api/").unwrap_or(base);
    match project_id {
        Some(id) => format!("{base}redcap_v{version}/API/project_api.php?pid={id}"),
        None => base.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Information> {
        Information::read(body.as_bytes(), str::to_owned)
    }

    #[test]
    fn a_body_that_begins_like_a_version_and_goes_on_is_none() {
        assert_eq!(version(b"\xef\xbb\xbf14.5.1\n").as_deref(), Some("14.5.1"));
        assert_eq!(version(b"14.5.1          and what the server knows, 9"), None);
        assert_eq!(version(b"14.5.1\n\n9A3F0C7712DE48B65A90EF1234CD778"), None);
    }

    #[test]
    fn project_information_is_read_with_the_id_as_number_or_text() {
        let found = read("{\"project_id\":12,\"project_title\":\"A\\nB\"}").unwrap();
        assert_eq!((found.id.as_str(), found.title.as_deref()), ("12", Some("AB")));
        let found = read("{\"project_id\":\"12\"}").unwrap();
        assert_eq!((found.id.as_str(), found.title, found.is_longitudinal), ("12", None, false));
        let found = read("[{\"project_id\":12,\"is_longitudinal\":1,\"missing_data_codes\":\"-9, No\"}]").unwrap();
        assert_eq!((found.missing_codes.as_str(), found.is_longitudinal), ("-9, No", true));
        for strange in ["{}", "[]", "{\"project_id\":1.5}", "{\"project_id\":\"x\"}", "nonsense"] {
            assert_eq!(read(strange).unwrap_err().kind, Kind::NotRedcap, "{strange}");
        }
    }

    #[test]
    fn a_project_is_longitudinal_in_every_way_of_saying_so() {
        for (text, longitudinal) in [
            ("{\"project_id\":1,\"is_longitudinal\":1}", true),
            ("{\"project_id\":1,\"is_longitudinal\":\"1\"}", true),
            ("[{\"project_id\":1,\"is_longitudinal\":true}]", true),
            ("{\"project_id\":1,\"is_longitudinal\":0}", false),
            ("{\"project_id\":1}", false),
        ] {
            assert_eq!(read(text).unwrap().is_longitudinal, longitudinal, "{text}");
        }
    }
}
