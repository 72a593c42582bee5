//! The sandbox as its clients see it. These tests speak raw HTTP with code of their own, so that neither a
//! fault of the client nor one of the server's parser can hide behind its twin.
// Commands are passed as `json!(…)`: a reference in front of each would say nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value)]

mod admin;
mod child;
mod contents;
mod deletions;
mod documents;
mod errors;
mod faults;
mod files;
mod filters;
mod generated;
mod imports;
mod long;
mod methods;
mod records;
mod rights;
mod serving;
mod site;

/// For the tests of other rooms that need a real sandbox.
#[allow(unused_imports)]
pub(crate) use child::program;
use site::{Site, field};

/// The rule of this room: it shares no code with the client.
#[test]
fn the_sandbox_uses_nothing_of_the_client() {
    fn files(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for room in ["src/sandbox", "src/serve"] {
        files(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(room), &mut found);
    }
    assert!(found.len() > 30);
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap();
        for room in ["token", "net", "redcap", "store", "audit", "project"] {
            let import = format!("crate::{room}");
            assert!(!text.contains(&format!("{import}::")), "{} uses {import}", path.display());
            assert!(!text.contains(&format!("use {import};")), "{} uses {import}", path.display());
        }
    }
}
