//! The core's values as R's, and the answers that R gets.

use std::borrow::Cow;

use extendr_api::prelude::*;
use keycap::ctx::Event;
use keycap::{Column, Error, Table, Value};

use crate::columns::{self, attribute};

/// The operation is done.
pub(crate) fn ok(events: &[Event], value: Value) -> Robj {
    answer("ok", events, [("value", self::value(value))])
}

/// The operation goes on.
pub(crate) fn pending(events: &[Event]) -> Robj {
    answer("pending", events, [])
}

/// The operation failed, or could not be started.
pub(crate) fn error(events: &[Event], error: &Error) -> Robj {
    let fields = error.fields.iter().map(|(name, field)| (name.as_str(), value(field.clone())));
    let error = named([
        ("kind", text(error.kind.as_str())),
        ("message", text(&printable(&error.message))),
        ("hints", columns::strings(error.hints.iter().map(|hint| printable(hint)))),
        ("fields", named(fields.collect::<Vec<_>>())),
    ]);
    answer("error", events, [("error", error)])
}

/// A value as an R object. A list of nothing but unnamed texts is a character vector. The value is used up on the
/// way, column by column: a large table is never there twice.
pub(crate) fn value(value: Value) -> Robj {
    match value {
        Value::Nothing => ().into(),
        Value::Text(text) => self::text(&without_nul(&text)),
        // R's whole numbers have 32 bits, and the smallest is `NA`; a double is exact up to 2^53.
        Value::Whole(number) => match i32::try_from(number) {
            Ok(number) if number != i32::MIN => columns::ints(&[number]),
            _ => columns::reals(&[number as f64]),
        },
        Value::Real(number) => columns::reals(&[number]),
        Value::Flag(flag) => columns::flags(&[i8::from(flag)]),
        Value::List(items) => list(items),
        Value::Table(table) => data_frame(table),
    }
}

/// R ends a text at a NUL, by a jump out of Rust that skips every destructor: none may reach it.
pub(crate) fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

/// A text for people: what could steer a terminal is shown as an escape.
fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if c.is_control() && c != '\n' && c != '\t' {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
        shown
    })
}

fn answer<const N: usize>(kind: &str, events: &[Event], rest: [(&str, Robj); N]) -> Robj {
    let events = events.iter().map(|event| match event {
        Event::Note(shown) => named([("kind", text("note")), ("text", text(&printable(shown)))]),
        Event::Once(shown) => named([("kind", text("once")), ("text", text(&printable(shown)))]),
        Event::Warning(shown) => named([("kind", text("warning")), ("text", text(&printable(shown)))]),
        Event::Progress { bytes, rows } => {
            let figure = |figure: u64| columns::reals(&[figure as f64]);
            named([("kind", text("progress")), ("bytes", figure(*bytes)), ("rows", figure(*rows))])
        }
    });
    let events = columns::list(&events.collect::<Vec<_>>());
    named([("kind", text(kind)), ("events", events)].into_iter().chain(rest).collect::<Vec<_>>())
}

fn list(items: Vec<(String, Value)>) -> Robj {
    let unnamed = items.iter().all(|(name, _)| name.is_empty());
    if unnamed {
        let texts: Option<Vec<_>> = items.iter().map(|(_, item)| item.as_text().map(without_nul)).collect();
        return match texts {
            Some(texts) if !texts.is_empty() => columns::strings(texts),
            _ => columns::list(&items.into_iter().map(|(_, item)| value(item)).collect::<Vec<_>>()),
        };
    }
    let (names, items): (Vec<_>, Vec<_>) = items.into_iter().unzip();
    named(names.iter().map(String::as_str).zip(items.into_iter().map(value)).collect::<Vec<_>>())
}

/// Built by hand as a list with `class` and `row.names`, without running R's code.
fn data_frame(table: Table) -> Robj {
    let rows = table.columns.first().map_or(0, |(_, column)| column.len());
    let (names, columns): (Vec<_>, Vec<_>) = table.columns.into_iter().unzip();
    let mut frame = named(names.iter().map(String::as_str).zip(converted(columns)).collect::<Vec<_>>());
    // R's short form of row names: `c(NA, -n)`.
    let row_names = columns::ints(&[Column::NO_INT, -(rows as i32)]);
    attribute(&mut frame, c"class", &text("data.frame"));
    attribute(&mut frame, c"row.names", &row_names);
    frame
}

/// So much memory is given back to the system at once, in bytes.
const GIVEN_BACK: usize = 16 * 1024 * 1024;

/// The columns in their order, each used up on the way. R's garbage collector looks at every text of every column
/// whenever it runs, and it runs as long as memory grows: so all vectors are made before the first text is, and then
/// come the columns with the most distinct ones.
fn converted(columns: Vec<Column>) -> Vec<Robj> {
    let mut freed = 0;
    let mut texts = Vec::new();
    let mut made: Vec<Robj> = Vec::with_capacity(columns.len());
    for cells in columns {
        made.push(match cells {
            Column::Text { ids, dictionary } => {
                let blanks = columns::blanks(ids.len());
                texts.push((made.len(), ids, dictionary));
                blanks
            }
            cells => {
                freed += cells.len() * size_of::<f64>();
                column(cells)
            }
        });
        if freed > GIVEN_BACK {
            freed = 0;
            crate::allocator::give_back();
        }
    }
    texts.sort_by_key(|(_, _, dictionary)| std::cmp::Reverse(dictionary.len()));
    for (place, ids, dictionary) in texts {
        columns::fill(&made[place], &ids, &dictionary);
        freed += ids.len() * size_of::<u32>();
    }
    if freed > GIVEN_BACK {
        crate::allocator::give_back();
    }
    made
}

/// A column, with the class that R has for it.
fn column(column: Column) -> Robj {
    match column {
        Column::Int(cells) => columns::ints(&cells),
        Column::Real(cells) => columns::reals(&cells),
        Column::Flag(cells) => columns::flags(&cells),
        Column::Text { ids, dictionary } => columns::texts(&ids, &dictionary),
        Column::Date(days) => {
            let mut column = columns::reals(&days);
            attribute(&mut column, c"class", &text("Date"));
            column
        }
        // What the clock showed, as if it were UTC. Only R knows the zones: it moves the column where the attribute
        // names another one.
        Column::DateTime { seconds, zone } => {
            let mut column = columns::reals(&seconds);
            attribute(&mut column, c"class", &columns::strings(["POSIXct", "POSIXt"]));
            attribute(&mut column, c"tzone", &text("UTC"));
            if zone != "UTC" {
                attribute(&mut column, c"keycap_tz", &text(&without_nul(&zone)));
            }
            column
        }
        Column::Factor { codes, levels } => {
            let mut column = columns::ints(&codes);
            let all: Vec<u32> = (0..levels.len() as u32).collect();
            attribute(&mut column, c"levels", &columns::texts(&all, &levels));
            attribute(&mut column, c"class", &text("factor"));
            column
        }
    }
}

fn named<'a>(items: impl IntoIterator<Item = (&'a str, Robj)>) -> Robj {
    let (names, values): (Vec<_>, Vec<_>) = items.into_iter().map(|(name, item)| (without_nul(name), item)).unzip();
    let mut list = columns::list(&values);
    attribute(&mut list, c"names", &columns::strings(names));
    list
}

fn text(text: &str) -> Robj {
    columns::strings([text])
}
