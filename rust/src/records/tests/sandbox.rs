//! The sandbox's projects, compared value by value with what the same server says in JSON.

use std::net::TcpListener;

use serde_json::Value as Json;

use super::kit::{World, texts, wish};
use crate::records::{Choices, Wish};
use crate::redcap::{Expect, Request};
use crate::sandbox::{API_PATH, Config, SAMPLES, serve};
use crate::value::{Column, Table};

pub(super) struct Sandbox {
    pub(super) uri: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Sandbox {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}{API_PATH}", listener.local_addr().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            serve(Config::default(), listener, async { drop(stopped.await) }).unwrap();
        });
        Self { uri, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.stop.take());
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

/// A cell as REDCap would have written it.
fn written(column: &Column, row: usize) -> String {
    let date = |days: f64| {
        let mut day = (1970, 1, 1);
        // Slow and obviously right.
        let last = |y: i32, m: i32| match m {
            2 if y % 4 == 0 && (y % 100 != 0 || y % 400 == 0) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        for _ in 0..days.abs() as i64 {
            if days > 0.0 {
                day.2 += 1;
                if day.2 > last(day.0, day.1) {
                    day = if day.1 == 12 { (day.0 + 1, 1, 1) } else { (day.0, day.1 + 1, 1) };
                }
            } else {
                day.2 -= 1;
                if day.2 == 0 {
                    day = if day.1 == 1 { (day.0 - 1, 12, 0) } else { (day.0, day.1 - 1, 0) };
                    day.2 = last(day.0, day.1);
                }
            }
        }
        format!("{:04}-{:02}-{:02}", day.0, day.1, day.2)
    };
    match column {
        Column::Text { .. } => column.text_at(row).unwrap_or_default().to_owned(),
        Column::Int(cells) if cells[row] != Column::NO_INT => cells[row].to_string(),
        Column::Flag(cells) if cells[row] != Column::NO_FLAG => cells[row].to_string(),
        Column::Real(cells) if !Column::is_no_real(cells[row]) => cells[row].to_string(),
        Column::Date(cells) if !Column::is_no_real(cells[row]) => date(cells[row]),
        Column::DateTime { seconds: cells, .. } if !Column::is_no_real(cells[row]) => {
            let seconds = cells[row].rem_euclid(86_400.0) as i64;
            let day = date(cells[row].div_euclid(86_400.0));
            format!("{day} {:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
        }
        Column::Factor { codes, levels } if codes[row] != Column::NO_INT => {
            levels.get(codes[row] as u32 - 1).unwrap().to_owned()
        }
        _ => String::new(),
    }
}

/// Numbers without zeros at their end, times with their seconds.
pub(super) fn plain(text: &str) -> String {
    if text.len() == 16 && text.as_bytes()[10] == b' ' && text.as_bytes()[13] == b':' {
        return format!("{text}:00");
    }
    let number = text.contains('.') && text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-');
    if number { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
}

fn compare(table: &Table, rows: &Json) {
    let rows = rows.as_array().unwrap();
    assert!(rows.len() >= 90);
    let names: Vec<_> = table.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, rows[0].as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>());
    for (name, column) in &table.columns {
        assert_eq!(column.len(), rows.len());
        for (row, expected) in rows.iter().enumerate() {
            let expected = &expected[name];
            let expected = expected.as_str().map_or_else(|| expected.to_string(), str::to_owned);
            assert_eq!(plain(&written(column, row)), plain(&expected), "{name}, row {row}");
        }
    }
}

fn kinds(table: &Table) -> Vec<(&str, &'static str)> {
    let kind = |column: &Column| match column {
        Column::Int(_) => "int",
        Column::Real(_) => "real",
        Column::Flag(_) => "flag",
        Column::Text { .. } => "text",
        Column::Date(_) => "date",
        Column::DateTime { .. } => "time",
        Column::Factor { .. } => "factor",
    };
    table.columns.iter().map(|(name, column)| (name.as_str(), kind(column))).collect()
}

#[tokio::test]
async fn every_value_of_every_sample_project_is_what_json_says() {
    let sandbox = Sandbox::start();
    for sample in SAMPLES {
        let world = World::with(sample.token);
        let project = world.project(&sandbox.uri);
        for (choices, labels) in [(Choices::Code, "raw"), (Choices::Label, "label"), (Choices::Factor, "label")] {
            let request = Request::read("record", Expect::Json).with("rawOrLabel", labels);
            let body = world.operation(&project).collect(&request, 1 << 30).await.unwrap();
            let mut json: Json = serde_json::from_slice(&body).unwrap();
            if labels == "label" {
                // What is no choice stays as it is: flags are flags, and forms and events keep their names.
                let raw = world.operation(&project).collect(&Request::read("record", Expect::Json), 1 << 30).await;
                let raw: Json = serde_json::from_slice(&raw.unwrap()).unwrap();
                for (row, raw) in json.as_array_mut().unwrap().iter_mut().zip(raw.as_array().unwrap()) {
                    for (name, value) in row.as_object_mut().unwrap() {
                        let text = value.as_str().unwrap_or_default();
                        let flag = ["Checked", "Unchecked", "Yes", "No", "True", "False"].contains(&text);
                        if flag || name.starts_with("redcap_") {
                            *value = raw[name].clone();
                        }
                    }
                }
            }
            let export = world.export(&sandbox.uri, Wish { choices, ..wish() }).await.unwrap();
            compare(export.table.as_ref().unwrap(), &json);
            assert!(export.problems.columns[0].1.is_empty() && export.repaired == 0);
        }
    }
}

#[tokio::test]
async fn columns_have_their_types() {
    let sandbox = Sandbox::start();
    let world = World::with(SAMPLES[0].token);
    let table = world.export(&sandbox.uri, wish()).await.unwrap().table.unwrap();
    assert_eq!(
        kinds(&table),
        [
            ("record_id", "text"),
            ("first_name", "text"),
            ("last_name", "text"),
            ("email", "text"),
            ("birth_date", "date"),
            ("sex", "int"),
            ("consent", "flag"),
            ("height", "real"),
            ("weight", "real"),
            ("bmi", "real"),
            ("demographics_complete", "int"),
            ("visit_time", "time"),
            ("smoker", "flag"),
            ("symptoms___1", "flag"),
            ("symptoms___2", "flag"),
            ("symptoms___3", "flag"),
            ("symptoms___4", "flag"),
            ("symptoms____9", "flag"),
            ("severity", "int"),
            ("pulse", "int"),
            ("pain", "int"),
            ("remarks", "text"),
            ("letter", "text"),
            ("health_complete", "int"),
        ]
    );
    let repeating = World::with(SAMPLES[2].token).export(&sandbox.uri, wish()).await.unwrap().table.unwrap();
    let kinds = kinds(&repeating);
    for kind in [("redcap_repeat_instance", "int"), ("redcap_repeat_instrument", "text"), ("redcap_event_name", "text")]
    {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
}

#[tokio::test]
async fn batches_and_files_bring_the_same_rows() {
    let sandbox = Sandbox::start();
    for sample in &SAMPLES[1..] {
        let world = World::with(sample.token);
        let whole = world.export(&sandbox.uri, wish()).await.unwrap();
        let batches = world.export(&sandbox.uri, Wish { batch_size: Some(97), ..wish() }).await.unwrap();
        assert_eq!(whole.rows, batches.rows);
        let (one, other) = (whole.table.unwrap(), batches.table.unwrap());
        for ((name, one), (_, other)) in one.columns.iter().zip(&other.columns) {
            for row in 0..one.len() {
                assert_eq!(written(one, row), written(other, row), "{name}, row {row}");
            }
        }
        let [a, b] = ["a.csv", "b.csv"].map(|name| world.folder.path().join(name));
        world.export(&sandbox.uri, Wish { to: Some(a.clone()), ..wish() }).await.unwrap();
        let wish = Wish { to: Some(b.clone()), batch_size: Some(97), ..wish() };
        world.export(&sandbox.uri, wish).await.unwrap();
        assert_eq!(std::fs::read_to_string(a).unwrap(), std::fs::read_to_string(b).unwrap());
    }
}

#[tokio::test]
async fn fields_bring_the_record_id_along() {
    let sandbox = Sandbox::start();
    let world = World::with(SAMPLES[0].token);
    let fields = vec!["sex".to_owned()];
    let records = vec!["3".to_owned(), "12".to_owned()];
    let table = world.export(&sandbox.uri, Wish { fields, records, ..wish() }).await.unwrap().table.unwrap();
    assert_eq!(kinds(&table), [("record_id", "text"), ("sex", "int")]);
    assert_eq!(texts(&table, "record_id"), ["3", "12"]);
    // A field that does not exist is REDCap's to refuse.
    let error = world.export(&sandbox.uri, Wish { fields: vec!["none".into()], ..wish() }).await.unwrap_err();
    assert_eq!(error.kind, crate::Kind::Redcap);
}
