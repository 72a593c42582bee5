//! Whole exports: batches, failing servers, files, progress, interruption.

use std::path::Path;
use std::time::Duration;

use super::kit::{Asked, Say, Server, TOKEN, World, data, rows, texts, wish};
use crate::ctx::Event;
use crate::error::Kind;
use crate::records::{Choices, Wish};
use crate::value::Column;

const FIREWALL: &str = "<html>forbidden</html>";
const MEMORY: &str = "<br><b>Fatal error</b>{\"error\":\"REDCap ran out of server memory\"}";

fn ids(n: usize) -> Vec<String> {
    (1..=n).map(|n| format!("r{n}")).collect()
}

fn html(status: u16, body: &str) -> Say {
    Say::Body(status, body.as_bytes().to_vec())
}

/// Answers as REDCap does for `n` records: ids alone, some records, or all.
fn project(asked: &Asked, n: usize) -> Say {
    if asked.list("fields") == ["id"] {
        // Two rows a record, as with events.
        let lines = ids(n).iter().map(|id| format!("{id}\n{id}\n")).collect::<Vec<_>>().concat();
        return data(&format!("id\n{lines}"));
    }
    let wanted = asked.list("records");
    data(&rows(&if wanted.is_empty() { ids(n) } else { wanted }))
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("csv"))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_export_is_one_call_and_says_what_it_wants() {
    let server = Server::start(|asked, _| project(asked, 3));
    let world = World::new();
    let wish = Wish {
        fields: vec!["age".into(), "note".into()],
        forms: vec!["f".into()],
        events: vec!["e_arm_1".into()],
        filter_logic: Some("[age] > 3".into()),
        ..wish()
    };
    let export = world.export(&server.uri, wish).await.unwrap();
    let table = export.table.unwrap();
    assert_eq!(texts(&table, "id"), ["r1", "r2", "r3"]);
    assert_eq!(table.columns[1].1, Column::int([Some(2); 3]));
    let body = rows(&ids(3));
    assert_eq!((export.rows, export.bytes, export.repaired), (3, body.len() as u64, 0));
    let asked = server.asked.lock().unwrap();
    assert_eq!(asked.len(), 1);
    let asked = &asked[0];
    for (name, value) in [
        ("content", "record"),
        ("action", "export"),
        ("format", "csv"),
        ("type", "flat"),
        ("rawOrLabel", "raw"),
        ("filterLogic", "[age] > 3"),
        ("fields[0]", "id"),
        ("fields[1]", "age"),
        ("fields[2]", "note"),
        ("forms[0]", "f"),
        ("events[0]", "e_arm_1"),
        ("records[0]", ""),
    ] {
        assert_eq!(asked.get(name), value, "{name}");
    }
    assert_eq!(world.outcomes(), ["ok"; 3]);
}

#[tokio::test]
async fn a_report_is_asked_for_by_its_number_and_may_lack_the_record_id() {
    let server = Server::start(|_, _| data("age,note\n4,a\nUNK,b\n"));
    let world = World::new();
    let wish = Wish { report: Some("117".into()), ..wish() };
    let export = world.export(&server.uri, wish).await.unwrap();
    let table = export.table.unwrap();
    assert_eq!(table.columns[0].1, Column::int([Some(4), None]));
    assert_eq!(texts(&table, "note"), ["a", "b"]);
    let problems: Vec<_> = export.problems.columns.iter().map(|(_, column)| column.text_at(0)).collect();
    assert_eq!((export.record_id.as_str(), problems), ("id", vec![None, Some("age"), Some("UNK")]));
    let asked = server.asked.lock().unwrap();
    let fields = [("content", "report"), ("report_id", "117"), ("format", "csv"), ("rawOrLabel", "raw"), ("type", "")];
    for (name, value) in fields {
        assert_eq!(asked[0].get(name), value, "{name}");
    }
}

#[tokio::test]
async fn a_report_that_is_too_large_is_an_error_since_it_cannot_be_had_in_parts() {
    let server = Server::start(|_, _| html(200, MEMORY));
    let world = World::new();
    for batch_size in [None, Some(2)] {
        let wish = Wish { report: Some("117".into()), batch_size, ..wish() };
        let error = world.export(&server.uri, wish).await.unwrap_err();
        assert!(error.message.contains("memory"), "{}", error.message);
    }
    assert!(server.asked.lock().unwrap().iter().all(|asked| asked.get("content") == "report"));
    assert_eq!(world.notes(), [""; 0]);
}

#[tokio::test]
async fn without_rows_there_is_a_table_without_columns() {
    let server = Server::start(|_, _| data("\n"));
    let export = World::new().export(&server.uri, wish()).await.unwrap();
    assert_eq!((export.table.unwrap().columns.len(), export.rows), (0, 0));
}

#[tokio::test]
async fn batches_bring_what_one_call_brings_with_ids_that_stay_text() {
    let odd: Vec<String> = ["1e+05", "0007", "7", "a,b", "ä \"x\""].map(str::to_owned).into();
    let all = odd.clone();
    let server = Server::start(move |asked, _| {
        if asked.list("fields") == ["id"] {
            return data("id\n1e+05\n0007\n7\n\"a,b\"\n\"ä \"\"x\"\"\"\n");
        }
        let wanted = asked.list("records");
        let wanted = if wanted.is_empty() { all.clone() } else { wanted };
        let lines = wanted.iter().map(|id| format!("\"{}\",{},x\n", id.replace('"', "\"\""), id.len()));
        data(&format!("id,age,note\n{}", lines.collect::<Vec<_>>().concat()))
    });
    let world = World::new();
    let whole = world.export(&server.uri, wish()).await.unwrap();
    for size in [1, 2, 5, 100] {
        server.asked.lock().unwrap().clear();
        let batches = world.export(&server.uri, Wish { batch_size: Some(size), ..wish() }).await.unwrap();
        let asked = server.records();
        assert_eq!(asked[0], Vec::<String>::new());
        assert_eq!(asked[1..].concat(), odd);
        assert!(asked[1..].iter().all(|batch| batch.len() <= size) && asked.len() == 1 + 5_usize.div_ceil(size));
        assert_eq!(batches.rows, 5);
        let (one, other) = (whole.table.as_ref().unwrap(), batches.table.unwrap());
        for name in ["id", "note"] {
            assert_eq!(texts(one, name), texts(&other, name));
        }
        assert_eq!(one.columns[1], other.columns[1]);
    }
}

#[tokio::test]
#[cfg(unix)]
async fn an_export_of_two_hundred_batches_is_one_look_up() {
    let ids: Vec<String> = (1..=200).map(|id| id.to_string()).collect();
    let server = Server::start(move |asked, _| match asked.list("records") {
        all if all.is_empty() => data(&format!("id\n{}\n", ids.join("\n"))),
        some => data(&rows(&some)),
    });
    let mut world = World::new();
    let asked = world.folder.path().join("asked");
    let script = format!("echo >> '{}'; echo {TOKEN}", asked.display());
    let text = format!("[command]\nprogram = \"sh\"\narguments = [\"-c\", {script:?}, \"{{token_name}}\"]\n");
    world.ctx.settings.order = vec!["command".into()];
    world.ctx.settings.stores.command = crate::project::Settings::of_site(&text).unwrap().stores.command;
    world.ctx.env = world.ctx.env.clone().for_stores(&world.ctx.settings, &world.ctx.net, &[]);
    let export = world.export(&server.uri, Wish { batch_size: Some(1), ..wish() }).await.unwrap();
    assert_eq!((export.rows, server.asked.lock().unwrap().len()), (200, 201));
    assert_eq!(std::fs::read_to_string(&asked).unwrap().lines().count(), 1);
}

#[tokio::test]
async fn batches_of_named_records_ask_for_these_alone_in_the_servers_order() {
    let server = Server::start(|asked, _| project(asked, 9));
    let world = World::new();
    let records = ["r7", "r2", "none", "r5"].map(str::to_owned).into();
    let wish = Wish { batch_size: Some(2), records, ..wish() };
    let export = world.export(&server.uri, wish).await.unwrap();
    assert_eq!(texts(&export.table.unwrap(), "id"), ["r2", "r5", "r7"]);
    assert_eq!(server.records(), [vec![], vec!["r2".to_owned(), "r5".to_owned()], vec!["r7".to_owned()]]);
}

#[tokio::test]
async fn a_server_without_memory_is_asked_in_ever_smaller_batches() {
    for status in [200, 500] {
        let server = Server::start(move |asked, _| {
            let records = asked.list("records").len();
            if asked.list("fields").is_empty() && (records == 0 || records > 300) {
                return html(status, MEMORY);
            }
            project(asked, 1200)
        });
        let mut world = World::new();
        // A retry of the same request would only run out of memory again.
        world.ctx.settings.retries = 5;
        let export = world.export(&server.uri, wish()).await.unwrap();
        assert_eq!(texts(&export.table.unwrap(), "id"), ids(1200));
        assert_eq!(export.rows, 1200);
        let sizes: Vec<_> = server.records().iter().map(Vec::len).collect();
        assert_eq!(sizes, [0, 0, 500, 250, 250, 250, 250, 200]);
        let notes = world.notes();
        assert!(notes.len() == 2 && notes[0].ends_with("; going on in batches of 500 records"), "{notes:?}");
    }
}

#[tokio::test]
async fn a_server_that_runs_out_of_memory_in_the_middle_of_the_data_is_asked_in_batches() {
    for end in [MEMORY, "<b>Fatal error</b>: Allowed memory size of 99 bytes exhausted in x.php\n"] {
        let server = Server::start(move |asked, n| {
            if n == 0 {
                return Say::Body(200, [rows(&ids(400)).as_bytes(), b"r401,4", end.as_bytes()].concat());
            }
            project(asked, 1200)
        });
        let world = World::new();
        let export = world.export(&server.uri, wish()).await.unwrap();
        assert_eq!(texts(&export.table.unwrap(), "id"), ids(1200));
        assert_eq!(world.outcomes()[2], "server");
    }
}

#[tokio::test]
async fn a_firewall_that_objects_to_long_lists_is_asked_in_batches() {
    let server = Server::start(|asked, _| {
        if asked.list("records").len() > 100 {
            return html(403, FIREWALL);
        }
        project(asked, 2000)
    });
    let world = World::new();
    let wanted: Vec<String> = (1..=500).map(|n| format!("r{}", n * 2)).collect();
    let export = world.export(&server.uri, Wish { records: wanted.clone(), ..wish() }).await.unwrap();
    assert_eq!(texts(&export.table.unwrap(), "id"), wanted);
    // Without a list it is no matter of length.
    let server = Server::start(|_, _| html(403, FIREWALL));
    let error = world.export(&server.uri, wish()).await.unwrap_err();
    assert_eq!((error.kind, server.records().len()), (Kind::NotRedcap, 1));
}

#[tokio::test]
async fn a_single_record_that_is_too_large_ends_it() {
    let server =
        Server::start(|asked, _| if asked.list("fields") == ["id"] { project(asked, 4) } else { html(200, MEMORY) });
    let world = World::new();
    let error = world.export(&server.uri, Wish { batch_size: Some(4), ..wish() }).await.unwrap_err();
    assert_eq!(error.kind, Kind::Server);
    let sizes: Vec<_> = server.records().iter().map(Vec::len).collect();
    assert_eq!(sizes, [0, 4, 2, 1]);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_and_no_shorter_table() {
    let whole = rows(&ids(50));
    for end in [whole.len() - 1, whole.len() / 2, 5] {
        let cut = whole.as_bytes()[..end].to_vec();
        // The connection ends as if this were all.
        let server = Server::start(move |_, _| Say::Slowly(vec![cut.clone()], Duration::ZERO));
        let world = World::new();
        let to = world.folder.path().join("x.csv");
        for to in [None, Some(to)] {
            let error = world.export(&server.uri, Wish { to, ..wish() }).await.unwrap_err();
            assert!(error.kind == Kind::Connection && error.message.contains("cut short"), "{}", error.message);
        }
        assert_eq!(world.outcomes(), ["ok", "ok", "connection", "ok", "ok", "connection"]);
        assert_eq!(files(world.folder.path()), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_read_that_broke_off_is_made_again_without_traces_of_the_first() {
    let server = Server::start(|asked, n| {
        if n % 2 == 0 {
            // Says that more is to come, and hangs up.
            let body = rows(&ids(30)).replace("note", "\u{e4}").replace(",2,", ",x,");
            let head = format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n", body.len() + 100);
            return Say::Raw([head.as_bytes(), body.as_bytes()].concat());
        }
        project(asked, 40)
    });
    let mut world = World::new();
    world.ctx.settings.retries = 1;
    let export = world.export(&server.uri, wish()).await.unwrap();
    assert_eq!(texts(&export.table.unwrap(), "id"), ids(40));
    assert_eq!((export.rows, export.bytes), (40, rows(&ids(40)).len() as u64));
    assert_eq!((export.problems.columns[0].1.len(), world.notes().len()), (0, 1));
    let to = world.folder.path().join("x.csv");
    let export = world.export(&server.uri, Wish { to: Some(to.clone()), ..wish() }).await.unwrap();
    assert_eq!(std::fs::read_to_string(to).unwrap(), rows(&ids(40)));
    assert_eq!(export.rows, 40);
    assert_eq!(server.records().len(), 4);
}

#[tokio::test]
async fn a_database_error_is_never_shown_nor_written() {
    let server = Server::start(|_, _| data("Could not connect as 'redcap' with 'hunter2'\n"));
    let world = World::new();
    let to = world.folder.path().join("x.csv");
    for to in [None, Some(to)] {
        let error = world.export(&server.uri, Wish { to, ..wish() }).await.unwrap_err();
        assert!(error.kind == Kind::NotRedcap && !format!("{error:?}").contains("hunter2"));
    }
    assert_eq!(files(world.folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn redcaps_own_error_is_an_error() {
    for body in ["ERROR: The value of the parameter \"fields\" is not valid: 'x'", "{\"error\":\"no such field\"}"] {
        let server = Server::start(move |_, _| Say::Body(400, body.as_bytes().to_vec()));
        let error = World::new().export(&server.uri, wish()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Redcap);
    }
}

#[tokio::test]
async fn another_project_behind_the_token_stops_the_export() {
    let server = Server::start(|asked, _| project(asked, 1));
    let world = World::new();
    let mut other = world.project(&server.uri);
    other.project_id = Some("8".into());
    let done = crate::records::export(&world.ctx, &other, world.operation(&other), wish()).await;
    assert_eq!((done.unwrap_err().kind, server.records().len()), (Kind::ProjectChanged, 0));
}

#[tokio::test]
async fn a_file_holds_the_bytes_as_they_were_sent() {
    let body = "\u{feff}id,age,note\r\nr1,x,\"a\r\nb \"\"c\"\"\"\r\nr2,,\r\n";
    let mut bytes = body.as_bytes().to_vec();
    bytes.extend(b"r3,1,\xe4\0\n");
    for size in [1, 10, 1000] {
        let pieces: Vec<Vec<u8>> = bytes.chunks(size).map(<[u8]>::to_vec).collect();
        let server = Server::start(move |_, _| Say::Slowly(pieces.clone(), Duration::from_micros(300)));
        let world = World::new();
        let to = world.folder.path().join("x.csv");
        std::fs::write(&to, "what was there before").unwrap();
        let wish = Wish { to: Some(to.clone()), overwrite: true, ..wish() };
        let export = world.export(&server.uri, wish).await.unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), bytes);
        assert_eq!((export.rows, export.bytes, export.table.is_none()), (3, bytes.len() as u64, true));
        assert_eq!(files(world.folder.path()), ["x.csv"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}

#[tokio::test]
async fn a_file_that_is_there_is_left_alone_unless_it_is_to_be_replaced() {
    let server = Server::start(|asked, _| project(asked, 2));
    let world = World::new();
    let to = world.folder.path().join("x.csv");
    std::fs::write(&to, "mine").unwrap();
    for report in [None, Some("117".to_owned())] {
        let error = world.export(&server.uri, Wish { report, to: Some(to.clone()), ..wish() }).await.unwrap_err();
        assert!(error.kind == Kind::File && format!("{error:?}").contains("overwrite = TRUE"), "{error:?}");
    }
    assert_eq!((std::fs::read_to_string(&to).unwrap().as_str(), server.records().len()), ("mine", 0));
    assert_eq!(world.outcomes(), [""; 0], "nobody was asked");
    assert_eq!(files(world.folder.path()), ["x.csv"]);
    // One that comes in between is left alone too.
    std::fs::remove_file(&to).unwrap();
    let late = to.clone();
    let slow = Server::start(move |asked, _| {
        std::fs::write(&late, "another's").unwrap();
        project(asked, 2)
    });
    let other = World::new();
    let error = other.export(&slow.uri, Wish { to: Some(to.clone()), ..wish() }).await.unwrap_err();
    assert_eq!((error.kind, std::fs::read_to_string(&to).unwrap().as_str()), (Kind::File, "another's"));
    // An export that fails replaces nothing.
    let failing = Server::start(|_, _| html(500, FIREWALL));
    let overwriting = || Wish { to: Some(to.clone()), overwrite: true, ..wish() };
    assert!(other.export(&failing.uri, overwriting()).await.is_err());
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "another's");
    world.export(&server.uri, overwriting()).await.unwrap();
    assert_eq!(std::fs::read_to_string(&to).unwrap(), rows(&ids(2)));
    assert_eq!(files(world.folder.path()), ["x.csv"]);
}

#[tokio::test]
async fn an_empty_answer_for_records_that_were_just_listed_is_an_error_and_no_shorter_table() {
    for batch_size in [Some(2), Some(1), None] {
        let server = Server::start(move |asked, n| {
            let records = asked.list("records");
            if batch_size.is_none() && n == 0 {
                return html(200, MEMORY);
            }
            if records.contains(&"r3".to_owned()) {
                return data("");
            }
            project(asked, 4)
        });
        let world = World::new();
        let to = world.folder.path().join("x.csv");
        for to in [None, Some(to)] {
            server.asked.lock().unwrap().clear();
            let error = world.export(&server.uri, Wish { batch_size, to, ..wish() }).await.unwrap_err();
            assert!(error.kind == Kind::NotRedcap && error.message.contains("empty answer"), "{}", error.message);
            assert_eq!(server.records().last().unwrap(), &["r3"], "it was tried with this one alone");
        }
        assert_eq!(files(world.folder.path()), Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_empty_answer_for_many_records_is_asked_for_in_smaller_batches() {
    let server = Server::start(|asked, _| if asked.list("records").len() > 2 { data("") } else { project(asked, 9) });
    let world = World::new();
    let to = world.folder.path().join("x.csv");
    for to in [None, Some(to)] {
        let wish = Wish { to: to.clone(), batch_size: Some(8), ..wish() };
        let export = world.export(&server.uri, wish).await.unwrap();
        assert_eq!((export.rows, world.notes().len()), (9, 2));
        assert!(world.notes()[0].contains("empty answer for 8 records"), "{:?}", world.notes());
        world.events.lock().unwrap().clear();
        if let Some(to) = to {
            assert_eq!(std::fs::read_to_string(to).unwrap(), rows(&ids(9)));
        }
    }
}

#[tokio::test]
async fn a_listed_record_that_never_came_is_named_in_a_warning() {
    let server = Server::start(|asked, _| {
        let mut wanted = asked.list("records");
        wanted.retain(|id| !["r3", "r4", "r6"].contains(&id.as_str()));
        match wanted.is_empty() {
            true if asked.list("records").is_empty() => project(asked, 7),
            true => data("\n"),
            false => data(&rows(&wanted)),
        }
    });
    let world = World::new();
    let to = world.folder.path().join("x.csv");
    for to in [None, Some(to)] {
        for size in [1, 2, 7] {
            world.events.lock().unwrap().clear();
            let wish = Wish { to: to.clone(), overwrite: true, batch_size: Some(size), ..wish() };
            let export = world.export(&server.uri, wish).await.unwrap();
            let warnings = world.warnings();
            assert_eq!((export.rows, warnings.len()), (4, 1), "{warnings:?}");
            let begin = "3 of 7 records that the server listed did not come: `r3`, `r4`, `r6`; ";
            assert!(warnings[0].starts_with(begin), "{warnings:?}");
        }
    }
}

#[tokio::test]
async fn ids_that_the_project_does_not_have_are_named_in_a_warning() {
    let server = Server::start(|asked, _| {
        let mut wanted = asked.list("records");
        if wanted.is_empty() {
            return project(asked, 3);
        }
        for id in &mut wanted {
            *id = id.trim().to_lowercase();
        }
        wanted.retain(|id| ["r1", "r2", "r3"].contains(&id.as_str()));
        data(&if wanted.is_empty() { "\n".to_owned() } else { rows(&wanted) })
    });
    let world = World::new();
    let to = world.folder.path().join("x.csv");
    let warned = async |wish: Wish| {
        world.events.lock().unwrap().clear();
        world.export(&server.uri, Wish { overwrite: true, ..wish }).await.unwrap();
        world.warnings()
    };
    for to in [None, Some(to)] {
        for batch_size in [None, Some(1), Some(9)] {
            let asks = |ids: &[&str]| {
                let records = ids.iter().map(|id| (*id).to_owned()).collect();
                Wish { to: to.clone(), batch_size, records, ..wish() }
            };
            let warnings = warned(asks(&["r1", "no", "r3", "neither"])).await;
            let begin = "2 of 4 records asked for did not come: `no`, `neither`; ";
            assert!(warnings.len() == 1 && warnings[0].starts_with(begin), "{warnings:?}");
            let warnings = warned(asks(&["nobody"])).await;
            assert!(warnings.len() == 1 && warnings[0].starts_with("1 of 1 record asked for"), "{warnings:?}");
            // As the server's database compares them.
            assert!(warned(asks(&["R1 ", "r2"])).await.is_empty());
            // A filter may leave records out.
            let filtered = Wish { filter_logic: Some("[age] > 3".into()), ..asks(&["r1", "no"]) };
            assert!(warned(filtered).await.is_empty());
        }
    }
}

#[tokio::test]
async fn records_without_a_row_in_the_events_are_a_note_and_the_list_of_ids_is_of_all_events() {
    let server = Server::start(|asked, _| {
        if asked.list("fields") == ["id"] {
            assert_eq!(asked.list("events"), [""; 0]);
            return project(asked, 4);
        }
        assert_eq!(asked.list("events"), ["e_arm_1"]);
        data(if asked.list("records")[0] == "r1" { "id,age,note\nr2,2,x\n" } else { "\n" })
    });
    let world = World::new();
    let wish = Wish { events: vec!["e_arm_1".into()], batch_size: Some(2), ..wish() };
    let export = world.export(&server.uri, wish).await.unwrap();
    assert_eq!((texts(&export.table.unwrap(), "id"), world.warnings().len()), (vec!["r2".to_owned()], 0));
    let events = world.events.lock().unwrap();
    let wanted = Event::Note("3 of 4 records in the project brought no row in these events".into());
    assert!(events.contains(&wanted), "{events:?}");
}

#[tokio::test]
async fn a_blank_answer_to_an_export_of_everything_is_noted() {
    let server = Server::start(|_, _| data(""));
    let world = World::new();
    let blank = || {
        let mut events = world.events.lock().unwrap();
        let said =
            events.iter().any(|event| matches!(event, Event::Note(text) if text.starts_with("the answer is blank")));
        events.clear();
        said
    };
    for (wish, noted) in [
        (wish(), true),
        (Wish { fields: vec!["age".into()], ..wish() }, true),
        (Wish { filter_logic: Some("[age] > 100".into()), ..wish() }, false),
        (Wish { records: vec!["none".into()], ..wish() }, false),
        (Wish { events: vec!["e".into()], ..wish() }, false),
        (Wish { report: Some("1".into()), ..wish() }, false),
    ] {
        let asked = format!("{wish:?}");
        world.export(&server.uri, wish).await.unwrap();
        assert_eq!(blank(), noted, "{asked}");
    }
}

#[tokio::test]
async fn a_body_that_the_connection_proves_whole_may_lack_its_last_line_end() {
    let body = "id,age,note\nr1,2,x\nr2,3,\"y\"";
    let chunked = |body: &str| {
        let head = "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n";
        Say::Raw(format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into_bytes())
    };
    for in_chunks in [false, true] {
        let server = Server::start(move |_, _| if in_chunks { chunked(body) } else { data(body) });
        let world = World::new();
        let export = world.export(&server.uri, wish()).await.unwrap();
        assert_eq!(texts(&export.table.unwrap(), "note"), ["x", "y"]);
        assert!(world.warnings()[0].contains("no line end"), "{:?}", world.warnings());
        let to = world.folder.path().join("x.csv");
        let export = world.export(&server.uri, Wish { to: Some(to.clone()), ..wish() }).await.unwrap();
        assert_eq!((export.rows, std::fs::read_to_string(to).unwrap()), (2, format!("{body}\n")));
    }
    // The file is whole, and what it holds is not.
    for end in ["r3", "r3,", "r3,1", "r3,1,\"x", "r3,1,Allowed memory size of 9 bytes exhausted"] {
        for in_chunks in [false, true] {
            let body = format!("{body}\n{end}");
            let server = Server::start(move |_, _| if in_chunks { chunked(&body) } else { data(&body) });
            // Of a report there are no batches.
            let wish = Wish { report: Some("1".into()), ..wish() };
            let error = World::new().export(&server.uri, wish).await.unwrap_err();
            assert!(error.kind == Kind::Connection || error.message.contains("memory"), "{end}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_long_list_of_records_goes_out_in_batches_by_itself() {
    let server = Server::start(|asked, _| project(asked, 1200));
    let world = World::new();
    for batch_size in [None, Some(900)] {
        server.asked.lock().unwrap().clear();
        // As the server's database compares them.
        let records = ids(501).iter().map(|id| id.to_uppercase()).collect();
        let export = world.export(&server.uri, Wish { records, batch_size, ..wish() }).await.unwrap();
        assert_eq!(texts(&export.table.unwrap(), "id"), ids(501));
        assert_eq!(server.records().iter().map(Vec::len).collect::<Vec<_>>(), [0, 500, 1]);
        server.asked.lock().unwrap().clear();
        world.export(&server.uri, Wish { records: ids(500), ..wish() }).await.unwrap();
        assert_eq!(server.records(), [ids(500)]);
    }
}

#[tokio::test]
async fn a_header_that_no_project_has_is_refused_and_not_kept() {
    for header in [format!("id{}", ",a".repeat(100_000)), format!("id,\"{}", "a".repeat(16 << 20))] {
        let body = format!("{header}\n");
        let server = Server::start(move |_, _| data(&body));
        let world = World::new();
        let to = world.folder.path().join("x.csv");
        // Long ones take time in a build for tests.
        for to in [None, Some(to)].into_iter().take(if header.len() > 1 << 20 { 1 } else { 2 }) {
            let error = world.export(&server.uri, Wish { to, ..wish() }).await.unwrap_err();
            assert!(error.kind == Kind::NotRedcap, "{error:?}");
        }
        assert_eq!(files(world.folder.path()), Vec::<String>::new());
    }
    let most: String = (0..99_999).map(|n| format!(",c{n}")).collect::<Vec<_>>().concat();
    let server = Server::start(move |_, _| data(&format!("id{most}\n")));
    assert_eq!(World::new().export(&server.uri, wish()).await.unwrap().table.unwrap().columns.len(), 100_000);
}

#[tokio::test]
async fn batches_in_a_file_have_one_header_also_after_a_failure_on_the_way() {
    let server = Server::start(|asked, _| {
        let records = asked.list("records");
        if records.len() > 3 {
            return Say::Body(200, [rows(&records[..2]).as_bytes(), MEMORY.as_bytes()].concat());
        }
        project(asked, 10)
    });
    let world = World::new();
    let to = world.folder.path().join("x.csv");
    let wish = Wish { to: Some(to.clone()), batch_size: Some(6), choices: Choices::Label, ..wish() };
    let export = world.export(&server.uri, wish).await.unwrap();
    assert_eq!(std::fs::read_to_string(&to).unwrap(), rows(&ids(10)));
    assert_eq!(export.rows, 10);
    assert_eq!(server.asked.lock().unwrap()[1].get("rawOrLabel"), "label");
}

#[tokio::test]
async fn a_file_that_another_export_writes_is_left_alone() {
    let server = Server::start(|asked, _| project(asked, 1));
    let world = World::new();
    let to = world.folder.path().join("x.csv");
    let beside = world.folder.path().join("x.csv.partial");
    std::fs::write(&beside, "another's").unwrap();
    let error = world.export(&server.uri, Wish { to: Some(to), ..wish() }).await.unwrap_err();
    assert_eq!((error.kind, server.records().len()), (Kind::File, 0));
    assert_eq!(std::fs::read_to_string(&beside).unwrap(), "another's");
    let folder = world.folder.path().to_owned();
    let error = world.export(&server.uri, Wish { to: Some(folder), ..wish() }).await.unwrap_err();
    assert_eq!(error.kind, Kind::File);
    let nowhere = world.folder.path().join("none/x.csv");
    let error = world.export(&server.uri, Wish { to: Some(nowhere), ..wish() }).await.unwrap_err();
    assert_eq!(error.kind, Kind::File);
}

#[tokio::test]
async fn an_export_that_is_given_up_leaves_no_file() {
    let server = Server::start(|_, _| {
        let pieces = (0..1000).map(|n| if n == 0 { rows(&ids(5)) } else { format!("r{n},1,x\n") }.into_bytes());
        Say::Slowly(pieces.collect(), Duration::from_millis(10))
    });
    let world = World::new();
    let to = world.folder.path().join("x.csv");
    let export = world.export(&server.uri, Wish { to: Some(to), ..wish() });
    let given_up = async {
        tokio::select! {
            _ = export => panic!("it cannot be done yet"),
            () = async {
                // Until something is in the file.
                while !std::fs::metadata(world.folder.path().join("x.csv.partial")).is_ok_and(|file| file.len() > 0) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            } => {}
        }
    };
    tokio::time::timeout(Duration::from_secs(20), Box::pin(given_up)).await.unwrap();
    assert_eq!(files(world.folder.path()), Vec::<String>::new());
    assert_eq!(world.outcomes().last().map(String::as_str), Some("interrupted"));
}

#[tokio::test]
async fn progress_is_told_at_most_ten_times_a_second_and_only_grows() {
    let server = Server::start(|_, _| {
        let pieces = (0..40).map(|n| if n == 0 { rows(&ids(1)) } else { format!("r{n},1,x\n") }.into_bytes());
        Say::Slowly(pieces.collect(), Duration::from_millis(3))
    });
    // 30 ms pass with each chunk.
    let world = World::new().ticking();
    let export = world.export(&server.uri, wish()).await.unwrap();
    let events = world.events.lock().unwrap();
    let progress: Vec<(u64, u64)> = events
        .iter()
        .filter_map(|event| match event {
            Event::Progress { bytes, rows } => Some((*bytes, *rows)),
            _ => None,
        })
        .collect();
    assert!((2..=10).contains(&progress.len()), "{progress:?}");
    assert!(
        progress.is_sorted() && progress.last().is_some_and(|last| last.0 <= export.bytes && last.1 <= export.rows)
    );
}
