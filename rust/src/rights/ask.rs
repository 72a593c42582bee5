//! Asking REDCap, over the pipeline: with the token itself, and with a checker's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::account::{Account, Accounts};
use super::code::read;
use super::confined::{Ids, Seen};
use super::day::today;
use super::grade::{Facts, Lister, Probes, candidates};
use super::listed::{self, Listed};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::project::{Project, Registries, Verified};
use crate::redcap::{Ages, Expect, Groups, Operation, Request, groups, identify, list, may};

/// A project's token that is asked, or asks.
pub(crate) struct Token {
    pub(crate) ctx: Ctx,
    pub(crate) operation: Box<Operation>,
    /// The project as the object says.
    pub(crate) hint: Project,
    /// The project as the registry has it, once REDCap was asked.
    pub(super) entry: Project,
    /// REDCap's number of the project, where the token may read it.
    id: Option<String>,
    export: Option<bool>,
}

/// Where a time is asked for that no entry of the log has, so that whether it may be read is all that comes back.
const NEVER: &str = "2999-01-01 00:00";

impl Token {
    pub(crate) fn new(ctx: Ctx, mut operation: Operation, hint: Project) -> Self {
        operation.as_check();
        let entry = hint.clone();
        Self { ctx, operation: Box::new(operation), hint, entry, id: None, export: None }
    }

    /// REDCap's number of the project, once it was asked, where the token may read it or it is known from before.
    pub(crate) fn project_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether the token could read the project's number itself.
    pub(crate) fn read_project(&self) -> bool {
        self.export == Some(true)
    }

    /// Asks for the project: whether the token lives, may export, and opens the project that it did.
    pub(super) async fn open(&mut self) -> Result<()> {
        if self.export.is_some() {
            return Ok(());
        }
        let asked = self.operation.collect(&Request::read("project", Expect::Json), 4 << 20).await;
        self.entry = self.operation.project().clone();
        let (export, body) = may(asked)?;
        self.export = export;
        if let Some(body) = body {
            let found = identify(&self.ctx, &self.entry, self.hint.project_id.as_deref(), &body)?;
            self.id = Some(found.id);
        } else {
            self.id.clone_from(&self.entry.project_id);
        }
        Ok(())
    }

    pub(super) async fn rows(&mut self, content: &'static str) -> Result<(Option<bool>, Option<Vec<Json>>)> {
        may(list(&mut self.operation, Request::read(content, Expect::Json)).await)
    }

    fn scrubbed(&self, text: &str) -> String {
        self.operation.scrub(&text.chars().filter(|c| !c.is_control()).take(100).collect::<String>())
    }

    /// What is stated of the account.
    fn account(&self) -> Result<Option<Account>> {
        let found = Registries::new(&self.ctx.dirs).find(&self.entry.short_name)?;
        found.map_or(Ok(None), |(kept, _)| Accounts::new(&self.ctx.dirs, kept).find(&self.entry))
    }

    /// Whether an administrator states that the DAG Switcher lists the user. What was stated up to a day that is over is
    /// not stated any more.
    fn switcher(&self) -> Result<Option<bool>> {
        let account = self.account()?.filter(|account| !account.is_over(today(self.ctx.clock.now())));
        Ok(account.and_then(|account| account.dag_switcher))
    }
}

/// A checker's project, opened. What is wrong with its token is not wrong with the one that is checked.
async fn opened(token: &Token, checker: &mut Token) -> Result<()> {
    checker.open().await.map_err(|error| {
        let name = checker.hint.short_name.as_str().to_owned();
        let message = format!("the checker `{name}`: {}", error.message);
        Error { message, ..error }
            .hint(format!("this is about `{name}`, the project in `checked_by`, and not the one checked"))
    })?;
    same_project(token, checker)
}

/// A checker's word counts for the same project of the same server only.
pub(super) fn same_project(token: &Token, checker: &Token) -> Result<()> {
    let (one, other) = (&token.entry, &checker.entry);
    let message = match (&token.id, &checker.id) {
        _ if one.redcap_uri.origin() != other.redcap_uri.origin() => "the checker's project is on another server",
        (Some(one), Some(other)) if one == other => return Ok(()),
        (Some(_), Some(_)) => "the checker's token opens another REDCap project",
        _ => "it is not known whether the checker's token opens the same REDCap project",
    };
    Err(Error::new(Kind::Argument, message)
        .hint("`checked_by` is a project that is set up with another user's token for the same REDCap project")
        .field("argument", "checked_by"))
}

/// Makes what was done durable, whatever came of it.
pub(super) async fn finished<T>(token: &Token, checker: Option<&Token>, done: Result<T>) -> Result<T> {
    let mut written = token.operation.finish().await;
    if let Some(checker) = checker {
        written = written.and(checker.operation.finish().await);
    }
    let done = done?;
    written?;
    Ok(done)
}

/// What a list of users says.
struct Users {
    /// Who read it: the checker where there is one.
    lister: Lister,
    /// The token's declared user.
    listed: Option<Listed>,
    all: Vec<(String, Listed)>,
}

/// Asks for the list of users.
async fn user_list(token: &mut Token, checker: Option<&mut Token>, own: Option<Vec<Json>>) -> Result<Option<Users>> {
    let name = token.entry.redcap_user.clone();
    let (lister, asker, users) = match (checker, own) {
        (Some(checker), own) => match (checker.rows("user").await?.1, own) {
            (Some(users), _) => (Lister::Checker, checker, users),
            (None, own) => {
                checker.ctx.log.warning("the checker's token may not list users either; it needs `user_rights`");
                let Some(users) = own else { return Ok(None) };
                (Lister::Itself, token, users)
            }
        },
        (None, Some(users)) => (Lister::Itself, token, users),
        (None, None) => return Ok(None),
    };
    let mapping = asker.rows("userRoleMapping").await?.1;
    let has_role = mapping.iter().flatten().any(|row| row.get("unique_role_name").and_then(Json::as_str) != Some(""));
    let roles = if has_role { asker.rows("userRole").await?.1 } else { None };
    let scrub = |text: &str| asker.operation.scrub(text);
    let found = name.and_then(|name| listed::find(&name, &users, mapping.as_deref(), roles.as_deref(), &scrub));
    let all = listed::all(&users, mapping.as_deref(), roles.as_deref(), &scrub);
    Ok(Some(Users { lister, listed: found, all }))
}

/// Whose token it is, where REDCap's answers leave one user only. The list has to have all users of the project: whoever
/// is in a Data Access Group may be shown those of the group alone, so its reader must be seen to be in none. What is
/// proved is kept with the project for this very token; what is contradicted is forgotten.
async fn prove(
    token: &mut Token,
    checker: Option<&mut Token>,
    probes: &Probes,
    users: &Users,
) -> Result<Option<String>> {
    let candidates = candidates(probes, &users.all, today(token.ctx.clock.now()));
    let Some(fingerprint) = token.operation.fingerprint() else { return Ok(None) };
    let registries = Registries::new(&token.ctx.dirs);
    let is_whole = match (users.lister, checker) {
        (Lister::Itself, _) => matches!(probes.groups, Groups::Listed(_)),
        (Lister::Checker, Some(checker)) => {
            candidates.len() == 1 && matches!(groups(&mut checker.operation).await?, Groups::Listed(_))
        }
        (Lister::Checker, None) => false,
    };
    if let (true, [name]) = (is_whole, &candidates[..]) {
        let verified = Verified { redcap_user: (*name).to_owned(), fingerprint };
        registries.keep_verified(&token.entry, Some(&verified))?;
        return Ok(Some(verified.redcap_user));
    }
    // What was proved of a token stays so, unless it does now what that user may not.
    let before = token.entry.verified.clone().filter(|verified| verified.fingerprint == fingerprint);
    match before {
        Some(verified) if candidates.iter().any(|name| name.eq_ignore_ascii_case(&verified.redcap_user)) => {
            Ok(Some(verified.redcap_user))
        }
        Some(_) => registries.keep_verified(&token.entry, None).map(|()| None),
        None => Ok(None),
    }
}

/// All that can be read of a token's rights.
///
/// # Errors
/// Those of a call; `argument`: the checker is another project's.
pub(crate) async fn facts(mut token: Token, mut checker: Option<Token>) -> Result<Facts> {
    let asked = Box::pin(ask_facts(&mut token, checker.as_mut())).await;
    finished(&token, checker.as_ref(), asked).await
}

pub(super) async fn ask_facts(token: &mut Token, mut checker: Option<&mut Token>) -> Result<Facts> {
    token.open().await?;
    if let Some(checker) = &mut checker {
        opened(token, checker).await?;
    }
    let (users, own) = token.rows("user").await?;
    let groups = groups(&mut token.operation).await?;
    let log = Request::read("log", Expect::Json).with("beginTime", NEVER);
    let (logging, _) = may(list(&mut token.operation, log).await)?;
    let probes = Probes { export: token.export, users, logging, groups };
    let list = user_list(token, checker.as_deref_mut(), own).await?;
    let shared = shared(token)?;
    let proved = match &list {
        Some(users) if shared.is_none() => prove(token, checker, &probes, users).await?,
        _ => None,
    };
    let list = list.map(|users| {
        let of = |name: &String| users.all.iter().find(|(one, _)| one == name).map(|(_, listed)| listed.clone());
        // Where nobody is declared, the one who is proved is looked at.
        let undeclared = proved.as_ref().filter(|_| token.entry.redcap_user.is_none()).and_then(of);
        (users.lister, users.listed.or(undeclared))
    });
    Ok(Facts {
        user: token.entry.redcap_user.clone().or_else(|| proved.clone()),
        proved,
        shared,
        probes,
        list,
        account: token.account()?,
        today: today(token.ctx.clock.now()),
    })
}

/// That another project here has this token for another user, in words.
fn shared(token: &Token) -> Result<Option<String>> {
    let Some(print) = token.operation.fingerprint() else { return Ok(None) };
    let ages = Ages::of(&token.ctx, &token.entry, token.operation.is_sandbox());
    ages.shared(&print, &token.entry, &token.ctx.dirs)
}

/// All that can be read of a token's Data Access Group.
///
/// # Errors
/// As [`facts`].
pub(crate) async fn confinement(
    mut token: Token,
    mut checker: Option<Token>,
    dag: Option<String>,
    read_ids: bool,
) -> Result<(Seen, String)> {
    let asked = Box::pin(ask_confinement(&mut token, checker.as_mut(), dag, read_ids)).await;
    finished(&token, checker.as_ref(), asked).await
}

pub(super) async fn ask_confinement(
    token: &mut Token,
    mut checker: Option<&mut Token>,
    dag: Option<String>,
    read_ids: bool,
) -> Result<(Seen, String)> {
    token.open().await?;
    let dag = dag.or_else(|| token.entry.dag.clone()).ok_or_else(|| {
        Error::new(Kind::Argument, "`dag` is missing, and the project is set up without one")
            .hint("name the Data Access Group by its unique name, here or when you set the project up")
            .field("argument", "dag")
    })?;
    if let Some(checker) = &mut checker {
        opened(token, checker).await?;
    }
    let groups = groups(&mut token.operation).await?;
    if let Groups::Listed(all) = &groups
        && !all.is_empty()
        && !all.contains(&dag)
    {
        token.ctx.log.warning("the project has no Data Access Group of this unique name");
    }
    let listed = group_list(token, checker.as_deref_mut()).await?;
    let moved = moved(token, checker.as_deref_mut()).await?;
    let ids = if read_ids { Some(ids(token, checker).await?) } else { None };
    let switcher = token.switcher()?;
    let (listed, import) = listed;
    let shared = shared(token)?;
    Ok((Seen { groups, listed, import, moved, switcher, ids, shared }, dag))
}

type Group = (Option<(String, &'static str)>, Option<bool>);

/// The declared user's group, and whether the user may import.
async fn group_list(token: &mut Token, mut checker: Option<&mut Token>) -> Result<Group> {
    let Some(name) = token.entry.redcap_user.clone() else {
        token.ctx.log.note("the project is set up without `redcap_user`, so no list can say what group its user is in");
        return Ok((None, None));
    };
    let own = if checker.is_some() { None } else { token.rows("user").await?.1 };
    let list = user_list(token, checker.as_deref_mut(), own).await?;
    let import = list.as_ref().and_then(|users| {
        let code = users.listed.as_ref()?.code("api_import")?;
        Some(read("api_import", code).level != Some(0))
    });
    if let Some(Users { lister, listed: Some(listed), .. }) = list {
        let whose = if lister == Lister::Itself { "self" } else { "checker" };
        return Ok((Some((listed.group, whose)), import));
    }
    // Whoever may not list users may have the right to groups.
    let (asker, whose) = match checker {
        Some(checker) => (checker, "checker"),
        None => (token, "self"),
    };
    let mapping = asker.rows("userDagMapping").await?.1.unwrap_or_default();
    let same =
        |row: &&Json| row.get("username").and_then(Json::as_str).is_some_and(|one| one.eq_ignore_ascii_case(&name));
    let group = mapping.iter().find(same).map(|row| {
        let group = row.get("redcap_data_access_group").and_then(Json::as_str).unwrap_or_default();
        (asker.scrubbed(group), whose)
    });
    Ok((group, import))
}

/// Whether the log shows that the user moved itself. The words are REDCap's to change: they prove something where they
/// are, and nothing where they are not.
async fn moved(token: &Token, checker: Option<&mut Token>) -> Result<Option<bool>> {
    let (Some(name), Some(checker)) = (token.entry.redcap_user.clone(), checker) else { return Ok(None) };
    let request = Request::read("log", Expect::Json).with("user", name).with("logtype", "manage");
    let (_, entries) = may(list(&mut checker.operation, request).await)?;
    Ok(entries.map(|entries| {
        entries.iter().filter_map(|entry| entry.get("details")?.as_str()).any(|details| {
            let details = details.to_ascii_lowercase();
            details.contains("switch") && (details.contains("data access group") || details.contains("dag"))
        })
    }))
}

/// The ids of the records that the token sees, and their groups as the checker sees them.
async fn ids(token: &mut Token, checker: Option<&mut Token>) -> Result<Ids> {
    let own = records(token).await?;
    let mut ids = Ids { any: !own.is_empty(), column: own.values().any(Option::is_some), ..Ids::default() };
    if let Some(checker) = checker
        && ids.any
        && !ids.column
    {
        let all = records(checker).await?;
        if all.values().all(Option::is_none) {
            checker
                .ctx
                .log
                .warning("the checker's token does not see the groups of records; it may be in a group itself");
            return Ok(ids);
        }
        ids.strange = own.keys().any(|id| !all.contains_key(id));
        let group = |id: &String| all.get(id).map(|group| group.clone().unwrap_or_default());
        let groups: BTreeSet<String> = own.keys().filter_map(group).collect();
        ids.groups = Some(groups.iter().map(|group| checker.scrubbed(group)).collect());
    }
    Ok(ids)
}

/// The ids of records with the groups, where these come along.
async fn records(token: &mut Token) -> Result<BTreeMap<String, Option<String>>> {
    let names = list(&mut token.operation, Request::read("exportFieldNames", Expect::Json)).await?;
    let field = names.first().and_then(|row| row.get("original_field_name")?.as_str()).map(str::to_owned);
    let field = field.ok_or_else(|| Error::new(Kind::NotRedcap, "the project has no field for the record's id"))?;
    let request =
        Request::read("record", Expect::Json).with("fields", vec![field.clone()]).with("exportDataAccessGroups", true);
    let rows = list(&mut token.operation, request).await?;
    let text = |row: &Json, name: &str| match row.get(name) {
        Some(Json::String(text)) => Some(text.clone()),
        Some(Json::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    Ok(rows.iter().filter_map(|row| Some((text(row, &field)?, text(row, "redcap_data_access_group")))).collect())
}
