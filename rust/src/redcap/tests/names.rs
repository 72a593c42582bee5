//! A store is asked under a project's two names, and under neither where it is another origin's.

use super::world::{Server, World, say};
use crate::error::Kind;
use crate::project::{Kept, Project, Registries, Settings};
use crate::redcap::{bound, wanted};
use crate::store::Environment;
use crate::value::Value;

fn project(short_name: &str, uri: &str, token_name: &str) -> Project {
    let texts = [("short_name", short_name), ("redcap_uri", uri), ("token_name", token_name)];
    Project::from_value(&Value::list(texts.map(|(name, text)| (name, text.into())))).unwrap()
}

/// Entries as an older keycap or another session may have left them: nobody checks.
fn entered(world: &World, kept: Kept, project: &Project) {
    let registries = Registries::new(&world.ctx.dirs);
    registries
        .change(kept, |projects| {
            projects.push(project.clone());
            Ok(())
        })
        .unwrap();
}

const GOOD: &str = "https://good.example.org/api/";
const EVIL: &str = "https://evil.example.org/api/";

#[test]
fn a_short_name_that_is_a_name_of_a_project_at_another_origin_is_not_asked_for() {
    for (short_name, token_name) in [("T", "KEPT"), ("OTHER", "T"), ("t", "KEPT"), ("OTHER", "t")] {
        for (evils, kepts) in [(Kept::Session, Kept::User), (Kept::User, Kept::Session), (Kept::User, Kept::User)] {
            let world = World::new();
            let evil = project("T", EVIL, "MINE");
            entered(&world, evils, &evil);
            assert_eq!(wanted(&world.ctx, &evil, false).unwrap().short_name, "T");
            // At the same origin it may.
            entered(&world, kepts, &project(short_name, EVIL, token_name));
            assert_eq!(wanted(&world.ctx, &evil, false).unwrap().short_name, "T");
            entered(&world, kepts, &project(short_name, GOOD, token_name));
            assert_eq!(wanted(&world.ctx, &evil, false).unwrap().short_name, "");
        }
    }
    // The sandbox's own tokens are in no store: their names are in nobody's way.
    let world = World::new();
    let sample = Project { sandbox: true, ..project("TEST", "http://127.0.0.1:4001/api/", "REDCapSync_TEST") };
    let mine = project("TEST", GOOD, "REDCapSync_TEST");
    entered(&world, Kept::Session, &sample);
    entered(&world, Kept::User, &mine);
    assert_eq!(wanted(&world.ctx, &mine, false).unwrap().short_name, "TEST");
    assert_eq!(wanted(&world.ctx, &sample, true).unwrap().short_name, "TEST");
    bound(&world.ctx, &mine, false).unwrap();
}

#[test]
fn a_token_name_that_the_registries_have_at_two_origins_is_sent_to_neither() {
    for (short_name, token_name) in [("OTHER", "MINE"), ("MINE", "OTHER"), ("OTHER", "mine")] {
        let world = World::new();
        let (one, other) = (project("T", EVIL, "MINE"), project(short_name, GOOD, token_name));
        entered(&world, Kept::Session, &one);
        bound(&world.ctx, &one, false).unwrap();
        entered(&world, Kept::User, &other);
        assert_eq!(bound(&world.ctx, &one, false).unwrap_err().kind, Kind::Origin);
    }
}

#[test]
fn a_name_in_another_letter_case_is_known_to_the_registry_so_that_no_store_outranks_it() {
    let world = World::new();
    entered(&world, Kept::User, &project("T", GOOD, "MINE"));
    let error = bound(&world.ctx, &project("OTHER", EVIL, "mine"), false).unwrap_err();
    assert!(error.message.contains("is bound to `https://good.example.org`"), "{}", error.message);
}

#[cfg(unix)]
#[tokio::test]
async fn a_program_that_is_asked_by_the_short_name_does_not_give_the_token_of_a_twin_elsewhere() {
    let server = Server::start(vec![say(200, "", "[]")]);
    let mut world = World::new();
    let text = format!(
        "stores = [\"command\"]\n[command]\nprogram = \"sh\"\narguments = [\"-c\", {:?}, \"redcap/{{short_name}}\"]\n",
        format!("test \"$0\" = redcap/T && echo {}", world.token)
    );
    let site = Settings::of_site(&text).unwrap();
    (world.ctx.settings.order, world.ctx.settings.stores.command) = (site.order, site.stores.command);
    world.ctx.env = Environment::empty().for_stores(&world.ctx.settings, &world.ctx.net, &[]);
    let twin = project("T", &server.uri, "MINE");
    entered(&world, Kept::Session, &twin);
    // The control: alone it gets the token.
    let ask = || async {
        let mut operation = world.operation(&twin);
        operation.collect(&super::world::read(), 1000).await.map(drop)
    };
    ask().await.unwrap();
    assert_eq!(server.count(), 1);
    entered(&world, Kept::User, &project("T", GOOD, "KEPT"));
    assert_eq!(ask().await.unwrap_err().kind, Kind::TokenMissing);
    assert_eq!(server.count(), 1);
}
