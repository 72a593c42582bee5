//! Operations on the stores themselves: which there are, and in which order they are asked.

use std::collections::BTreeSet;
use std::path::Path;

use toml::{Table as Toml, Value as Item};

use super::arguments::{Arguments, Session, wrong};
use super::{ctx_with, settings};
use crate::audit;
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::net::io::{self, Task};
use crate::project::{Edit, SettingWish as Wish};
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
    let entry = |edit: &Edit| audit::Change {
        action: "configure_stores",
        detail: Some(edit.names.join(", ")),
        ..audit::Change::default()
    };
    settings::change(session, wishes, "the settings", entry, |ctx, edit| {
        for (key, place) in &edit.outranked {
            ctx.log.note(format!("`{key}` stands in the file now; what counts is the {place}, which outranks it"));
        }
        ("changed", edit.names.clone().into())
    })
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
            Ok(State { what, detail, reach, hints }) => {
                let (reachable, remark) = match reach {
                    Reach::Ready => ("ready", None),
                    Reach::ReadOnly => ("read only", None),
                    Reach::Untried(why) => ("untried", Some(why)),
                    Reach::NoLogin(why) => ("no login", Some(why)),
                    Reach::Locked => ("locked", None),
                    Reach::NotAsked(why) => ("not asked", Some(why)),
                    Reach::NotHere(why) => ("not here", Some(why)),
                };
                Self { reachable, what: Some(what), detail, remark, remedy: remedy(&hints), ..line }
            }
            Err(Error { kind, message, hints, .. }) => {
                let forbidden =
                    kind == Kind::Argument && ctx.settings.stores.forbidden.iter().any(|name| name == store);
                let remedy = remedy(&hints);
                let reachable = if forbidden { "forbidden" } else { "failing" };
                Self { reachable, remark: Some(message), remedy, ..line }
            }
        }
    }
}

fn remedy(hints: &[String]) -> Option<String> {
    (!hints.is_empty()).then(|| hints.join("; "))
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
    use super::*;
    use crate::border::world::World;

    fn written_in(world: &World) -> String {
        std::fs::read_to_string(world.at("config/config.toml")).unwrap_or_default()
    }

    fn entries(world: &World) -> Vec<serde_json::Value> {
        world.log("data/audit")
    }

    fn texts(all: &[&str]) -> Value {
        Value::List(all.iter().map(|text| (String::new(), (*text).into())).collect())
    }

    #[test]
    fn what_is_configured_is_written_with_an_entry_before_and_its_outcome_after() {
        let world = World::new(&[], &[]);
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
        let text = written_in(&world);
        for line in
            ["stores = [\"vault\", \"command\"]", "kv = 1", "arguments = [\"{token_name}\"]", "first_line = true"]
        {
            assert!(text.lines().any(|other| other == line), "{text}");
        }
        assert!(!text.contains("role"));
        assert_eq!(done.get("changed").unwrap(), &texts(&["stores", "vault.address", "vault.kv", "command"]));
        assert!(said[0].contains("config.toml") && said[0].contains("vault.kv"), "{said:?}");
        let log = entries(&world);
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
        assert_eq!((entries(&world).len(), written_in(&world)), (2, text));
        let empty = || Value::List(Vec::new());
        let args = [("order", empty()), ("vault", empty()), ("command", empty())];
        world.run("configure_stores", Value::list(args)).1.unwrap();
        assert!(
            !written_in(&world).contains("vault") && !written_in(&world).contains("stores ="),
            "{}",
            written_in(&world)
        );
        assert_eq!(entries(&world).len(), 4);
    }

    #[test]
    fn without_an_entry_nothing_is_written() {
        let world = World::new(&[], &[]);
        std::fs::create_dir_all(world.at("data")).unwrap();
        std::fs::write(world.at("data/audit"), "in the way").unwrap();
        let (_, done) = world.run("configure_stores", Value::list([("order", "env".into())]));
        assert_eq!((done.unwrap_err().kind, written_in(&world)), (Kind::Audit, String::new()));
    }

    #[test]
    fn a_file_that_cannot_be_written_has_its_outcome_too() {
        let world = World::new(&[], &[]);
        // The name that the new file has while it is written is taken by a folder with something in it.
        let beside = format!("config/config.toml.{}.new/x", std::process::id());
        std::fs::create_dir_all(world.at(&beside)).unwrap();
        let (_, done) = world.run("configure_stores", Value::list([("order", "env".into())]));
        assert_eq!((done.unwrap_err().kind, written_in(&world)), (Kind::File, String::new()));
        assert_eq!(entries(&world)[1]["class"], "file");
    }

    #[test]
    fn slips_are_named_and_no_value_is_repeated() {
        let world = World::new(&[], &[]);
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
        assert_eq!((written_in(&world), entries(&world).len()), (String::new(), 0));
    }

    #[test]
    fn an_option_that_outranks_what_is_written_is_told() {
        let world = World::new(&[("keycap.stores", "env")], &[]);
        let (said, done) = world.run("configure_stores", Value::list([("order", texts(&["keyring", "env"]))]));
        done.unwrap();
        assert!(said.iter().any(|text| text.contains("option `keycap.stores`, which outranks")), "{said:?}");
    }

    #[test]
    fn what_is_not_ready_says_so_and_what_helps() {
        let world = World::new(&[], &[]);
        let session = Session::read(&world.session).unwrap();
        let ctx = ctx_with(&session, Environment::empty(), &[]).unwrap();
        let line = |reach: Reach, hints: &[&str]| {
            let hints = hints.iter().map(|hint| (*hint).to_owned()).collect();
            Line::of(&ctx, "vault", Ok(State { what: "a vault", detail: None, reach, hints }))
        };
        for (reach, word, remark) in [
            (Reach::Ready, "ready", None),
            (Reach::Locked, "locked", None),
            (Reach::Untried("why".to_owned()), "untried", Some("why")),
            (Reach::NoLogin("why".to_owned()), "no login", Some("why")),
        ] {
            let line = line(reach, &["unlock it", "or wait"]);
            assert_eq!((line.reachable, line.remark.as_deref()), (word, remark));
            assert_eq!(line.remedy.as_deref(), Some("unlock it; or wait"));
        }
        assert_eq!(line(Reach::Ready, &[]).remedy, None);
    }

    #[test]
    fn the_stores_are_shown_with_their_place_and_the_settings_with_their_files() {
        let world = World::new(&[("keycap.stores", "vault,env"), ("keycap.vault.address", "https://127.0.0.1:1")], &[]);
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
        assert!(!world.at("config").exists() && entries(&world).is_empty());
    }
}
