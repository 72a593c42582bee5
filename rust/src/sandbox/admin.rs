//! The administrator's commands: JSON in, JSON out, one line each. No token ever goes out here.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::{Value, json};

use super::contents::METHODS;
use super::faults::Fault;
use super::generated::{self, Size};
use super::users::Codes;
use super::world::{Line, Project, World};

/// What an administrator can ask for: `{"do":"issue","project":"TEST","user":"exporter","to":"/path"}`.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Command {
    /// Lists the projects.
    Projects,
    /// Lists the users and their tokens' projects.
    Users,
    /// Gives a user a token in a project where there is none yet; writes it to a new file. The project's log says that it
    /// was made so many days ago.
    Issue { project: String, user: String, to: Option<PathBuf>, days_ago: Option<u16> },
    /// Gives a user a new token; the old one is dead at once.
    Regenerate { project: String, user: String, to: Option<PathBuf> },
    /// Takes a user's token away.
    Revoke { project: String, user: String },
    /// Suspends a user: all tokens are refused.
    Suspend { user: String },
    /// Lets a suspended user back in.
    Unsuspend { user: String },
    /// Changes what a user is in a project; what is not named stays.
    SetRights {
        project: String,
        user: String,
        /// By right; `forms` and `forms_export` take one code for all forms, or one for each by its name.
        #[serde(default)]
        rights: BTreeMap<String, Code>,
        /// The unique name of a role; blank takes the user out of it.
        role: Option<String>,
        /// The unique name of a Data Access Group; blank is none: all records.
        group: Option<String>,
        /// `YYYY-MM-DD`; blank is never.
        expiration: Option<String>,
        /// Whether the user may go to another group.
        switcher: Option<bool>,
    },
    /// Claims another REDCap version, and writes users' rights as that one does.
    SetVersion { version: String },
    /// Makes a value from a file a user's token; the one before is dead.
    Adopt { project: String, user: String, from: PathBuf },
    /// Misbehaves, for a number of requests or until cleared, for all contents or for one.
    Fault { fault: Fault, content: Option<String>, times: Option<u32> },
    /// Behaves again: no faults, no bans.
    Clear,
    /// Says what requests came in; optionally counts from 0 again.
    Count {
        #[serde(default)]
        reset: bool,
    },
    /// Makes a generated project of a size, or of so many records and columns, and writes its export as CSV
    /// to a new file.
    Generate { size: Option<Size>, records: Option<usize>, columns: Option<usize>, to: Option<PathBuf> },
    /// Puts everything back as it was at the start.
    Reset,
    /// Lists the methods that the sandbox answers: `content/action`.
    Methods,
    /// Ends the sandbox.
    Stop,
}

/// A code, or one for each form.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Code {
    One(i64),
    Forms(BTreeMap<String, i64>),
}

/// The names of the commands, for whoever mistypes one.
const COMMANDS: &str = "`projects`, `users`, `issue`, `regenerate`, `revoke`, `suspend`, `unsuspend`, `adopt`, \
    `set_rights`, `set_version`, `fault`, `clear`, `count`, `generate`, `reset`, `methods`, `stop`";

/// The kinds of faults, for the same.
const KINDS: &str = "`latency`, `redirect`, `html`, `ban`, `out_of_memory`, `database`, `slow`, `truncated`, \
    `wrong_length`, `reset_before_body`, `reset_after_body`, `latin1`, `echo`, `endless`, `body`";

/// The answer to a command, and whether the sandbox is to end.
pub(super) struct Obeyed {
    pub(super) answer: Value,
    pub(super) stop: bool,
}

/// Obeys one line.
pub(super) fn obey(world: &mut World, line: &str) -> Obeyed {
    let parsed: Result<Value, _> = serde_json::from_str(line);
    let id = parsed.as_ref().ok().and_then(|value| value.get("id").cloned());
    let given = parsed.as_ref().ok().cloned();
    let command = parsed.and_then(serde_json::from_value::<Command>);
    let stop = matches!(command, Ok(Command::Stop));
    let outcome = match command {
        Ok(command) => apply(world, command),
        Err(error) => Err(complaint(&error, given.as_ref())),
    };
    let mut answer = match outcome {
        Ok(Value::Object(mut facts)) => {
            facts.insert("ok".to_owned(), true.into());
            facts
        }
        Ok(_) => serde_json::Map::from_iter([("ok".to_owned(), true.into())]),
        Err(message) => {
            serde_json::Map::from_iter([("ok".to_owned(), false.into()), ("error".to_owned(), message.into())])
        }
    };
    if let Some(id) = id {
        answer.insert("id".to_owned(), id);
    }
    Obeyed { answer: answer.into(), stop }
}

/// What is wrong with a command, in words for whoever gave it. The parser's own words speak of the line's form and
/// repeat parts of it; of them only the name of what is missing, which is ours, is passed on.
fn complaint(error: &serde_json::Error, command: Option<&Value>) -> String {
    let said = error.to_string();
    let lacks = said.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    match (command.and_then(|command| command.get("do")?.as_str()), lacks) {
        (Some("fault"), Some(detail)) if detail != "fault" => format!("this fault lacks the detail `{detail}`"),
        (Some("fault"), None) => {
            format!("there is no such fault, or it does not take these details; there are {KINDS}")
        }
        (Some(_), Some(detail)) => format!("this command lacks `{detail}`"),
        _ => format!("there is no such command, or it does not take these details; there are {COMMANDS}"),
    }
}

fn apply(world: &mut World, command: Command) -> Result<Value, String> {
    match command {
        Command::Projects => Ok(json!({ "projects": projects(world) })),
        Command::Users => Ok(json!({ "users": users(world) })),
        Command::Issue { project, user, to, days_ago } => {
            known(world, &project, &user)?;
            if world.tokens.has(&project, &user) {
                return Err(format!("`{user}` has a token in `{project}` already: `regenerate` replaces it"));
            }
            new_token(world, &project, &user, to.as_deref(), "Create API token", days_ago.unwrap_or_default())
        }
        Command::Regenerate { project, user, to } => {
            known(world, &project, &user)?;
            if !world.tokens.has(&project, &user) {
                return Err(format!("`{user}` has no token in `{project}`: `issue` makes one"));
            }
            new_token(world, &project, &user, to.as_deref(), "User regenerate own API token", 0)
        }
        Command::Revoke { project, user } => {
            known(world, &project, &user)?;
            if !world.tokens.remove(&project, &user) {
                return Err(format!("`{user}` has no token in `{project}`"));
            }
            note(world, &project, &user, "User delete own API token");
            Ok(Value::Null)
        }
        Command::Suspend { user } => suspend(world, &user, true),
        Command::Unsuspend { user } => suspend(world, &user, false),
        Command::SetRights { project, user, rights, role, group, expiration, switcher } => {
            set_rights(world, &project, &user, Change { rights, role, group, expiration, switcher })
        }
        Command::SetVersion { version } => {
            let number = |part: &str| !part.is_empty() && part.len() < 5 && part.bytes().all(|b| b.is_ascii_digit());
            if version.split('.').count() != 3 || !version.split('.').all(number) {
                return Err("a version is three numbers with full stops between them, such as `14.5.5`".to_owned());
            }
            world.version = version;
            Ok(Value::Null)
        }
        Command::Adopt { project, user, from } => {
            known(world, &project, &user)?;
            let token = read_token(&from)?;
            world.tokens.set(&project, &user, token);
            note(world, &project, &user, "Create API token");
            Ok(Value::Null)
        }
        Command::Fault { fault, content, times } => {
            if let Some(objection) = fault.objection() {
                return Err(objection.to_owned());
            }
            if fault == Fault::ResetBeforeBody && content.is_some() {
                return Err("a reset before the body cannot know the content".to_owned());
            }
            if times == Some(0) {
                return Err("`times` is 1 at least; without it the fault stays until cleared".to_owned());
            }
            world.faults.add(fault, content, times);
            Ok(Value::Null)
        }
        Command::Clear => {
            world.faults.clear();
            world.ban.lift();
            Ok(Value::Null)
        }
        Command::Count { reset } => {
            let counts = world.counts.to_json();
            if reset {
                world.counts = super::counts::Counts::default();
            }
            Ok(counts)
        }
        Command::Generate { size, records, columns, to } => generate(world, size, records, columns, to.as_deref()),
        Command::Reset => {
            *world = World::new(world.config.clone());
            Ok(Value::Null)
        }
        Command::Methods => {
            let methods: Vec<_> = METHODS.iter().map(|(content, action)| format!("{content}/{action}")).collect();
            Ok(json!({ "methods": methods }))
        }
        Command::Stop => Ok(Value::Null),
    }
}

/// The projects as the ready line and the list of projects have them. Without tokens.
pub(super) fn projects(world: &World) -> Vec<Value> {
    let projects = world.projects.iter().map(|project| {
        let sample = &project.sample;
        json!({
            "short_name": sample.short_name,
            "title": sample.title,
            "token_name": sample.token_name,
            "project_id": sample.project_id,
            "kind": sample.kind,
        })
    });
    projects.collect()
}

fn users(world: &World) -> Vec<Value> {
    let mut names: Vec<&str> = Vec::new();
    for user in world.projects.iter().flat_map(|project| &project.users) {
        if !names.contains(&user.name) {
            names.push(user.name);
        }
    }
    let users = names.iter().map(|name| {
        let projects = |wanted: &dyn Fn(&Project) -> bool| {
            let wanted = world.projects.iter().filter(|project| wanted(project));
            wanted.map(|project| project.sample.short_name).collect::<Vec<_>>()
        };
        json!({
            "user": name,
            "suspended": world.suspended.contains(*name),
            "in": projects(&|project| project.user(name).is_some()),
            "has_token_in": projects(&|project| world.tokens.has(project.sample.short_name, name)),
        })
    });
    users.collect()
}

fn known(world: &World, project: &str, user: &str) -> Result<(), String> {
    let Some(project) = world.project(project) else {
        return Err("there is no such project: `projects` lists them".to_owned());
    };
    if project.user(user).is_none() {
        return Err("there is no such user: `users` lists them".to_owned());
    }
    Ok(())
}

fn suspend(world: &mut World, name: &str, suspended: bool) -> Result<Value, String> {
    if !world.knows(name) {
        return Err("there is no such user: `users` lists them".to_owned());
    }
    if suspended {
        world.suspended.insert(name.to_owned());
    } else {
        world.suspended.remove(name);
    }
    Ok(Value::Null)
}

/// What is to be different about a user.
struct Change {
    rights: BTreeMap<String, Code>,
    role: Option<String>,
    group: Option<String>,
    expiration: Option<String>,
    switcher: Option<bool>,
}

/// Everything is looked at before anything is changed.
fn set_rights(world: &mut World, project: &str, name: &str, change: Change) -> Result<Value, String> {
    known(world, project, name)?;
    let Some(project) = world.project_mut(project) else { return Ok(Value::Null) };
    let Some(mut user) = project.user(name).cloned() else { return Ok(Value::Null) };
    for (right, code) in change.rights {
        let codes = match code {
            Code::One(code) if user.own.set(&right, code) => continue,
            Code::One(code) => Codes::from(code),
            Code::Forms(forms) => {
                if let Some(wrong) = forms.keys().find(|form| !project.design.has_form(form)) {
                    return Err(format!("there is no form `{}` in the project", wrong.escape_default()));
                }
                Codes { all: 0, forms }
            }
        };
        match right.as_str() {
            "forms" => user.own.viewing = codes,
            "forms_export" => user.own.exporting = codes,
            _ => return Err("there is no such right, or it takes one code".to_owned()),
        }
    }
    if let Some(role) = change.role {
        let known = project.roles().iter().map(|role| role.unique_name).chain([""]).find(|known| *known == role);
        user.role = known.ok_or("there is no such role in the project: the content `userRole` lists them")?;
    }
    if let Some(group) = change.group {
        let known = project.groups.iter().map(|(unique_name, ..)| *unique_name).chain([""]).find(|one| *one == group);
        user.group = known.ok_or("there is no such group in the project: the content `dag` lists them")?;
    }
    if let Some(day) = change.expiration {
        if !day.is_empty() && !super::time::is_day(&day) {
            return Err("an expiration is a day, `YYYY-MM-DD`, or blank".to_owned());
        }
        user.expiration = day;
    }
    user.switches = change.switcher.unwrap_or(user.switches);
    if let Some(place) = project.user_mut(name) {
        *place = user;
    }
    project.note("admin", Line::new(&format!("Updated User {name}"), format!("user = '{name}'")));
    Ok(Value::Null)
}

fn note(world: &mut World, project: &str, user: &str, details: &str) {
    if let Some(project) = world.project_mut(project) {
        project.note(user, Line::new("Manage/Design", details));
    }
}

/// Makes a token, writes it to its file (if it cannot be written, nothing has changed) and sets it.
fn new_token(
    world: &mut World,
    project: &str,
    user: &str,
    to: Option<&Path>,
    details: &str,
    days_ago: u16,
) -> Result<Value, String> {
    let token = random_token()?;
    if let Some(path) = to {
        write_token(path, &token).map_err(|error| format!("the file for the token cannot be made: {error}"))?;
    }
    world.tokens.set(project, user, token);
    let time = SystemTime::now() - Duration::from_secs(u64::from(days_ago) * 86_400);
    if let Some(project) = world.project_mut(project) {
        project.note_at(time, user, Line::new("Manage/Design", details));
    }
    Ok(Value::Null)
}

/// Makes a generated project, unless it is there already, and writes its export to a file.
fn generate(
    world: &mut World,
    size: Option<Size>,
    records: Option<usize>,
    columns: Option<usize>,
    to: Option<&Path>,
) -> Result<Value, String> {
    let (records, columns) = match (size, records, columns) {
        (Some(size), None, None) => size.extent(),
        (None, Some(records), Some(columns)) => (records, columns),
        _ => return Err("`generate` takes a `size` (`S`, `M`, `L`), or `records` and `columns`".to_owned()),
    };
    if columns < 2 || records.saturating_mul(columns) > generated::CELLS {
        return Err(format!("a generated project has 2 columns at least and {} cells at most", generated::CELLS));
    }
    let short_name = generated::short_name(size);
    let here = |world: &World| {
        let generated = world.project(short_name)?.generated.as_ref()?;
        (generated.records == records && generated.columns() == columns).then(|| generated.csv.clone())
    };
    let csv = if let Some(csv) = here(world) {
        csv
    } else {
        world.projects.retain(|project| project.sample.short_name != short_name);
        world.projects.push(generated::project(size, records, columns));
        here(world).unwrap_or_default()
    };
    if let Some(path) = to {
        let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
        let written = file.and_then(|mut file| file.write_all(&csv));
        written.map_err(|error| format!("the file for the export cannot be made: {error}"))?;
    }
    Ok(json!({ "short_name": short_name, "records": records, "columns": columns, "bytes": csv.len() }))
}

fn random_token() -> Result<String, String> {
    use ring::rand::SecureRandom;
    let mut bytes = [0; 16];
    let filled = ring::rand::SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| "the system gives no random bytes".to_owned())?;
    Ok(format!("{:032X}", u128::from_be_bytes(bytes)))
}

/// A new file that only its owner can read. An existing one, or a link, is never written to.
fn write_token(path: &Path, token: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{token}")?;
    file.sync_data()
}

/// A token from a file, without its trailing line break: 20 to 512 printable characters without blanks, so
/// that the forms of institutions with their own can be tried as well.
fn read_token(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("the file cannot be read: {error}");
    // A pipe would hold the sandbox, a device never ends.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err("the file cannot be read: it is no ordinary file".to_owned());
    }
    let mut text = String::new();
    std::fs::File::open(path).and_then(|file| file.take(1024).read_to_string(&mut text)).map_err(failed)?;
    let token = text.strip_suffix('\n').unwrap_or(&text);
    let token = token.strip_suffix('\r').unwrap_or(token);
    if !(20..=512).contains(&token.len()) || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("the file holds no token: it is one line of 20 to 512 printable characters".to_owned());
    }
    Ok(token.to_owned())
}
