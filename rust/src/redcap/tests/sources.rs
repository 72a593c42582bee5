//! What the sources say of themselves: a token that was found stays in the operation that looked it up.

use std::path::Path;

/// The code of each source file; tests, what fuzzing needs and comments apart.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut sources) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.extend((!path.ends_with("tests")).then_some(path));
            } else if path.extension().is_some_and(|e| e == "rs")
                && !path.ends_with("tests.rs")
                && !path.ends_with("fuzzing.rs")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("\nmod tests {").next().unwrap_or_default();
                let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
                sources.push((path.strip_prefix(&root).unwrap().display().to_string(), code.join("\n")));
            }
        }
    }
    sources
}

/// Whether a file knows the tokens that are found by look-ups. (Others are called so too: addresses, for one.)
fn knows_found(file: &str, code: &str) -> bool {
    let uses =
        |text: &str| text.contains("store::Found") || (text.contains("use crate::store") && has_word(text, "Found"));
    file.starts_with("store/") || code.split(';').any(uses)
}

/// Whether a word stands in a text by itself.
fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|part| part == word)
}

#[test]
fn a_token_that_was_found_is_read_in_the_operation_and_kept_nowhere_else() {
    let sources = sources();
    // Beside the room that finds it: the operation, what is said of a token that is none, what people look at, and the
    // rotation, which asks about a token before a store has it.
    let may = |file: &str| {
        file.starts_with("store/")
            || file.starts_with("redcap/pipeline")
            || [
                "redcap/bound.rs",
                "redcap/missing.rs",
                "border/tokens.rs",
                "border/keep.rs",
                "border/entry.rs",
                "rotation/mod.rs",
            ]
            .contains(&file)
    };
    let strangers: Vec<_> = sources.iter().filter(|(file, code)| knows_found(file, code) && !may(file)).collect();
    assert!(sources.iter().any(|(file, code)| file == "border/tokens.rs" && knows_found(file, code)));
    assert!(strangers.is_empty(), "{:?}", strangers.iter().map(|(file, _)| file).collect::<Vec<_>>());

    // In `redcap` one place keeps it: a field of the operation, which nobody outside can reach.
    let keeps = |code: &str| code.matches(": Option<Found>,").count() + code.matches(": Found,").count();
    let kept: Vec<_> = sources.iter().filter(|(file, code)| file.starts_with("redcap/") && keeps(code) > 0).collect();
    assert_eq!(
        kept.iter().map(|(file, code)| (file.as_str(), keeps(code))).collect::<Vec<_>>(),
        [("redcap/pipeline.rs", 1)]
    );
    let pipeline = &kept[0].1;
    assert!(pipeline.contains("\n    found: Option<Found>,"), "the field is not the operation's own");
    // What it gives away of it: the store's name, the fingerprint, and scrubbed texts; and a token that it was given, which
    // goes back to who gave it.
    let lent = [
        "pub(crate) fn with_token(mut self, found: Found) -> Self {",
        "pub(crate) fn into_token(self) -> Option<Found> {",
    ];
    assert!(
        pipeline.contains("self.found.filter(|_| self.came == Came::Given)"),
        "a token that was looked up comes out"
    );
    for line in pipeline.lines().filter(|line| line.contains("pub(crate)")) {
        assert!(!has_word(line, "Found") || line.contains("malformed") || lent.contains(&line.trim()), "{line}");
        assert!(!has_word(line, "Secret"), "{line}");
    }
    // None of them outlives an operation or has two owners.
    for (file, code) in sources.iter().filter(|(file, code)| knows_found(file, code)) {
        assert!(!code.contains("static FOUND") && !code.contains("Arc<Found>"), "{file}");
    }
    let store = &sources.iter().find(|(file, _)| file == "store/mod.rs").unwrap().1;
    assert!(store.contains("#[derive(Debug)]\npub(crate) struct Found {"), "a found token can be copied");
}
