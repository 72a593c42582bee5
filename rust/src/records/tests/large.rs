//! Downloads so large that a helper thread works them off.

use super::kit::{Say, Server, TOKEN, World, rows, texts, wish};
use crate::error::Kind;

fn ids(count: usize) -> Vec<String> {
    (1..=count).map(|n| n.to_string()).collect()
}

#[tokio::test]
async fn every_row_of_a_large_download_comes_in_its_order() {
    let server = Server::start(|_, _| Say::Body(200, rows(&ids(100_000)).into_bytes()));
    let export = World::new().export(&server.uri, wish()).await.unwrap();
    let table = export.table.unwrap();
    assert_eq!((export.rows, export.bytes), (100_000, rows(&ids(100_000)).len() as u64));
    assert_eq!(texts(&table, "id"), ids(100_000));
    assert_eq!(texts(&table, "note")[99_999], "note of 100000");
}

#[tokio::test]
async fn what_is_wrong_far_behind_the_beginning_is_told_with_its_row_and_leaves_no_file() {
    let broken = rows(&ids(60_000)) + "x,1\n" + &rows(&ids(60_000));
    let server = Server::start(move |_, _| Say::Body(200, broken.clone().into_bytes()));
    let world = World::new();
    for to in [None, Some(world.folder.path().join("out.csv"))] {
        let error = world.export(&server.uri, super::super::Wish { to, ..wish() }).await.unwrap_err();
        assert_eq!(error.kind, Kind::NotRedcap);
        assert!(error.message.starts_with("row 60001 "), "{}", error.message);
    }
    let left = std::fs::read_dir(world.folder.path()).unwrap().map(|file| file.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().contains("out.csv")));
}

#[tokio::test]
async fn a_large_download_that_breaks_off_is_tried_again_from_its_beginning() {
    let server = Server::start(|_, tries| {
        let body = rows(&ids(100_000)).into_bytes();
        if tries > 0 {
            return Say::Body(200, body);
        }
        let head = format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n", body.len());
        Say::Raw([head.as_bytes(), &body[..body.len() / 2]].concat())
    });
    let mut world = World::new();
    world.ctx.settings.retries = 1;
    let export = world.export(&server.uri, wish()).await.unwrap();
    assert_eq!(
        (export.rows, world.outcomes()),
        (100_000, ["ok", "ok", "connection", "ok"].map(str::to_owned).to_vec())
    );
    assert_eq!(texts(&export.table.unwrap(), "id"), ids(100_000));
}

#[tokio::test]
async fn a_token_far_behind_the_beginning_is_found() {
    let body = rows(&ids(100_000)) + &format!("7,1,{}\n", TOKEN.to_lowercase());
    let server = Server::start(move |_, _| Say::Body(200, body.clone().into_bytes()));
    assert_eq!(World::new().export(&server.uri, wish()).await.unwrap_err().kind, Kind::TokenEcho);
}
