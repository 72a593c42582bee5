//! The seal is in the types: what must not compile does not, and its twin, which differs in the one line
//! that matters, does. And the places that make or spend a secret are those that the map names.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn what_must_not_compile_does_not_and_its_twin_does() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/seal/twin_*.rs");
    cases.compile_fail("tests/seal/fail_*.rs");
}

#[test]
fn a_secret_is_made_in_store_and_spent_in_redcap_and_store() {
    let mut sites: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    visit(&src, &mut |path, text| {
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for what in ["Secret::seal(", ".write_into(", ".write_plain_into(", "expose_secret()"] {
            if text.contains(what) {
                let name = path.strip_prefix(&src).unwrap().display().to_string();
                sites.entry(what).or_default().push(name);
            }
        }
    });
    for files in sites.values_mut() {
        files.sort();
    }
    let made = &sites["Secret::seal("];
    assert!(made.iter().all(|file| file.starts_with("store/")), "secrets are made in {made:?}");
    assert_eq!(sites[".write_into("], ["redcap/request.rs"]);
    assert_eq!(sites[".write_plain_into("], ["redcap/request.rs"]);
    assert_eq!(sites["expose_secret()"], ["token/secret.rs"]);
}

fn visit(folder: &Path, with: &mut impl FnMut(&Path, String)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, with);
        } else if path.extension().is_some_and(|e| e == "rs") && path.file_name().is_some_and(|n| n != "tests.rs") {
            with(&path, std::fs::read_to_string(&path).unwrap());
        }
    }
}
