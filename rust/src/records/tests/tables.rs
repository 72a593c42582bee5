//! Bodies into tables.

use serde_json::json;

use crate::error::{Error, Kind};
use crate::records::body::Body;
use crate::records::choice::Choices;
use crate::records::csv::Reader;
use crate::records::dictionary::Dictionary;
use crate::records::intake::Target;
use crate::records::table::{Finished, Style, TableBuilder};
use crate::value::{Column, Table};

fn dictionary() -> Dictionary {
    let field = |name: &str, kind: &str, choices: &str, validation: &str| {
        json!({
            "field_name": name, "form_name": "visit", "field_type": kind,
            "select_choices_or_calculations": choices, "text_validation_type_or_show_slider_number": validation,
        })
    };
    let lines = json!([
        field("id", "text", "", "integer"),
        field("age", "text", "", "integer"),
        field("weight", "text", "", "number"),
        field("price", "text", "", "number_2dp_comma_decimal"),
        field("born", "text", "", "date_dmy"),
        field("seen", "text", "", "datetime_seconds_ymd"),
        field("smokes", "yesno", "", ""),
        field("sex", "radio", "1, female | 2, male | 3, diverse, or other", ""),
        field("grade", "dropdown", "A, good | B, bad", ""),
        field("signs", "checkbox", "1, cough | -1, none", ""),
        field("note", "notes", "", ""),
    ]);
    Dictionary::read(lines.to_string().as_bytes(), "UNK, Unknown | -99, Not asked | NA, Not applicable").unwrap()
}

fn style() -> Style {
    Style { choices: Choices::Code, types: true, zone: "Europe/Berlin".to_owned() }
}

/// Reads bodies one after the other, in chunks of one size.
fn read_all(dictionary: &Dictionary, style: Style, bodies: &[&[u8]], size: usize) -> Result<Finished, Error> {
    let mut target = Body::new(TableBuilder::new(dictionary, style));
    for body in bodies {
        target.keep();
        let mut reader = Reader::new();
        for chunk in body.chunks(size) {
            target.take(&mut reader, chunk)?;
        }
        if !reader.is_complete() {
            return Err(target.cut_short());
        }
    }
    Ok(target.cells.finish())
}

fn read(body: &[u8]) -> Finished {
    read_all(&dictionary(), style(), &[body], 7).unwrap()
}

fn fails(body: &[u8]) -> Error {
    match read_all(&dictionary(), style(), &[body], 7) {
        Ok(_) => panic!("{:?} was read", String::from_utf8_lossy(body)),
        Err(error) => error,
    }
}

fn column<'a>(table: &'a Table, name: &str) -> &'a Column {
    &table.columns.iter().find(|(known, _)| known == name).unwrap().1
}

fn texts(table: &Table, name: &str) -> Vec<Option<String>> {
    let column = column(table, name);
    (0..column.len()).map(|row| column.text_at(row).map(str::to_owned)).collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| (!text.is_empty()).then(|| (*text).to_owned())).collect()
}

/// Real numbers with `None` for missing.
fn reals(column: &Column) -> Vec<Option<f64>> {
    let (Column::Real(cells) | Column::Date(cells) | Column::DateTime { seconds: cells, .. }) = column else {
        panic!("{column:?}")
    };
    cells.iter().map(|cell| (!Column::is_no_real(*cell)).then_some(*cell)).collect()
}

fn problems(finished: &Finished) -> Vec<(String, String, String)> {
    let [record, field, value] = ["record", "field", "value"].map(|name| texts(&finished.problems, name));
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "(missing)".to_owned());
    record.iter().zip(&field).zip(&value).map(|((r, f), v)| (text(r), text(f), text(v))).collect()
}

fn problem(record: &str, field: &str, value: &str) -> (String, String, String) {
    (record.to_owned(), field.to_owned(), value.to_owned())
}

#[test]
fn each_column_has_the_type_that_the_dictionary_says() {
    let body = "id,age,weight,price,born,seen,smokes,sex,grade,signs___1,signs____1,note,visit_complete,visit_timestamp,\
                redcap_repeat_instance,redcap_event_name,unknown\n\
                0017,41,70.5,\"1,25\",1980-02-29,2024-01-31 08:15:30,1,2,B,0,1,\"a\r\nb\",2,2024-01-31 08:15,3,v_1,x\n\
                ,,,,,,,,,,,,,,,,\n";
    let found = read(body.as_bytes());
    let table = &found.table;
    assert_eq!(texts(table, "id"), some(&["0017", ""]));
    assert_eq!(column(table, "age"), &Column::int([Some(41), None]));
    assert_eq!(reals(column(table, "weight")), [Some(70.5), None]);
    assert_eq!(reals(column(table, "price")), [Some(1.25), None]);
    assert!(matches!(column(table, "born"), Column::Date(_)));
    assert_eq!(reals(column(table, "born")), [Some(3711.0), None]);
    assert!(matches!(column(table, "seen"), Column::DateTime { zone, .. } if zone == "Europe/Berlin"));
    assert_eq!(reals(column(table, "seen")), [Some(1_706_688_930.0), None]);
    assert_eq!(column(table, "smokes"), &Column::flag([Some(true), None]));
    assert_eq!(column(table, "sex"), &Column::int([Some(2), None]));
    assert_eq!(texts(table, "grade"), some(&["B", ""]));
    assert_eq!(column(table, "signs___1"), &Column::flag([Some(false), None]));
    assert_eq!(column(table, "signs____1"), &Column::flag([Some(true), None]));
    assert_eq!(texts(table, "note"), some(&["a\r\nb", ""]));
    assert_eq!(column(table, "visit_complete"), &Column::int([Some(2), None]));
    assert_eq!(reals(column(table, "visit_timestamp")), [Some(1_706_688_900.0), None]);
    assert_eq!(column(table, "redcap_repeat_instance"), &Column::int([Some(3), None]));
    assert_eq!(texts(table, "redcap_event_name"), some(&["v_1", ""]));
    assert_eq!(texts(table, "unknown"), some(&["x", ""]));
    assert_eq!((problems(&found), found.repaired), (vec![], 0));
}

#[test]
fn what_does_not_fit_is_missing_in_its_column_and_kept_as_it_was() {
    let body = "id,age,weight,price,born,seen,smokes,sex,grade,signs___1,note,visit_complete\n\
                a,UNK,UNK,UNK,UNK,UNK,UNK,UNK,UNK,UNK,UNK,UNK\n\
                b,-99,-99,-99,-99,-99,-99,-99,-99,-99,-99,-99\n\
                c,3000000000,1e+05,1.5,2023-02-29,2023-01-01 25:00,yes,4,C,2,ok,3\n\
                d,1.0,12345678901234567,\"1,5\",01.02.2023,[not completed],TRUE,01,a, ,ok,Complete\n";
    let found = read(body.as_bytes());
    let mut expected = Vec::new();
    for (record, value) in [("a", "UNK"), ("b", "-99")] {
        for field in ["age", "weight", "price", "born", "seen", "smokes", "sex", "grade", "signs___1", "visit_complete"]
        {
            expected.push(problem(record, field, value));
        }
    }
    for (field, value) in [
        ("age", "3000000000"),
        ("weight", "1e+05"),
        ("price", "1.5"),
        ("born", "2023-02-29"),
        ("seen", "2023-01-01 25:00"),
        ("smokes", "yes"),
        ("sex", "4"),
        ("grade", "C"),
        ("signs___1", "2"),
        ("visit_complete", "3"),
    ] {
        expected.push(problem("c", field, value));
    }
    for (field, value) in [
        ("age", "1.0"),
        ("weight", "12345678901234567"),
        ("born", "01.02.2023"),
        ("seen", "[not completed]"),
        ("smokes", "TRUE"),
        ("sex", "01"),
        ("grade", "a"),
        ("signs___1", " "),
        ("visit_complete", "Complete"),
    ] {
        expected.push(problem("d", field, value));
    }
    assert_eq!(problems(&found), expected);
    let table = &found.table;
    assert_eq!(column(table, "age"), &Column::int([None; 4]));
    assert_eq!(reals(column(table, "price")), [None, None, None, Some(1.5)]);
    assert_eq!(column(table, "smokes"), &Column::flag([None; 4]));
    // In a column of texts a missing-data code is a text like any other.
    assert_eq!(texts(table, "note"), some(&["UNK", "-99", "ok", "ok"]));
}

#[test]
fn a_record_id_stays_the_text_that_it_was() {
    let found = read(b"id,age\n1e+05,1\n0007,2\n100000,3\n 5,4\nNA,5\n");
    assert_eq!(texts(&found.table, "id"), some(&["1e+05", "0007", "100000", " 5", "NA"]));
    assert_eq!(problems(&found), vec![]);
}

#[test]
fn choices_come_as_labels_and_factors_where_these_are_asked_for() {
    let body = b"id,sex,smokes,visit_complete\n1,3,1,0\n2,1,0,2\n3,,,\n4,9,,\n";
    let with = |choices| read_all(&dictionary(), Style { choices, ..style() }, &[body], 5).unwrap();
    let labels = with(Choices::Label);
    assert_eq!(texts(&labels.table, "sex"), some(&["diverse, or other", "female", "", ""]));
    assert_eq!(texts(&labels.table, "visit_complete"), some(&["Incomplete", "Complete", "", ""]));
    assert_eq!(column(&labels.table, "smokes"), &Column::flag([Some(true), Some(false), None, None]));
    assert_eq!(problems(&labels), [problem("4", "sex", "9")]);
    let factors = with(Choices::Factor);
    let levels = ["female", "male", "diverse, or other"].iter().collect();
    let codes = vec![3, 1, Column::NO_INT, Column::NO_INT];
    assert_eq!(column(&factors.table, "sex"), &Column::Factor { codes, levels });
    assert_eq!(problems(&factors), [problem("4", "sex", "9")]);
}

#[test]
fn without_types_every_column_is_the_text_that_was_sent() {
    let body = b"id,age,born,smokes,sex,weight\n1,1e5,2023-02-29,UNK,9,-99\n2,,,,,\n";
    let found = read_all(&dictionary(), Style { types: false, ..style() }, &[body], 5).unwrap();
    for (name, value) in [("age", "1e5"), ("born", "2023-02-29"), ("smokes", "UNK"), ("sex", "9"), ("weight", "-99")] {
        assert_eq!(texts(&found.table, name), some(&[value, ""]), "{name}");
    }
    assert_eq!(problems(&found), vec![]);
    let body = b"id,age,sex\n1,2,3\n";
    let style = Style { types: false, choices: Choices::Factor, ..style() };
    let found = read_all(&dictionary(), style, &[body], 5).unwrap();
    assert_eq!(texts(&found.table, "sex"), some(&["diverse, or other"]));
}

#[test]
fn latin1_is_repaired_cell_by_cell_and_counted() {
    let found = read(b"id,note,age\nM\xfcller,\xe4 \xc3\xa4,\xff\n2,\xc3\xa4,1\n3,\x80,2\n");
    assert_eq!(texts(&found.table, "id"), some(&["Müller", "2", "3"]));
    assert_eq!(texts(&found.table, "note"), some(&["ä ä", "ä", "€"]));
    assert_eq!((problems(&found), found.repaired), (vec![problem("Müller", "age", "ÿ")], 3));
}

#[test]
fn a_nul_is_a_problem_that_is_shown() {
    let found = read(b"id,note,age,sex\n1,a\0b,4\0,\0\n\x00,x,1,1\n");
    assert_eq!(texts(&found.table, "note"), some(&["", "x"]));
    assert_eq!(texts(&found.table, "id"), some(&["1", ""]));
    assert_eq!(
        problems(&found),
        [
            problem("1", "note", "a\\0b"),
            problem("1", "age", "4\\0"),
            problem("1", "sex", "\\0"),
            problem("(missing)", "id", "\\0")
        ]
    );
    // In a header too.
    assert_eq!(read(b"id,a\0b\n1,2\n").table.columns[1].0, "a\\0b");
}

#[test]
fn empty_answers_have_no_rows_and_a_header_alone_has_typed_columns() {
    for empty in ["", "\n", "\r\n", "\u{feff}", "\u{feff}\n", "\n\n"] {
        assert_eq!(read(empty.as_bytes()).table, Table::default(), "{empty:?}");
    }
    let found = read("\u{feff}id,age,born\r\n".as_bytes());
    let expected = [
        ("id".to_owned(), Column::text::<&str>([])),
        ("age".to_owned(), Column::Int(Vec::new())),
        ("born".to_owned(), Column::Date(Vec::new())),
    ];
    assert_eq!(found.table.columns, expected);
}

#[test]
fn a_blank_line_is_a_row_of_a_table_of_one_column_and_nothing_in_others() {
    assert_eq!(texts(&read(b"note\na\n\nb\n\"\"\n").table, "note"), some(&["a", "", "b", ""]));
    assert_eq!(texts(&read(b"\nid,note\n1,a\n\n2,b\n\n").table, "note"), some(&["a", "b"]));
}

#[test]
fn columns_may_have_the_same_name() {
    let found = read(b"id,Complete?,Complete?\n1,a,b\n");
    let names: Vec<_> = found.table.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["id", "Complete?", "Complete?"]);
    assert_eq!(found.table.columns[1].1.text_at(0), Some("a"));
    assert_eq!(found.table.columns[2].1.text_at(0), Some("b"));
}

#[test]
fn five_thousand_columns_are_no_trouble() {
    let names: Vec<String> = (0..5000).map(|n| if n == 0 { "id".to_owned() } else { format!("c{n}") }).collect();
    let row = |r: usize| (0..5000).map(|n| (n * r).to_string()).collect::<Vec<_>>().join(",");
    let body = format!("{}\n{}\n{}\n", names.join(","), row(1), row(2));
    let found = read_all(&dictionary(), style(), &[body.as_bytes()], 1000).unwrap();
    assert_eq!(found.table.columns.len(), 5000);
    assert_eq!(texts(&found.table, "c4999"), some(&["4999", "9998"]));
}

#[test]
fn a_line_with_too_few_or_too_many_cells_is_an_error_that_names_the_row() {
    for (body, row) in [
        (&b"id,age\n1,2\n3\n"[..], "row 2 of the answer has 1 cells where the header has 2"),
        (b"id,age\n1,2,3\n", "row 1 of the answer has 3 cells where the header has 2"),
        (b"id,age\n1,2\n3,4,\n", "row 2 of the answer has 3 cells where the header has 2"),
        (b"note\na,b\n", "row 1 of the answer has 2 cells where the header has 1"),
    ] {
        let error = fails(body);
        assert_eq!((error.kind, error.message.as_str()), (Kind::NotRedcap, row));
    }
}

#[test]
fn a_body_that_is_cut_short_is_an_error_and_never_a_shorter_table() {
    let whole = b"id,age,note\n1,22,\"a\"\n2,33,b\n";
    for end in 1..whole.len() {
        let cut = &whole[..end];
        if cut.ends_with(b"\n") {
            continue;
        }
        let error = fails(cut);
        assert_eq!(error.kind, Kind::Connection, "{end}");
        assert!(error.message.contains("cut short"), "{}", error.message);
    }
    assert!(fails(b"id,age\n1,2\n3,").message.ends_with("it ends in the middle of row 2"));
    assert!(fails(b"id,ag").message.ends_with("it ends in its header"));
}

#[test]
fn text_behind_a_quote_names_row_and_column() {
    let error = fails(b"id,note\n1,\"a\"\n2,\"b\"c\"\n");
    assert!(error.kind == Kind::NotRedcap && error.message.contains("row 2, `note`"), "{}", error.message);
}

#[test]
fn what_has_no_known_column_is_no_export_and_not_shown() {
    let error = fails(b"Could not connect as 'redcap' with password 'hunter2'\nx\n");
    assert!(error.kind == Kind::NotRedcap && !format!("{error:?}").contains("hunter2"));
}

#[test]
fn bodies_follow_each_other_with_one_header() {
    let dictionary = dictionary();
    let bodies: [&[u8]; 4] = [b"\n", b"id,age\n1,x\n", b"", b"\xef\xbb\xbfid,age\n2,5\n3,y\n"];
    let found = read_all(&dictionary, style(), &bodies, 3).unwrap();
    assert_eq!(texts(&found.table, "id"), some(&["1", "2", "3"]));
    assert_eq!(column(&found.table, "age"), &Column::int([None, Some(5), None]));
    assert_eq!(problems(&found), [problem("1", "age", "x"), problem("3", "age", "y")]);
    let other: [&[u8]; 2] = [b"id,age\n1,2\n", b"id,note\n1,2\n"];
    let Err(error) = read_all(&dictionary, style(), &other, 3) else { panic!("two headers") };
    assert_eq!(error.kind, Kind::Redcap);
}

#[test]
fn going_back_leaves_nothing_of_a_body_that_failed() {
    let dictionary = dictionary();
    let header = "id,age,weight,born,seen,smokes,sex,grade,note,visit_timestamp\n";
    let good = format!("{header}1,4,4.5,2020-01-01,2020-01-01 10:00,1,1,A,a\u{e4},\n");
    let bad = format!("{header}2,x,x,x,x,x,x,x,x,x\n3,5,5.5,2020-01-02,2020-01-01 11:00,0,2,B,");
    let bad = [bad.as_bytes(), b"\xe4,\n4,4"].concat();
    let mut target = Body::new(TableBuilder::new(&dictionary, style()));
    target.keep();
    target.take(&mut Reader::new(), good.as_bytes()).unwrap();
    target.keep();
    let mut reader = Reader::new();
    target.take(&mut reader, &bad).unwrap();
    assert!(!reader.is_complete() && target.rows() == 3);
    target.back().unwrap();
    assert_eq!(target.rows(), 1);
    target.take(&mut Reader::new(), good.as_bytes()).unwrap();
    let found = target.cells.finish();
    assert!(found.table.columns.iter().all(|(_, column)| column.len() == 2));
    assert_eq!(texts(&found.table, "id"), some(&["1", "1"]));
    assert_eq!((problems(&found), found.repaired), (vec![], 0));
}
