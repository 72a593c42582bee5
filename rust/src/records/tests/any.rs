//! Any call: what its answer becomes, and what of it is left when it fails.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::kit::{Say, Server, TOKEN, World, texts};
use crate::ctx::Event;
use crate::error::{Kind, Result};
use crate::records::{Got, answer};
use crate::redcap::{Ask, Parameter, Plan, Shape};

/// A whole answer with a head of its own.
fn whole(headers: &str, body: &[u8]) -> Say {
    let head = format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    Say::Raw([head.as_bytes(), body].concat())
}

fn plan(content: &str, parameters: &[(&str, &str)], shape: Option<Shape>, to: Option<&Path>) -> Plan {
    let parameters =
        parameters.iter().map(|(name, value)| ((*name).to_owned(), Parameter::from(*value))).collect::<Vec<_>>();
    let (content, to) = (content.to_owned(), to.map(Path::to_owned));
    Plan::new(Ask { content, parameters, shape, to, file: None }).unwrap()
}

async fn ask(world: &World, server: &Server, plan: Plan) -> Result<Got> {
    let project = world.project(&server.uri);
    let mut operation = world.operation(&project);
    let got = answer(&world.ctx, &mut operation, plan).await;
    operation.finish().await.unwrap();
    got
}

/// What one answer to one call becomes.
async fn once(say: impl Fn() -> Say + Send + Sync + 'static, plan: Plan) -> (Result<Got>, World) {
    let server = Server::start(move |_, _| say());
    let world = World::new();
    let got = ask(&world, &server, plan).await;
    (got, world)
}

fn warnings(world: &World) -> Vec<String> {
    let events = world.events.lock().unwrap();
    let texts = events.iter().filter_map(|event| match event {
        Event::Warning(text) => Some(text.clone()),
        _ => None,
    });
    texts.collect()
}

/// The names of the files in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn path(got: Result<Got>) -> PathBuf {
    match got.unwrap() {
        Got::File(path) => path,
        other => panic!("{other:?}"),
    }
}

fn text(got: Result<Got>) -> String {
    match got.unwrap() {
        Got::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn rows_become_a_table_of_texts_where_blank_is_missing() {
    let body = b"username,code\nu\xc3\xa4,1e5\n,007\nM\xfcller,\"a,\r\nb\"\n";
    let (got, world) = once(|| whole("", body), plan("user", &[], None, None)).await;
    let Got::Table(table) = got.unwrap() else { panic!() };
    assert_eq!(texts(&table, "username"), ["uä", "", "Müller"]);
    assert_eq!(texts(&table, "code"), ["1e5", "007", "a,\r\nb"]);
    assert_eq!(table.columns[0].1.text_at(1), None);
    let [warning] = &warnings(&world)[..] else { panic!() };
    assert!(warning.starts_with("1 cell was not UTF-8"), "{warning}");
}

#[tokio::test]
async fn an_answer_without_rows_is_a_table_without_columns() {
    for body in [&b""[..], b"\n", b"\r\n", b"\xef\xbb\xbf"] {
        let (got, _) = once(move || whole("", body), plan("dag", &[], None, None)).await;
        let Got::Table(table) = got.unwrap() else { panic!() };
        assert!(table.columns.is_empty(), "{body:?}");
    }
}

#[tokio::test]
async fn what_is_no_table_of_this_content_is_not_shown_in_any_shape() {
    let folder = tempfile::tempdir().unwrap();
    let complaint = "Could not connect as 'redcap_user' with 'hunter2'";
    let to = folder.path().join("to");
    for (parameters, content) in [(vec![], "record"), (vec![], "user"), (vec![("csvDelimiter", ";")], "record")] {
        for (shape, to) in [(Shape::Table, None), (Shape::Text, None), (Shape::File, Some(to.as_path()))] {
            if shape == Shape::Table && !parameters.is_empty() {
                continue;
            }
            let (got, _) = once(|| whole("", complaint.as_bytes()), plan(content, &parameters, Some(shape), to)).await;
            let error = got.unwrap_err();
            // Without its line's end it is cut short; with it, it is no header.
            assert!(matches!(error.kind, Kind::NotRedcap | Kind::Connection), "{error:?}");
            let line = format!("{complaint}\n");
            let (got, _) = once(move || whole("", line.as_bytes()), plan(content, &parameters, Some(shape), to)).await;
            let other = got.unwrap_err();
            assert_eq!(other.kind, Kind::NotRedcap);
            assert!(!format!("{error:?}{other:?}").contains("hunter2"));
            assert!(names(folder.path()).is_empty());
        }
    }
    let (got, _) = once(|| whole("", complaint.as_bytes()), plan("pdf", &[], None, Some(folder.path()))).await;
    assert_eq!(got.unwrap_err().kind, Kind::NotRedcap);
    assert!(names(folder.path()).is_empty());
}

#[tokio::test]
async fn a_text_comes_as_it_is_in_each_format_and_a_bare_one_without_its_line_break() {
    let json = "[{\"a\":\"b\\n\"}]\n";
    let (got, _) =
        once(|| whole("", json.as_bytes()), plan("user", &[("format", "json")], Some(Shape::Text), None)).await;
    assert_eq!(text(got), json);
    let csv = "username,b\r\nx,\"y\r\nz\"\r\n";
    let (got, _) = once(|| whole("", csv.as_bytes()), plan("user", &[], Some(Shape::Text), None)).await;
    assert_eq!(text(got), csv);
    let (got, _) =
        once(|| whole("", b"a;b\n1,5;2\n"), plan("record", &[("csvDelimiter", ";")], Some(Shape::Text), None)).await;
    assert_eq!(text(got), "a;b\n1,5;2\n");
    let (got, _) = once(|| whole("", b"\xef\xbb\xbf101-7\n"), plan("generateNextRecordName", &[], None, None)).await;
    assert_eq!(text(got), "101-7");
    let (got, world) = once(|| whole("", b"K\xf6ln\n"), plan("surveyLink", &[], None, None)).await;
    assert_eq!((text(got).as_str(), warnings(&world).len()), ("Köln", 1));
    let (got, _) = once(|| whole("", b""), plan("file", &[("action", "delete")], None, None)).await;
    assert_eq!(text(got), "");
}

#[tokio::test]
async fn what_is_no_text_is_refused_as_one() {
    let bytes = "Content-Type: application/pdf; name=\"a.pdf\"\r\n";
    for (content, headers, body) in [
        ("user", "", &b"username\na\0b\n"[..]),
        ("surveyLink", "", b"a\0b"),
        ("pdf", bytes, b"%PDF\0"),
        ("pdf", bytes, b"%PDF\xff"),
    ] {
        let (got, _) = once(move || whole(headers, body), plan(content, &[], Some(Shape::Text), None)).await;
        let error = got.unwrap_err();
        assert_eq!(error.kind, Kind::NotRedcap);
        assert!(error.hints[0].contains("as = \"file\""), "{error:?}");
    }
    let (got, _) = once(|| whole("", b"username\na\0b\n"), plan("user", &[], None, None)).await;
    assert!(got.unwrap_err().message.contains("NUL"));
}

#[tokio::test]
async fn a_file_gets_the_servers_name_made_safe_and_every_byte() {
    let body: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    for (headers, name) in [
        ("Content-Type: application/pdf; name=\"a b.pdf\"\r\n", "a b.pdf"),
        ("Content-Disposition: attachment; filename=\"../../x.pdf\"\r\n", "x.pdf"),
        ("Content-Type: a/b; name=\".profile\"\r\n", "profile"),
        ("Content-Type: a/b; name=\"CON.txt\"\r\n", "_CON.txt"),
        ("Content-Type: a/b; name=\"..\"\r\n", "redcap_pdf"),
        ("Content-Type: a/b\r\n", "redcap_pdf"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let sent = body.clone();
        let (got, _) = once(move || whole(headers, &sent), plan("pdf", &[], None, Some(folder.path()))).await;
        assert_eq!(path(got), folder.path().join(name));
        assert_eq!(names(folder.path()), [name]);
        assert_eq!(std::fs::read(folder.path().join(name)).unwrap(), body);
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            assert_eq!(folder.path().join(name).metadata().unwrap().mode() & 0o777, 0o600);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("mine.bin");
    let headers = "Content-Type: text/html; name=\"page.html\"\r\n";
    // A page that somebody uploaded is a file and no error.
    let (got, _) = once(move || whole(headers, b"<html>ERROR: x"), plan("pdf", &[], None, Some(&to))).await;
    assert_eq!((path(got), names(folder.path())), (folder.path().join("mine.bin"), vec!["mine.bin".to_owned()]));
}

#[tokio::test]
async fn a_table_goes_to_a_file_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let body = "\u{feff}username,b\r\nx,\"y\n\"\r\n";
    let (got, _) = once(|| whole("", body.as_bytes()), plan("user", &[], None, Some(folder.path()))).await;
    assert_eq!(std::fs::read(path(got)).unwrap(), body.as_bytes());
    assert_eq!(names(folder.path()), ["redcap_user.csv"]);
}

#[tokio::test]
async fn nothing_is_written_over() {
    let headers = "Content-Type: a/b; name=\"there\"\r\n";
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("there");
    std::fs::write(&there, "precious").unwrap();
    for to in [there.as_path(), folder.path()] {
        let (got, world) = once(move || whole(headers, b"new"), plan("pdf", &[], None, Some(to))).await;
        let error = got.unwrap_err();
        assert_eq!(error.kind, Kind::File);
        assert!(error.message.contains("there"), "{error:?}");
        // What is in the way from the beginning costs no call.
        assert_eq!(world.outcomes().len(), usize::from(to.is_dir()));
        assert_eq!(
            (names(folder.path()), std::fs::read(&there).unwrap()),
            (vec!["there".to_owned()], b"precious".to_vec())
        );
    }
    #[cfg(unix)]
    {
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("absent"), &link).unwrap();
        let (got, _) = once(move || whole(headers, b"new"), plan("pdf", &[], None, Some(&link))).await;
        assert_eq!(got.unwrap_err().kind, Kind::File);
    }
    // Somebody takes the name while the file is coming.
    let late = folder.path().join("late");
    let taken = late.clone();
    let (got, _) = once(
        move || {
            std::fs::write(&taken, "precious").unwrap();
            whole(headers, b"new")
        },
        plan("pdf", &[], None, Some(&late)),
    )
    .await;
    assert_eq!(got.unwrap_err().kind, Kind::File);
    assert_eq!(std::fs::read(&late).unwrap(), b"precious");
    assert!(!names(folder.path()).iter().any(|name| name.ends_with(".partial")));
}

#[tokio::test]
async fn a_file_with_the_token_in_it_is_withheld_and_nothing_of_it_stays() {
    let folder = tempfile::tempdir().unwrap();
    let headers = "HTTP/1.1 200 X\r\nContent-Type: application/pdf; name=\"a.pdf\"\r\nConnection: close\r\n\r\n";
    let token = TOKEN.to_lowercase();
    let bytes = move || {
        let begin = [headers.as_bytes(), &vec![0xff; 100_000], &token.as_bytes()[..20]].concat();
        Say::Raw([&begin[..], &token.as_bytes()[20..], &vec![0; 100_000]].concat())
    };
    let (got, world) = once(bytes, plan("pdf", &[], None, Some(folder.path()))).await;
    assert_eq!(got.unwrap_err().kind, Kind::TokenEcho);
    assert!(names(folder.path()).is_empty());
    assert_eq!(world.outcomes(), ["token_echo"]);
}

#[tokio::test]
async fn no_part_of_the_token_gets_into_the_name_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let headers = format!("Content-Type: application/pdf; name=\"x{}.pdf\"\r\n", &TOKEN[4..20]);
    let (got, _) = once(move || whole(&headers, b"%PDF"), plan("pdf", &[], None, Some(folder.path()))).await;
    assert_eq!(path(got).file_name().unwrap(), "x[token].pdf");
}

#[tokio::test]
async fn a_file_that_breaks_off_leaves_nothing_and_a_second_try_begins_anew() {
    let headers = "HTTP/1.1 200 X\r\nContent-Type: a/b; name=\"a.bin\"\r\n";
    let cut = move || Say::Raw([format!("{headers}Content-Length: 100000\r\n\r\n").as_bytes(), &[7; 5000]].concat());
    let folder = tempfile::tempdir().unwrap();
    let (got, _) = once(cut, plan("pdf", &[], None, Some(folder.path()))).await;
    assert_eq!(got.unwrap_err().kind, Kind::Connection);
    assert!(names(folder.path()).is_empty());

    let server =
        Server::start(move |_, n| if n == 0 { cut() } else { whole("Content-Type: a/b; name=\"b.bin\"\r\n", b"good") });
    let mut world = World::new();
    world.ctx.settings.retries = 1;
    let got = ask(&world, &server, plan("pdf", &[], None, Some(folder.path()))).await;
    assert_eq!(std::fs::read(path(got)).unwrap(), b"good");
    assert_eq!(names(folder.path()), ["b.bin"]);
}

#[tokio::test]
async fn an_interrupted_download_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let slowly = || {
        let piece = "somebody\n".repeat(1000).into_bytes();
        Say::Slowly([vec![b"username\n".to_vec()], vec![piece; 200]].concat(), Duration::from_millis(20))
    };
    let server = Server::start(move |_, _| slowly());
    let world = World::new();
    let asking = ask(&world, &server, plan("user", &[], None, Some(folder.path())));
    let until = async {
        while names(folder.path()).is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        names(folder.path())
    };
    let seen = tokio::select! {
        got = asking => panic!("{got:?}"),
        names = until => names,
    };
    assert_eq!(seen, ["redcap_user.csv.partial"]);
    assert!(names(folder.path()).is_empty());
    assert_eq!(world.outcomes().last().map(String::as_str), Some("interrupted"));
}

#[tokio::test]
async fn what_may_write_is_sent_once_and_what_reads_again() {
    for (content, action, tries) in [("record", "delete", 1), ("unheard_of", "", 1), ("surveyLink", "", 3)] {
        let server = Server::start(|_, _| Say::Body(503, Vec::new()));
        let mut world = World::new();
        world.ctx.settings.retries = 2;
        let parameters = [("action", action)];
        let parameters = if action.is_empty() { &[][..] } else { &parameters };
        let error = ask(&world, &server, plan(content, parameters, None, None)).await.unwrap_err();
        let kind = if tries == 1 { Kind::OutcomeUnknown } else { Kind::Server };
        assert_eq!((error.kind, server.asked.lock().unwrap().len()), (kind, tries), "{content}");
    }
}

#[tokio::test]
async fn what_cannot_be_sent_along_is_no_call() {
    let folder = tempfile::tempdir().unwrap();
    for file in [folder.path().join("absent"), folder.path().to_owned()] {
        let server = Server::start(|_, _| Say::Body(200, Vec::new()));
        let world = World::new();
        let parameters = vec![("file".to_owned(), Parameter::from("x"))];
        let ask_for = Ask { content: "file".to_owned(), parameters, file: Some(file), ..Ask::default() };
        let error = ask(&world, &server, Plan::new(ask_for).unwrap()).await.unwrap_err();
        assert_eq!((error.kind, world.outcomes().len()), (Kind::File, 0));
    }
}
