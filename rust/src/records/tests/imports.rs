//! Imports, against the sandbox and against a server that answers as a test wants.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;

use super::kit::{Asked, Say, Server, World, data, texts, wish};
use super::sandbox::{Sandbox, plain};
use crate::ctx::Event;
use crate::error::{Error, Kind, Result};
use crate::records::{Blanks, Import, import};
use crate::redcap::{Expect, Request};
use crate::sandbox::SAMPLES;
use crate::value::{Column, Table, Texts, Value};

impl World {
    async fn import(&self, uri: &str, wish: Import) -> Result<Table> {
        let project = self.project(uri);
        let fresh = self.ctx.net.fresh_client(&self.ctx.settings.net).unwrap();
        let operation = self.operation(&project).writing_over(fresh);
        import(&self.ctx, &project, operation, wish).await
    }

    /// What the project holds, as REDCap writes it.
    async fn csv(&self, uri: &str) -> String {
        let project = self.project(uri);
        let request = Request::read("record", Expect::Csv).with("type", "flat").with("rawOrLabel", "raw");
        let body = self.operation(&project).collect(&request, 1 << 30).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    fn said(&self) -> String {
        let events = self.events.lock().unwrap();
        let said = events.iter().filter_map(|event| match event {
            Event::Note(text) | Event::Warning(text) => Some(text.as_str()),
            _ => None,
        });
        said.collect::<Vec<_>>().join("\n")
    }
}

fn sending(columns: Vec<(&str, Column)>) -> Import {
    let columns = columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect();
    Import {
        data: Table { columns },
        kept: None,
        dry_run: false,
        blanks: Blanks::Keep,
        auto_number: false,
        batch_size: None,
    }
}

fn dry(columns: Vec<(&str, Column)>) -> Import {
    Import { dry_run: true, ..sending(columns) }
}

fn text(cells: &[&str]) -> Column {
    Column::text(cells.iter().map(|cell| Some(*cell)))
}

/// A field of an error: texts.
fn field(error: &Error, name: &str) -> Vec<String> {
    match error.fields.iter().find(|(known, _)| known == name) {
        Some((_, Value::List(items))) => items.iter().map(|(_, item)| item.as_text().unwrap().to_owned()).collect(),
        other => panic!("{other:?}"),
    }
}

fn problems(error: &Error) -> &Table {
    match error.fields.iter().find(|(known, _)| known == "problems") {
        Some((_, Value::Table(table))) => table,
        other => panic!("{other:?}"),
    }
}

/// The lines of a dry run: record, field, old, new, kind.
fn lines(table: &Table) -> Vec<[String; 5]> {
    let columns = ["record", "field", "old", "new", "kind"].map(|name| texts(table, name));
    (0..columns[0].len()).map(|row| [0, 1, 2, 3, 4].map(|column| columns[column][row].clone())).collect()
}

/// What no import sets is taken out of an export.
fn importable(table: &mut Table) {
    table.columns.retain(|(name, _)| !["bmi", "letter", "visit_photo"].contains(&name.as_str()));
}

#[tokio::test]
async fn a_dry_run_says_what_would_change_value_by_value_and_writes_nothing() {
    let sandbox = Sandbox::start();
    let world = World::with(SAMPLES[0].token);
    let before = world.csv(&sandbox.uri).await;
    let project = world.project(&sandbox.uri);
    let now = crate::records::export(
        &world.ctx,
        &project,
        world.operation(&project),
        crate::records::Wish { records: vec!["4".into(), "7".into()], ..wish() },
    )
    .await
    .unwrap()
    .table
    .unwrap();
    let name = texts(&now, "first_name");
    let Some((_, Column::Real(height))) = now.columns.iter().find(|(name, _)| name == "height") else { panic!() };
    let columns = || {
        vec![
            ("height", Column::real([Some(height[0]), None, Some(170.5)])),
            ("first_name", Column::text([Some("Neu"), None, Some("Ada")])),
            ("symptoms____9", Column::flag([None, None, Some(false)])),
            ("record_id", Column::real([Some(4.0), Some(7.0), Some(100_000.0)])),
        ]
    };
    let table = world.import(&sandbox.uri, dry(columns())).await.unwrap();
    let names: Vec<_> = table.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["record", "event", "repeat_instrument", "repeat_instance", "field", "old", "new", "kind"]);
    let line = |cells: [&str; 5]| cells.map(str::to_owned);
    let mut wanted = vec![
        line(["4", "first_name", &name[0], "Neu", "change"]),
        line(["100000", "record_id", "", "100000", "new record"]),
        line(["100000", "height", "", "170.5", "new record"]),
        line(["100000", "first_name", "", "Ada", "new record"]),
    ];
    assert_eq!(lines(&table), wanted);
    assert!(
        world.said().ends_with(
            "1 new record, 1 changed value in 2 records; nothing was written: the same call with `dry_run = FALSE` does it"
        ),
        "{}",
        world.said()
    );

    // Blanks are of interest where they overwrite.
    let erase = Import { blanks: Blanks::Overwrite, ..dry(columns()) };
    let table = world.import(&sandbox.uri, erase).await.unwrap();
    wanted.insert(1, line(["7", "height", &height[1].to_string(), "", "blank"]));
    wanted.insert(2, line(["7", "first_name", &name[1], "", "blank"]));
    let mut found = lines(&table);
    found.retain(|line| line[1] != "symptoms____9");
    // `180.0` is written so there and means the same.
    found.iter_mut().filter(|line| line[1] == "height").for_each(|line| {
        line[2] = line[2].parse::<f64>().map_or(String::new(), |number| number.to_string());
    });
    assert_eq!(found, wanted);
    assert_eq!(world.csv(&sandbox.uri).await, before);
}

#[tokio::test]
async fn texts_that_csv_cannot_hold_alike_for_all_readers_are_sent_and_come_back_as_they_are() {
    let sandbox = Sandbox::start();
    let world = World::with(SAMPLES[0].token);
    for nasty in ["C:\\a, b\\", "say \\\"yes\\\", \u{1f600}", " \\", "plain \\"] {
        let data = vec![("record_id", Column::text([Some("4")])), ("first_name", Column::text([Some(nasty)]))];
        let import = Import { dry_run: false, ..dry(data) };
        world.import(&sandbox.uri, import).await.unwrap();
        let wish = crate::records::Wish { records: vec!["4".into()], ..wish() };
        let table = world.export(&sandbox.uri, wish).await.unwrap().table.unwrap();
        assert_eq!(texts(&table, "first_name"), [nasty]);
    }
}

#[tokio::test]
async fn what_is_exported_can_be_imported_again_and_changes_nothing() {
    let sandbox = Sandbox::start();
    for sample in SAMPLES {
        let world = World::with(sample.token);
        for choices in [crate::records::Choices::Code, crate::records::Choices::Factor] {
            for types in [true, false] {
                let wish = crate::records::Wish { choices, types, ..wish() };
                let mut table = world.export(&sandbox.uri, wish).await.unwrap().table.unwrap();
                importable(&mut table);
                let all = Import { data: table, blanks: Blanks::Overwrite, ..dry(Vec::new()) };
                let changes = world.import(&sandbox.uri, all).await.unwrap();
                assert_eq!(lines(&changes), Vec::<[String; 5]>::new(), "{} {choices:?} {types}", sample.short_name);
            }
        }
        assert!(world.said().contains("nothing would change"));
        // As texts every byte stays. With types the first import writes `180` where `180.0` stood, and then it stays.
        for (types, bytes) in [(false, true), (true, false), (true, true)] {
            let before = world.csv(&sandbox.uri).await;
            let wish = crate::records::Wish { types, ..wish() };
            let mut table = world.export(&sandbox.uri, wish).await.unwrap().table.unwrap();
            importable(&mut table);
            let all = Import { data: table, blanks: Blanks::Overwrite, batch_size: Some(500), ..sending(Vec::new()) };
            let taken = world.import(&sandbox.uri, all).await.unwrap();
            assert!(taken.columns[0].1.len() >= 90);
            let after = world.csv(&sandbox.uri).await;
            let cells = |csv: &str| csv.split([',', '\n']).map(plain).collect::<Vec<_>>();
            let same = if bytes { before == after } else { cells(&before) == cells(&after) };
            assert!(same, "{} {types}", sample.short_name);
        }
    }
}

#[tokio::test]
async fn labels_factors_dates_and_flags_arrive_as_redcap_keeps_them() {
    let sandbox = Sandbox::start();
    let world = World::with(SAMPLES[0].token);
    let levels: Texts = ["Male", "Diverse"].iter().collect();
    let columns = vec![
        ("record_id", text(&["007", "1e+05"])),
        ("sex", Column::Factor { codes: vec![2, 1], levels }),
        ("consent", Column::flag([Some(true), Some(false)])),
        ("symptoms___2", Column::flag([Some(true), None])),
        ("birth_date", Column::Date(vec![11_016.0, Column::NO_REAL])),
        ("visit_time", Column::DateTime { seconds: vec![3720.0, Column::NO_REAL], zone: "UTC".into() }),
        ("severity", text(&["severe, \"in bed\"", ""])),
        ("remarks", text(&["a\r\nb, \"c\" ä\u{1f600}", " - "])),
        ("health_complete", text(&["Complete", "1"])),
    ];
    let taken = world.import(&sandbox.uri, sending(columns)).await.unwrap();
    assert_eq!(
        (texts(&taken, "record"), texts(&taken, "sent")),
        (vec!["007".into(), "1e+05".to_owned()], vec!["007".into(), "1e+05".to_owned()])
    );
    assert!(world.said().ends_with("2 records were imported"));
    let records = vec!["007".to_owned(), "1e+05".to_owned()];
    let wish = crate::records::Wish { records, types: false, ..wish() };
    let table = world.export(&sandbox.uri, wish).await.unwrap().table.unwrap();
    let mut found: Vec<Vec<String>> = [
        "record_id",
        "sex",
        "consent",
        "symptoms___2",
        "birth_date",
        "visit_time",
        "severity",
        "remarks",
        "health_complete",
    ]
    .iter()
    .map(|name| texts(&table, name))
    .collect();
    // The server's order of ids is its own.
    if found[0][0] != "007" {
        for column in &mut found {
            column.reverse();
        }
    }
    let wanted = [
        ["007", "1e+05"],
        ["2", "1"],
        ["1", "0"],
        ["1", "0"],
        ["2000-02-29", ""],
        ["1970-01-01 01:02", ""],
        ["3", ""],
        ["a\r\nb, \"c\" ä\u{1f600}", " - "],
        ["2", "1"],
    ];
    assert_eq!(found, wanted.map(|column| column.map(str::to_owned).to_vec()).to_vec());
}

#[tokio::test]
async fn redcap_numbers_records_when_it_is_asked_to() {
    let sandbox = Sandbox::start();
    let world = World::with(SAMPLES[1].token);
    let columns = || {
        vec![
            ("record_id", text(&["1", "x", "1"])),
            ("redcap_event_name", text(&["screening_arm_1", "screening_arm_1", "baseline_arm_1"])),
            ("systolic", Column::int([Some(120), Some(130), Some(121)])),
        ]
    };
    // Record `1` is there, and it is not meant.
    let changes = world.import(&sandbox.uri, Import { auto_number: true, ..dry(columns()) }).await.unwrap();
    assert!(texts(&changes, "kind").iter().all(|kind| kind == "new record") && changes.columns[0].1.len() == 5);
    let changes = world.import(&sandbox.uri, dry(columns())).await.unwrap();
    assert!(texts(&changes, "kind").iter().any(|kind| kind != "new record"));
    let taken = world.import(&sandbox.uri, Import { auto_number: true, ..sending(columns()) }).await.unwrap();
    assert_eq!(
        (texts(&taken, "record"), texts(&taken, "sent")),
        (vec!["601".into(), "602".to_owned()], vec!["1".into(), "x".to_owned()])
    );
}

#[tokio::test]
async fn rows_and_instances_that_are_not_there_are_new_rows_of_a_known_record() {
    let sandbox = Sandbox::start();
    let world = World::with(SAMPLES[2].token);
    let columns = vec![
        ("record_id", text(&["1", "1", "1", "9001"])),
        ("redcap_event_name", text(&["enrolment_arm_1", "enrolment_arm_1", "visits_arm_1", "visits_arm_1"])),
        ("redcap_repeat_instrument", Column::text([None, Some("medication"), None, None])),
        ("redcap_repeat_instance", text(&["", "new", "90", "1"])),
        ("name", Column::text([Some("Neu"), None, None, None])),
        ("drug", Column::text([None, Some("X"), None, None])),
        ("well", Column::flag([None, None, Some(true), Some(false)])),
    ];
    let changes = world.import(&sandbox.uri, dry(columns)).await.unwrap();
    let kinds: Vec<_> = lines(&changes).into_iter().map(|[record, field, _, _, kind]| [record, field, kind]).collect();
    let wanted = [
        ["1", "name", "change"],
        ["1", "drug", "new row"],
        ["1", "well", "new row"],
        ["9001", "record_id", "new record"],
        ["9001", "well", "new record"],
    ];
    assert_eq!(kinds, wanted.map(|line| line.map(str::to_owned)));
    assert!(matches!(&changes.columns[3].1, Column::Int(cells) if cells[2] == 90 && cells[1] == Column::NO_INT));
    assert!(world.said().contains("1 new record, 2 new rows, 1 changed value in 2 records"), "{}", world.said());
}

/// A server for whose `record` nobody should ask.
fn silent() -> Server {
    Server::start(|_, _| data("{\"error\":\"asked\"}"))
}

#[tokio::test]
async fn data_that_do_not_fit_are_refused_at_once_and_nothing_is_sent() {
    let server = silent();
    let id = || ("id", text(&["1", "2", "3"]));
    let long = || Column::text((0..25).map(|n| Some(n.to_string())));
    let many = |cell: &str| Column::text((0..25).map(|_| Some(cell.to_owned())));
    let cases: Vec<(Vec<(&str, Column)>, &str)> = vec![
        (vec![("age", text(&["1"]))], "`data` has no column `id`, which holds the record's id"),
        (
            vec![id(), ("agee", text(&["", "", ""])), ("nonsense", text(&["", "", ""]))],
            "2 columns of `data` are no fields of the project: `agee` (did you mean `age`?), `nonsense`",
        ),
        (vec![id(), ("age", text(&["", "", ""])), ("age", text(&["", "", ""]))], "columns of `data` come twice: `age`"),
        (
            vec![id(), ("f_timestamp", text(&["", "", ""]))],
            "1 column of `data` cannot be imported: `f_timestamp` (REDCap sets it itself)",
        ),
        (vec![("id", text(&[]))], "`data` has no rows"),
        (vec![("id", Column::text([Some("1"), None, Some("")]))], "2 rows of `data` have no id in `id`: 2, 3"),
        (
            vec![("id", text(&["1", "2", "1"]))],
            "rows of `data` are for the same record, event and instance: rows 1 and 3 (`1`)",
        ),
        (
            vec![id(), ("age", text(&["1", "x", "1.5"]))],
            "2 values of `data` do not fit the project's dictionary, and nothing was sent: record `2`, `age`: the \
             field takes whole numbers; record `3`, `age`: the field takes whole numbers",
        ),
        (vec![("id", long()), ("age", many("x"))], "25 values of `data` do not fit"),
    ];
    for (columns, message) in cases {
        for dry_run in [true, false] {
            let world = World::new();
            let error = world.import(&server.uri, Import { dry_run, ..sending(columns.clone()) }).await.unwrap_err();
            assert_eq!(error.kind, Kind::Argument, "{message}");
            assert!(error.message.starts_with(message), "{}", error.message);
        }
    }
    assert!(server.asked.lock().unwrap().is_empty(), "something was asked for or sent");
    // Ten are named in words, all in the table, with their values there only.
    let error = World::new().import(&server.uri, sending(vec![("id", long()), ("age", many("x?"))])).await.unwrap_err();
    assert!(error.message.ends_with("; and 15 more") && !error.message.contains("x?"), "{}", error.message);
    let table = problems(&error);
    assert_eq!(texts(table, "value"), vec!["x?"; 25]);
    assert_eq!((texts(table, "record")[24].as_str(), texts(table, "field")[24].as_str()), ("24", "age"));
    let names: Vec<_> = table.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["row", "record", "field", "value", "message"]);
}

#[tokio::test]
async fn what_may_be_a_token_is_not_repeated_and_the_own_one_is_not_sent() {
    let server = silent();
    let token = "0123456789abcdef".repeat(2);
    let columns = vec![("id", text(&["1"])), ("age", text(&[&token]))];
    let error = World::new().import(&server.uri, sending(columns)).await.unwrap_err();
    assert_eq!(texts(problems(&error), "value"), ["<looks like a token, not shown>"]);
    assert!(!format!("{error:?}").contains("89abcdef"));
    let own = super::kit::TOKEN;
    for columns in [
        vec![("id", text(&["1"])), ("note", text(&[&format!("my token: {}", own.to_lowercase())]))],
        vec![("id", text(&["1"])), (own, text(&["x"]))],
    ] {
        let error = World::new().import(&server.uri, sending(columns)).await.unwrap_err();
        assert_eq!(error.kind, Kind::TokenInArgument);
        assert!(!format!("{error:?}").to_uppercase().contains(&own[..8]));
    }
    assert!(server.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_an_export_could_not_convert_is_not_blanked() {
    let kept = || {
        let column = |cell: &str| Column::text([Some(cell)]);
        let columns = [("record", column("2")), ("field", column("age")), ("value", column("UNK"))];
        Some(Table { columns: columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect() })
    };
    let columns = |age: Option<&str>| vec![("id", text(&["1", "2"])), ("age", Column::text([None, age]))];
    let server = Server::start(|asked, _| {
        data(if asked.get("data").is_empty() { "id,age\n1,5\n2,UNK\n" } else { "[\"1\",\"2\"]" })
    });
    for dry_run in [true, false] {
        let wish = Import { kept: kept(), blanks: Blanks::Overwrite, dry_run, ..sending(columns(None)) };
        let error = World::new().import(&server.uri, wish).await.unwrap_err();
        assert_eq!(error.kind, Kind::Argument);
        assert!(
            error.message.ends_with("record `2`, `age`: it is blank here because the export could not convert it"),
            "{}",
            error.message
        );
        assert_eq!(texts(problems(&error), "value"), ["UNK"]);
    }
    assert!(server.asked.lock().unwrap().is_empty());
    // As blanks that keep what is there, put back, or knowingly: then it is no longer in the way.
    for wish in [
        Import { kept: kept(), ..sending(columns(None)) },
        Import { kept: kept(), blanks: Blanks::Overwrite, ..sending(columns(Some("UNK"))) },
        Import { kept: None, blanks: Blanks::Overwrite, ..sending(columns(None)) },
    ] {
        World::new().import(&server.uri, wish).await.unwrap();
    }
    // Other values that are blank are blanked as before.
    let wish = Import { kept: kept(), blanks: Blanks::Overwrite, ..dry(columns(Some("UNK"))) };
    let changes = World::new().import(&server.uri, wish).await.unwrap();
    assert_eq!(lines(&changes), [["1", "age", "5", "", "blank"].map(str::to_owned)]);
}

/// Six records in batches of two, at a server that takes the first batch and does something else with the second.
async fn in_batches(second: impl Fn() -> Say + Send + Sync + 'static) -> (Error, Vec<Vec<String>>, Vec<String>) {
    let sent: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
    let seen = Arc::clone(&sent);
    let server = Server::start(move |asked: &Asked, n| {
        assert_eq!((asked.get("action"), asked.get("returnContent")), ("import", "ids"));
        let ids: Vec<String> =
            asked.get("data").lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect();
        seen.lock().unwrap().push(ids.clone());
        if n == 0 { data(&serde_json::to_string(&ids).unwrap()) } else { second() }
    });
    let mut world = World::new();
    world.ctx.settings.retries = 3;
    world.ctx.settings.net.timeout = Duration::from_millis(1500);
    let ids = ["a", "b", "c", "d", "e", "f"];
    let wish = Import { batch_size: Some(2), ..sending(vec![("id", text(&ids)), ("age", Column::int([Some(1); 6]))]) };
    let error = world.import(&server.uri, wish).await.unwrap_err();
    let sent = sent.lock().unwrap().clone();
    (error, sent, world.outcomes())
}

#[tokio::test]
async fn a_batch_of_unknown_outcome_ends_the_import_and_says_where_it_stands() {
    type Way = (fn() -> Say, &'static str);
    let ways: [Way; 4] = [
        (|| Say::Raw(Vec::new()), "the end of the connection"),
        (|| Say::Slowly(vec![Vec::new()], Duration::from_millis(2500)), "silence"),
        (|| Say::Body(504, b"<html>".to_vec()), "a gateway"),
        (|| Say::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[\"c\"".to_vec()), "half an answer"),
    ];
    for (second, what) in ways {
        let (error, sent, outcomes) = in_batches(second).await;
        assert_eq!(error.kind, Kind::OutcomeUnknown, "{what}");
        assert!(
            error.message.starts_with("the import of 2 records (`c`, `d`) was sent and its outcome is not known"),
            "{}",
            error.message
        );
        assert_eq!(sent, [["a", "b"], ["c", "d"]], "{what}: sent again, or further");
        assert_eq!(outcomes.last().map(String::as_str), Some("outcome_unknown"));
        assert_eq!(field(&error, "imported"), ["a", "b"]);
        assert_eq!(field(&error, "in_doubt"), ["c", "d"]);
        assert_eq!(field(&error, "not_sent"), ["e", "f"]);
        assert!(error.hints.iter().any(|hint| hint.contains("dry_run = TRUE")), "{:?}", error.hints);
    }
}

#[tokio::test]
async fn a_batch_that_redcap_refuses_was_not_imported_and_its_words_are_a_table() {
    let lines =
        "\\\"c\\\",\\\"age\\\",\\\"x\\\",\\\"It is no number.\\\"\\n\\\"d\\\",\\\"age\\\",\\\"\\\",\\\"Nor this.\\\"";
    let (error, sent, _) = in_batches(move || Say::Body(400, format!("{{\"error\":\"{lines}\"}}").into_bytes())).await;
    assert_eq!((error.kind, sent.len()), (Kind::Redcap, 2));
    assert_eq!(texts(problems(&error), "record"), ["c", "d"]);
    assert_eq!(texts(problems(&error), "message"), ["It is no number.", "Nor this."]);
    assert_eq!(field(&error, "imported"), ["a", "b"]);
    assert_eq!(field(&error, "in_doubt"), Vec::<String>::new());
    assert_eq!(field(&error, "not_sent"), ["c", "d", "e", "f"]);
}

#[tokio::test]
async fn redcaps_count_must_be_the_one_that_was_sent() {
    for (answer, named) in
        [("[\"c\"]", "it does not name `d`"), ("[]", "it does not name `c`, `d`"), ("{\"count\":2}", "`c`")]
    {
        let (error, _, _) = in_batches(move || data(answer)).await;
        assert_eq!(error.kind, Kind::OutcomeUnknown, "{answer}");
        assert!(error.hints.iter().any(|hint| hint.contains(named)), "{:?}", error.hints);
        assert_eq!(field(&error, "in_doubt"), ["c", "d"]);
    }
    let (error, _, _) = in_batches(|| data("[\"c\",\"d\",\"e\"]")).await;
    assert!(error.message.contains("2 records were sent, and REDCap answers that it imported 3 records"));
}

#[tokio::test]
async fn an_id_that_hides_the_token_in_escapes_does_not_become_one() {
    let token = super::kit::TOKEN;
    let hidden = token.bytes().map(|byte| format!("\\u{byte:04x}")).collect::<Vec<_>>().concat();
    let server = Server::start(move |_, _| data(&format!(r#"["{hidden},1"]"#)));
    let world = World::new();
    let wish = Import { auto_number: true, ..sending(vec![("id", text(&["1"])), ("age", text(&["2"]))]) };
    let error = world.import(&server.uri, wish).await.unwrap_err();
    assert_eq!(error.kind, Kind::TokenEcho);
    assert_eq!(field(&error, "in_doubt"), ["1"]);
    assert!(!format!("{error:?}").to_uppercase().contains(&token[..8]));
    assert_eq!(world.outcomes().last().map(String::as_str), Some("token_echo"));
}

#[tokio::test]
async fn the_present_values_are_asked_for_in_exactly_these_fields_and_records() {
    let server = Server::start(|asked, _| {
        let ids = asked.list("records");
        assert!(ids.len() <= 500 && asked.get("action") == "export");
        data(&format!("id,age\n{},1\n", ids.join(",1\n")))
    });
    let ids: Vec<String> = (0..1200).map(|n| format!("r{n}")).collect();
    let columns = vec![("id", Column::text(ids.iter().map(Some))), ("age", Column::int((0..1200).map(|_| Some(1))))];
    let changes = World::new().import(&server.uri, dry(columns)).await.unwrap();
    assert!(changes.columns[0].1.is_empty());
    let asked = server.asked.lock().unwrap();
    assert!(asked.iter().all(|asked| asked.list("fields") == ["id", "age"]));
    assert_eq!(asked.iter().map(|asked| asked.list("records").len()).collect::<Vec<_>>(), [500, 500, 200]);
}

#[tokio::test]
async fn what_the_token_may_not_read_is_said_to_be_unknown() {
    let server = Server::start(|_, _| data("id,age\n1,5\n"));
    let world = World::new();
    let columns = vec![("id", text(&["1"])), ("age", text(&["5"])), ("note", text(&["x"]))];
    let changes = world.import(&server.uri, dry(columns)).await.unwrap();
    assert_eq!(lines(&changes), [["1", "note", "", "x", "unknown"].map(str::to_owned)]);
    assert!(world.said().contains("the token may not read what is there now in `note`"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn export_import_export_gives_the_same_bytes(
        rows in proptest::collection::vec(
            (
                any::<bool>(), proptest::option::of(any::<i32>()), proptest::option::of(-1e12..1e12_f64),
                proptest::option::of(-719_162..2_932_896_i32), proptest::option::of(0..4_102_444_800_i64),
                "[^\\x00]{0,40}", 0..3_usize,
            ),
            1..12,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let sandbox = Sandbox::start();
            let world = World::with(SAMPLES[0].token);
            let real = |cell: Option<f64>| cell.unwrap_or(Column::NO_REAL);
            let columns = vec![
                ("record_id", Column::text((0..rows.len()).map(|n| Some(format!("p{n}"))))),
                ("consent", Column::flag(rows.iter().map(|row| Some(row.0)))),
                ("symptoms___1", Column::flag(rows.iter().map(|row| Some(row.0)))),
                ("pulse", Column::int(rows.iter().map(|row| row.1.filter(|n| *n != Column::NO_INT)))),
                ("weight", Column::Real(rows.iter().map(|row| real(row.2)).collect())),
                ("birth_date", Column::Date(rows.iter().map(|row| real(row.3.map(f64::from))).collect())),
                ("visit_time", Column::DateTime {
                    seconds: rows.iter().map(|row| real(row.4.map(|second| (second / 60 * 60) as f64))).collect(),
                    zone: "UTC".to_owned(),
                }),
                ("remarks", Column::text(rows.iter().map(|row| Some(row.5.clone())))),
                ("sex", Column::text(rows.iter().map(|row| Some(["0", "Male", "Diverse"][row.6])))),
            ];
            world.import(&sandbox.uri, sending(columns.clone())).await.unwrap();
            let before = world.csv(&sandbox.uri).await;
            // What was sent is there, cell by cell.
            let changes = world.import(&sandbox.uri, Import { blanks: Blanks::Overwrite, ..dry(columns) }).await.unwrap();
            assert_eq!(lines(&changes), Vec::<[String; 5]>::new());
            let records: Vec<String> = (0..rows.len()).map(|n| format!("p{n}")).collect();
            let wish = crate::records::Wish { records, ..wish() };
            let mut table = world.export(&sandbox.uri, wish).await.unwrap().table.unwrap();
            importable(&mut table);
            let all = Import { data: table, blanks: Blanks::Overwrite, ..sending(Vec::new()) };
            world.import(&sandbox.uri, all).await.unwrap();
            assert!(before == world.csv(&sandbox.uri).await);
        });
    }
}
