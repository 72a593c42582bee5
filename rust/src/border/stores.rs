//! Operations on the stores themselves: which there are, and in which order they are asked.

use std::collections::BTreeSet;
use std::path::Path;

use toml::{Table as Toml, Value as Item};

use super::arguments::{Arguments, Session, wrong};
use super::audited::audited;
use super::change::{Change, Fate};
use super::{ctx_of, ctx_with};
use crate::audit;
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::net::io::{self, Task};
use crate::project::{Edit, StoreWish as Wish};
use crate::store::{self, Environment, Reach, State};
use crate::value::{Column, Table, Value};

/// What is asked for under its name in R, and what it is called in the file.
const ORDER: (&str, &str) = ("order", "stores");

/// The tables of single stores.
const TABLES: [&str; 4] = ["keyring", "vault", "aws", "command"];

/// Members that are lists also where there is one text or number in them: R makes no difference.
const LISTS: [&str; 2] = ["arguments", "absent_status"];

/// `configure_stores`: `order`, texts, and `vault`, `aws`, `command`, lists; `NULL` leaves what there is, and what has
/// no member takes it away. Answers the file and the names of the settings that changed.
pub(super) fn configure(arguments: &Arguments, session: &Session) -> Result<Task> {
    let wishes = wishes(arguments)?;
    // With the settings as they will be: an order that cannot be used must not be in the way of a better one.
    let edit = Edit::of(session.settings_source(), &session.dirs, &wishes)?;
    let source = session.settings_source();
    let ctx = ctx_of(session, edit.settings.clone(), Environment::empty(), &[])?;
    let change = Change::new();
    let fate = change.clone();
    let task = io::start(move |events| async move {
        let ctx = Ctx { log: events, ..ctx };
        let edit = if edit.names.is_empty() {
            ctx.log.note(format!("nothing to change: `{}` says so already", edit.path.display()));
            edit
        } else {
            let dirs = ctx.dirs.clone();
            let prepared = io::blocking(move || Edit::prepared(source, &dirs, &wishes)).await?;
            change.carry_through(written(ctx.clone(), prepared)).await?
        };
        for (key, place) in &edit.outranked {
            ctx.log.note(format!("`{key}` stands in the file now; what counts is the {place}, which outranks it"));
        }
        Ok(Value::list([("path", edit.path.display().to_string().into()), ("changed", edit.names.into())]))
    })?;
    Ok(task.with_last_word(move || {
        match fate.cancel() {
            Fate::NotMade => "interrupted: no setting was changed",
            Fate::Made => "interrupted, but the settings are written: that was done before",
            Fate::UnderWay => "interrupted too late: the settings are being written",
        }
        .to_owned()
    }))
}

/// The entry, the file, the outcome. Without the entry nothing is written.
async fn written(ctx: Ctx, prepared: crate::project::Prepared) -> Result<Edit> {
    let entry = audit::Change {
        action: "configure_stores",
        detail: Some(prepared.edit.names.join(", ")),
        ..audit::Change::default()
    };
    let edit = audited(&ctx, false, entry, io::blocking(move || prepared.write())).await?;
    ctx.log.note(format!("wrote `{}`: {}", edit.path.display(), edit.names.join(", ")));
    Ok(edit)
}

fn wishes(arguments: &Arguments) -> Result<Vec<Wish>> {
    let mut wishes = Vec::new();
    if arguments.value(ORDER.0).is_some() {
        let order = arguments.texts(ORDER.0)?;
        store::known(ORDER.0, &order)?;
        let order = Item::Array(order.into_iter().map(Item::String).collect());
        wishes.push(Wish { name: ORDER.1, to: Some(order).filter(|order| *order != Item::Array(Vec::new())) });
    }
    for name in TABLES {
        if let Some(value) = arguments.value(name) {
            wishes.push(Wish { name, to: Some(Item::Table(table(name, value)?)) });
        }
    }
    Ok(wishes)
}

/// A list with names, as a table of a settings file.
pub(super) fn table(name: &str, value: &Value) -> Result<Toml> {
    let Value::List(members) = value else { return Err(wrong(name, "must be a list with names")) };
    let mut table = Toml::new();
    let mut seen = BTreeSet::new();
    for (member, value) in members {
        let shown = format!("{name}${}", crate::token::as_name(member));
        if member.is_empty() {
            return Err(wrong(name, "must be a list in which each setting has its name"));
        }
        if !seen.insert(member) {
            return Err(wrong(&shown, "is there twice"));
        }
        let item = match value {
            Value::Nothing => continue,
            Value::List(items) => {
                let items: Result<_> = items.iter().map(|(_, item)| scalar(&shown, item)).collect();
                Item::Array(items?)
            }
            one if LISTS.contains(&member.as_str()) => Item::Array(vec![scalar(&shown, one)?]),
            one => scalar(&shown, one)?,
        };
        table.insert(member.clone(), item);
    }
    Ok(table)
}

fn scalar(name: &str, value: &Value) -> Result<Item> {
    match value {
        Value::Text(text) => Ok(Item::String(text.clone())),
        Value::Whole(number) => Ok(Item::Integer(*number)),
        Value::Real(number) if number.fract() == 0.0 && number.abs() < 9e15 => Ok(Item::Integer(*number as i64)),
        Value::Real(number) if number.is_finite() => Ok(Item::Float(*number)),
        Value::Flag(flag) => Ok(Item::Boolean(*flag)),
        _ => Err(wrong(name, "must be a text, a number, `TRUE` or `FALSE`, or several of one kind")),
    }
}

/// `stores`: no arguments. Answers a table of the stores, one of the settings, and what is known of the two files.
/// Every store that is not forbidden is asked whether it can be used; none is asked for a token.
pub(super) fn show(session: &Session) -> Result<Task> {
    let all: Vec<&str> = store::names().collect();
    let ctx = ctx_with(session, Environment::without_token(), &all)?;
    io::start(move |log| async move {
        let ctx = Ctx { log, ..ctx };
        store::known("forbidden_stores", &ctx.settings.stores.forbidden)?;
        store::known("stores", &ctx.settings.order)?;
        let lines: Vec<Line> =
            store::keep::states(&ctx).await.into_iter().map(|(name, state)| Line::of(&ctx, name, state)).collect();
        let user = ctx.dirs.config.join("config.toml");
        Ok(Value::list([
            ("stores", Value::Table(table_of(&lines))),
            ("settings", Value::Table(ctx.settings.to_table())),
            ("user_file", file(&user)),
            ("site_file", file(&ctx.dirs.site)),
        ]))
    })
}

/// A file, and whether it is there.
fn file(path: &Path) -> Value {
    Value::list([("path", path.display().to_string().into()), ("there", path.exists().into())])
}

/// One store, as a person reads of it.
struct Line {
    store: &'static str,
    order: Option<i32>,
    reachable: &'static str,
    what: Option<&'static str>,
    detail: Option<String>,
    remark: Option<String>,
    remedy: Option<String>,
    site_locked: bool,
}

impl Line {
    fn of(ctx: &Ctx, store: &'static str, state: Result<State>) -> Self {
        let order = ctx.settings.order.iter().position(|name| name == store).and_then(|n| i32::try_from(n + 1).ok());
        let site_locked = ctx.settings.locks(store);
        let line =
            Self { store, order, reachable: "", what: None, detail: None, remark: None, remedy: None, site_locked };
        match state {
            Ok(State { what, detail, reach }) => {
                let (reachable, remark) = match reach {
                    Reach::Ready => ("ready", None),
                    Reach::ReadOnly => ("read only", None),
                    Reach::Locked => ("locked", None),
                    Reach::NotAsked(why) => ("not asked", Some(why)),
                    Reach::NotHere(why) => ("not here", Some(why)),
                };
                Self { reachable, what: Some(what), detail, remark, ..line }
            }
            Err(Error { kind, message, hints, .. }) => {
                let forbidden =
                    kind == Kind::Argument && ctx.settings.stores.forbidden.iter().any(|name| name == store);
                let remedy = (!hints.is_empty()).then(|| hints.join("; "));
                let reachable = if forbidden { "forbidden" } else { "failing" };
                Self { reachable, remark: Some(message), remedy, ..line }
            }
        }
    }
}

fn table_of(lines: &[Line]) -> Table {
    fn text<'a>(lines: &'a [Line], of: impl Fn(&'a Line) -> Option<&'a str>) -> Column {
        Column::text(lines.iter().map(of))
    }
    Table {
        columns: vec![
            ("store".into(), text(lines, |line| Some(line.store))),
            ("order".into(), Column::int(lines.iter().map(|line| line.order))),
            ("reachable".into(), text(lines, |line| Some(line.reachable))),
            ("what".into(), text(lines, |line| line.what)),
            ("detail".into(), text(lines, |line| line.detail.as_deref())),
            ("remark".into(), text(lines, |line| line.remark.as_deref())),
            ("remedy".into(), text(lines, |line| line.remedy.as_deref())),
            ("site_locked".into(), Column::flag(lines.iter().map(|line| Some(line.site_locked)))),
        ],
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ctx::Event;
    use crate::net::io::Poll;

    struct World {
        folder: tempfile::TempDir,
        session: Value,
    }

    impl World {
        fn new(options: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| Value::Text(folder.path().join(name).display().to_string());
            let options = options.iter().map(|(name, text)| ((*name).to_owned(), (*text).into())).collect();
            let session = Value::list([
                ("config", at("config")),
                ("data", at("data")),
                ("session", at("session")),
                ("options", Value::List(options)),
            ]);
            Self { folder, session }
        }

        fn run(&self, op: &str, args: Value) -> (Vec<String>, Result<Value>) {
            let mut task = match crate::border::start(op, args, &self.session) {
                Ok(task) => task,
                Err(error) => return (Vec::new(), Err(error)),
            };
            let mut said = Vec::new();
            loop {
                let (events, result) = match task.poll(Duration::from_millis(50)) {
                    Poll::Pending(events) => (events, None),
                    Poll::Done(events, result) => (events, Some(result)),
                };
                said.extend(events.into_iter().filter_map(|event| match event {
                    Event::Note(text) => Some(text),
                    _ => None,
                }));
                if let Some(result) = result {
                    return (said, result);
                }
            }
        }

        fn text(&self) -> String {
            std::fs::read_to_string(self.folder.path().join("config/config.toml")).unwrap_or_default()
        }

        fn log(&self) -> Vec<serde_json::Value> {
            let Ok(files) = std::fs::read_dir(self.folder.path().join("data/audit")) else { return Vec::new() };
            let paths = files.map(|file| file.unwrap().path());
            let log = paths.filter(|path| path.extension().is_some_and(|end| end == "jsonl"));
            let text: String = log.map(|path| std::fs::read_to_string(path).unwrap()).collect();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        }
    }

    fn texts(all: &[&str]) -> Value {
        Value::List(all.iter().map(|text| (String::new(), (*text).into())).collect())
    }

    #[test]
    fn what_is_configured_is_written_with_an_entry_before_and_its_outcome_after() {
        let world = World::new(&[]);
        let vault = Value::list([
            ("address", "https://vault.example:8200".into()),
            ("kv", Value::Real(1.0)),
            ("role", Value::Nothing),
        ]);
        let command = Value::list([
            ("program", "/opt/vend".into()),
            ("arguments", "{token_name}".into()),
            ("first_line", true.into()),
        ]);
        let args = [("order", texts(&["vault", "command"])), ("vault", vault), ("command", command)];
        let (said, done) = world.run("configure_stores", Value::list(args.clone()));
        let done = done.unwrap();
        let text = world.text();
        for line in
            ["stores = [\"vault\", \"command\"]", "kv = 1", "arguments = [\"{token_name}\"]", "first_line = true"]
        {
            assert!(text.lines().any(|other| other == line), "{text}");
        }
        assert!(!text.contains("role"));
        assert_eq!(done.get("changed").unwrap(), &texts(&["stores", "vault.address", "vault.kv", "command"]));
        assert!(said[0].contains("config.toml") && said[0].contains("vault.kv"), "{said:?}");
        let log = world.log();
        assert_eq!(log.len(), 2);
        let of = |entry: usize, key: &str| log[entry][key].as_str().unwrap_or_default().to_owned();
        assert_eq!((of(0, "phase"), of(1, "phase")), ("change".to_owned(), "outcome".to_owned()));
        assert_eq!((of(0, "action"), of(1, "class")), ("configure_stores".to_owned(), "ok".to_owned()));
        assert_eq!(of(0, "detail"), "stores, vault.address, vault.kv, command");
        assert_eq!(of(0, "call_id"), of(1, "call_id"));

        // The same again is no change, and no entry.
        let (said, done) = world.run("configure_stores", Value::list(args));
        assert!(said[0].contains("nothing to change"), "{said:?}");
        assert_eq!(done.unwrap().get("changed").unwrap(), &Value::List(Vec::new()));
        // Nothing to say is no change either; an empty list takes away.
        world.run("configure_stores", Value::list([])).1.unwrap();
        assert_eq!((world.log().len(), world.text()), (2, text));
        let empty = || Value::List(Vec::new());
        let args = [("order", empty()), ("vault", empty()), ("command", empty())];
        world.run("configure_stores", Value::list(args)).1.unwrap();
        assert!(!world.text().contains("vault") && !world.text().contains("stores ="), "{}", world.text());
        assert_eq!(world.log().len(), 4);
    }

    #[test]
    fn without_an_entry_nothing_is_written() {
        let world = World::new(&[]);
        std::fs::create_dir_all(world.folder.path().join("data")).unwrap();
        std::fs::write(world.folder.path().join("data/audit"), "in the way").unwrap();
        let (_, done) = world.run("configure_stores", Value::list([("order", "env".into())]));
        assert_eq!((done.unwrap_err().kind, world.text()), (Kind::Audit, String::new()));
    }

    #[test]
    fn a_file_that_cannot_be_written_has_its_outcome_too() {
        let world = World::new(&[]);
        // The name that the new file has while it is written is taken by a folder with something in it.
        let beside = format!("config/config.toml.{}.new/x", std::process::id());
        std::fs::create_dir_all(world.folder.path().join(beside)).unwrap();
        let (_, done) = world.run("configure_stores", Value::list([("order", "env".into())]));
        assert_eq!((done.unwrap_err().kind, world.text()), (Kind::File, String::new()));
        assert_eq!(world.log()[1]["class"], "file");
    }

    #[test]
    fn slips_are_named_and_no_value_is_repeated() {
        let world = World::new(&[]);
        let hex = "0123456789ABCDEF0123456789ABCDEF"; // made up
        let member = |name: &str, value: Value| Value::List(vec![(name.to_owned(), value)]);
        for (name, value, kind, part) in [
            ("order", texts(&["env", "keyrings"]), Kind::Argument, "does not exist: `keyrings`"),
            ("order", texts(&["env", hex]), Kind::TokenInArgument, "looks like"),
            ("order", Value::Flag(true), Kind::Argument, "list of texts"),
            ("vault", "https://a.example".into(), Kind::Argument, "`vault` must be a list with names"),
            ("vault", texts(&["a"]), Kind::Argument, "has its name"),
            ("vault", member("adress", "x".into()), Kind::Argument, "no setting `adress`"),
            ("vault", member(hex, "x".into()), Kind::TokenInArgument, "looks like"),
            ("vault", member("role", hex.into()), Kind::TokenInArgument, "looks like"),
            ("vault", member("kv", Value::Real(f64::NAN)), Kind::Argument, "`vault$kv` must be"),
            ("command", member("arguments", texts(&["a", hex])), Kind::TokenInArgument, "looks like"),
        ] {
            let (_, done) = world.run("configure_stores", Value::list([(name, value)]));
            let error = done.unwrap_err();
            assert!(error.kind == kind && error.message.contains(part), "{error:?}");
            assert!(!format!("{error:?}").contains(&hex[..8]));
        }
        let twice = Value::List(vec![("kv".to_owned(), 1_i64.into()), ("kv".to_owned(), 2_i64.into())]);
        let error = world.run("configure_stores", Value::list([("vault", twice)])).1.unwrap_err();
        assert!(error.message.contains("`vault$kv` is there twice"), "{}", error.message);
        assert_eq!((world.text(), world.log().len()), (String::new(), 0));
    }

    #[test]
    fn an_option_that_outranks_what_is_written_is_told() {
        let world = World::new(&[("keycap.stores", "env")]);
        let (said, done) = world.run("configure_stores", Value::list([("order", texts(&["keyring", "env"]))]));
        done.unwrap();
        assert!(said.iter().any(|text| text.contains("option `keycap.stores`, which outranks")), "{said:?}");
    }

    #[test]
    fn the_stores_are_shown_with_their_place_and_the_settings_with_their_files() {
        let world = World::new(&[("keycap.stores", "vault,env"), ("keycap.vault.address", "https://127.0.0.1:1")]);
        let shown = world.run("stores", Value::list([])).1.unwrap();
        let Some(Value::Table(table)) = shown.get("stores") else { panic!("{shown:?}") };
        let column = |name: &str| &table.columns.iter().find(|(other, _)| other == name).unwrap().1;
        let row =
            |store: &str| (0..column("store").len()).find(|n| column("store").text_at(*n) == Some(store)).unwrap();
        let Column::Int(order) = column("order") else { panic!() };
        let at = |name: &str, store: &str| column(name).text_at(row(store)).map(str::to_owned);
        assert_eq!((order[row("vault")], order[row("env")], order[row("command")]), (1, 2, Column::NO_INT));
        assert_eq!(at("reachable", "env").as_deref(), Some("read only"));
        assert_eq!(at("reachable", "command").as_deref(), Some("not here"));
        assert_eq!(at("reachable", "vault").as_deref(), Some("failing"));
        assert!(at("remark", "vault").unwrap().contains("127.0.0.1:1") && at("remedy", "vault").is_some());
        let Some(Value::Table(settings)) = shown.get("settings") else { panic!("{shown:?}") };
        assert_eq!(settings.columns[2].1.text_at(0), Some("option `keycap.stores`"));
        assert_eq!(shown.get("user_file").unwrap().get("there"), Some(&Value::Flag(false)));
        // Nothing is written by looking.
        assert!(!world.folder.path().join("config").exists() && world.log().is_empty());
    }
}
