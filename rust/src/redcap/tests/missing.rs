//! Where a token that is missing is said to go: to a store that is asked here, and to no other.

use super::world::World;
use crate::error::Kind;
use crate::project::Settings;
use crate::redcap::blank;

fn hints(site: &str) -> Vec<String> {
    let mut world = World::new();
    world.ctx.settings = Settings::of_site(site).unwrap();
    let error = blank(&world.ctx, &World::project("https://redcap.example.org/api/"));
    assert_eq!((error.kind, error.message.as_str()), (Kind::TokenMissing, "no token is found under `REDCapSync_T`"));
    error.hints
}

#[test]
fn where_the_environment_is_asked_it_is_named() {
    let environment = ["Sys.setenv", ".Renviron"];
    let entered = ["set_project_token(\"T\"", environment[0], environment[1]];
    for (site, parts) in [
        ("", &entered[..]),
        ("stores = [\"vault\", \"env\"]\n", &["put it into the vault", environment[0], environment[1]]),
    ] {
        let hints = hints(site);
        assert!(hints.len() == parts.len(), "{hints:?}");
        assert!(hints.iter().zip(parts).all(|(hint, part)| hint.contains(part)), "{hints:?}");
    }
}

#[test]
fn where_it_is_not_asked_the_stores_that_are_asked_are_named_and_nothing_else() {
    let pass = "[command]\npreset = \"pass\"\n";
    let op = "[command]\npreset = \"op\"\nitem = \"op://R/{token_name}/credential\"\n";
    for (site, parts) in [
        ("forbidden_stores = [\"env\"]\n", vec!["`set_project_token(\"T\", store = \"keyring\")`"]),
        (
            "stores = [\"vault\"]\n[vault]\nmount = \"kv\"\n",
            vec![
                "under the path `kv/redcap/REDCapSync_T` in the field `token`: `set_project_token(\"T\", store = \"vault\")`",
            ],
        ),
        (
            "stores = [\"keyring\", \"aws\"]\n[aws]\nfield = \"key\"\n",
            vec!["the store `keyring`", "the secret `redcap/REDCapSync_T` in the field `key`"],
        ),
        (
            &format!("stores = [\"command\"]\n{pass}"),
            vec!["where `pass` has it: `set_project_token(\"T\", store = \"command\")`"],
        ),
        (&format!("stores = [\"command\"]\n{op}"), vec!["where `op` has it, by that program's own means"]),
        ("stores = [\"command\"]\n", vec!["`configure_stores()`"]),
    ] {
        let hints = hints(site);
        assert_eq!(hints.len(), parts.len(), "{hints:?}");
        for (hint, part) in hints.iter().zip(parts) {
            assert!(hint.contains(part), "{hint}");
            assert!(!hint.contains("Sys.setenv") && !hint.contains(".Renviron"), "{hint}");
        }
    }
}
