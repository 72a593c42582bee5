#![allow(clippy::unwrap_used)]

use super::super::tests::{dirs, source, write_user_file};
use super::*;

fn toml(text: &str) -> Toml {
    format!("x = {text}").parse::<Table>().unwrap().remove("x").unwrap()
}

fn wish(name: &'static str, text: &str) -> Wish {
    Wish { name, to: Some(toml(text)) }
}

fn none(name: &'static str) -> Wish {
    Wish { name, to: Some(Toml::Table(Table::new())) }
}

fn write(dirs: &Dirs, wishes: &[Wish]) -> Result<Edit> {
    Edit::prepared(source(&[], &[]), dirs, wishes)?.write()
}

fn user_file(dirs: &Dirs) -> String {
    std::fs::read_to_string(dirs.config.join("config.toml")).unwrap_or_default()
}

#[test]
fn what_is_written_is_read_again_and_the_rest_of_the_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let dirs = dirs(folder.path());
    let wishes = [
        wish("stores", "[\"env\", \"vault\"]"),
        wish("vault", "{ address = \"https://vault.example:8200\", kv = 1 }"),
        wish("command", "{ preset = \"pass\" }"),
    ];
    let edit = write(&dirs, &wishes).unwrap();
    assert_eq!(edit.names, ["stores", "vault.address", "vault.kv", "command"]);
    let settings = Settings::load(source(&[], &[]), &dirs).unwrap();
    assert_eq!(settings.order, ["env", "vault"]);
    assert_eq!(settings.found, edit.settings.found);
    assert!(settings.found.iter().all(|(.., place)| place.ends_with("config.toml")));

    let text = format!("# mine\n{}# the end\n", user_file(&dirs));
    write_user_file(&dirs, &text);
    let edit = write(&dirs, &[Wish { name: "stores", to: None }, none("vault")]).unwrap();
    assert_eq!(edit.names, ["stores", "vault.address", "vault.kv"]);
    let now = user_file(&dirs);
    assert!(now.starts_with("# mine\n") && now.ends_with("preset = \"pass\"\n# the end\n"), "{now}");
    assert!(!now.contains("vault"), "{now}");
    // Nothing to change changes nothing.
    assert!(write(&dirs, &[none("vault"), none("aws")]).unwrap().names.is_empty());
    assert_eq!(user_file(&dirs), now);
}

#[test]
fn an_error_leaves_the_file_as_it_is_and_names_the_setting_and_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let dirs = dirs(folder.path());
    std::fs::create_dir_all(&dirs.config).unwrap();
    let old = "# mine\nstores = [\"env\"]\n";
    write_user_file(&dirs, old);
    let hex = "0123456789ABCDEF0123456789ABCDEF"; // made up
    for (slip, part) in [
        (wish("stores", "[]"), "list of stores"),
        (wish("stores", "[\"env\", \"env\"]"), "twice"),
        (wish("vault", "{ adress = \"https://a.example\" }"), "`vault` has no setting `adress`"),
        (wish("vault", "{ address = \"http://a.example\" }"), "not encrypted"),
        (wish("vault", "{ path = \"redcap/token\" }"), "the same token"),
        (wish("vault", "{ secret_id = \"s\" }"), "has no setting `secret_id`"),
        (wish("aws", "{ region = \"a b\" }"), "region"),
        (wish("command", "{ program = \"pass\" }"), "list of texts"),
        (wish("command", "{ preset = \"lastpass\" }"), "`gcloud`"),
        (wish("vault", &format!("{{ role = \"{hex}\" }}")), "looks like a token"),
    ] {
        let name = slip.name;
        let error = write(&dirs, &[wish("aws", "{ profile = \"p\" }"), slip]).map(drop).unwrap_err();
        assert_eq!(error.kind, Kind::Argument, "{}", error.message);
        assert!(error.message.contains(part) && error.message.contains(name), "{}", error.message);
        assert!(!error.hints.is_empty() && !format!("{error:?}").contains(&hex[..8]));
        assert_eq!(user_file(&dirs), old);
    }
    let secret = write(&dirs, &[wish("vault", "{ secret_id = \"s\" }")]).map(drop).unwrap_err();
    assert!(secret.hints.iter().any(|hint| hint.contains("no secret stands in settings")), "{:?}", secret.hints);

    write_user_file(&dirs, "# mine\ntimeout = \n");
    assert_eq!(write(&dirs, &[none("vault")]).map(drop).unwrap_err().kind, Kind::Damaged);
    assert_eq!(user_file(&dirs), "# mine\ntimeout = \n");
    let left: Vec<_> = std::fs::read_dir(&dirs.config).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn what_the_site_locks_or_forbids_is_refused_with_the_file_and_can_still_be_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let dirs = dirs(folder.path());
    write(&dirs, &[wish("vault", "{ mount = \"kv\" }"), wish("command", "{ preset = \"pass\" }")]).unwrap();
    let all = "locked = [\"stores\", \"vault.mount\", \"aws\"]\nforbidden_stores = [\"command\", \"env\"]\n";
    for (site, refused, part) in [
        (all, wish("stores", "[\"vault\"]"), "locked `stores`"),
        (all, wish("vault", "{ field = \"f\", mount = \"m\" }"), "locked `vault.mount`"),
        (all, wish("aws", "{ region = \"eu-central-1\" }"), "locked `aws.region`"),
        (all, wish("command", "{ preset = \"bw\" }"), "forbids the store `command`"),
        ("forbidden_stores = [\"env\"]\n", wish("stores", "[\"vault\", \"env\"]"), "it names the store `env`"),
        ("locked = [\"command\"]\n", wish("command", "{ preset = \"bw\" }"), "locked `command`"),
        ("locked = [\"comand\"]\n", wish("vault", "{ field = \"f\" }"), "`comand` is not a setting"),
    ] {
        std::fs::write(&dirs.site, site).unwrap();
        let before = user_file(&dirs);
        let error = write(&dirs, &[refused]).map(drop).unwrap_err();
        assert_eq!(error.kind, Kind::Argument);
        assert!(error.message.contains(part) && error.message.contains("site.toml"), "{}", error.message);
        assert!(!error.hints.is_empty());
        assert_eq!(user_file(&dirs), before);
    }
    std::fs::write(&dirs.site, all).unwrap();
    write(&dirs, &[none("vault"), none("command")]).unwrap();
    assert!(!user_file(&dirs).contains("kv") && !user_file(&dirs).contains("pass"));
    // What is not locked can be set beside what is.
    write(&dirs, &[wish("vault", "{ field = \"f\" }")]).unwrap();
}

#[test]
fn an_order_that_cannot_be_used_any_more_is_replaced_by_a_better_one() {
    let folder = tempfile::tempdir().unwrap();
    let dirs = dirs(folder.path());
    write(&dirs, &[wish("stores", "[\"env\"]")]).unwrap();
    std::fs::write(&dirs.site, "forbidden_stores = [\"env\"]\n").unwrap();
    assert!(Settings::load(source(&[], &[]), &dirs).is_err());
    write(&dirs, &[wish("stores", "[\"vault\"]")]).unwrap();
    assert_eq!(Settings::load(source(&[], &[]), &dirs).unwrap().order, ["vault"]);
}

#[test]
fn what_outranks_the_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let dirs = dirs(folder.path());
    let wishes = [wish("stores", "[\"vault\"]"), wish("vault", "{ address = \"https://a.example\", mount = \"kv\" }")];
    let session = source(&[("stores", "env")], &[("VAULT_ADDR", "https://b.example")]);
    let edit = Edit::of(session, &dirs, &wishes).unwrap();
    let told: Vec<_> = edit.outranked.iter().map(|(key, place)| format!("{key}: {place}")).collect();
    assert_eq!(told, ["stores: option `keycap.stores`", "vault.address: environment variable `VAULT_ADDR`"]);
}

#[cfg(unix)]
#[test]
fn the_file_is_for_the_user_alone_and_a_link_stays_a_link() {
    use std::os::unix::fs::{MetadataExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let dirs = dirs(folder.path());
    write(&dirs, &[wish("stores", "[\"env\"]")]).unwrap();
    let path = dirs.config.join("config.toml");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&path), mode(&dirs.config)), (0o600, 0o700));

    let real = folder.path().join("dotfiles.toml");
    std::fs::rename(&path, &real).unwrap();
    symlink(&real, &path).unwrap();
    write(&dirs, &[wish("stores", "[\"vault\"]")]).unwrap();
    assert!(std::fs::symlink_metadata(&path).unwrap().is_symlink());
    assert!(std::fs::read_to_string(&real).unwrap().contains("vault"));
    assert_eq!(mode(&real), 0o600);

    // Whoever reads sees the old file or the new one: it is replaced, not written into.
    let before = std::fs::metadata(&real).unwrap().ino();
    write(&dirs, &[wish("stores", "[\"env\"]")]).unwrap();
    assert_ne!(std::fs::metadata(&real).unwrap().ino(), before);
    // A link to nowhere is the user's to mend.
    std::fs::remove_file(&real).unwrap();
    let error = write(&dirs, &[wish("stores", "[\"vault\"]")]).map(drop).unwrap_err();
    assert!(error.kind == Kind::File && error.message.contains("leads nowhere"), "{}", error.message);
}

#[test]
fn side_by_side_writers_lose_nothing_and_readers_never_see_half_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let dirs = dirs(folder.path());
    write(&dirs, &[wish("stores", "[\"env\"]")]).unwrap();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut read = 0;
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                assert_eq!(Settings::load(source(&[], &[]), &dirs).unwrap().order.len(), 1);
                read += 1;
            }
            read
        });
        let writers = [("stores", "[\"vault\"]"), ("vault", "{ mount = \"kv\" }"), ("aws", "{ profile = \"p\" }")];
        let writers: Vec<_> = writers
            .into_iter()
            .map(|(name, value)| {
                let dirs = &dirs;
                scope.spawn(move || {
                    for _ in 0..20 {
                        let empty =
                            if name == "stores" { Wish { name, to: Some(toml("[\"env\"]")) } } else { none(name) };
                        write(dirs, &[empty]).unwrap();
                        write(dirs, &[wish(name, value)]).unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
    let settings = Settings::load(source(&[], &[]), &dirs).unwrap();
    assert_eq!(settings.order, ["vault"]);
    assert_eq!((settings.stores.vault.mount.as_str(), settings.stores.aws.profile.as_deref()), ("kv", Some("p")));
}

#[test]
fn policies_are_written_for_all_and_project_by_project_and_the_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let dirs = dirs(folder.path());
    let of = |name: &str| Settings::load(source(&[], &[]), &dirs).unwrap().policies.of(name).words();
    let edit = write(&dirs, &[wish("policy", "{ max_age = \"90 days\" }")]).unwrap();
    assert_eq!(edit.names, ["policy"]);
    for (project, policy) in [("A", "{ max_age = \"7 days\" }"), ("B", "{ dag = true }"), ("C", "{ max_idle = 30 }")] {
        let edit = write(&dirs, &[wish("project_policies", &format!("{{ {project} = {policy} }}"))]).unwrap();
        assert_eq!(edit.names, ["project_policies"]);
    }
    let all = || [of("A"), of("B"), of("C"), of("D")];
    let expected = [
        "max_age = 7 days",
        "dag = true; max_age = 90 days",
        "max_age = 90 days; max_idle = 30 days",
        "max_age = 90 days",
    ];
    assert_eq!(all(), expected);
    assert!(user_file(&dirs).contains("[project_policies]\nA = { max_age = \"7 days\" }\n"), "{}", user_file(&dirs));
    // One goes, the others stay.
    write(&dirs, &[wish("project_policies", "{ A = {} }")]).unwrap();
    assert_eq!(all(), [expected[3], expected[1], expected[2], expected[3]]);
    assert!(write(&dirs, &[wish("project_policies", "{ A = {} }")]).unwrap().names.is_empty());
    write(&dirs, &[none("policy")]).unwrap();
    assert_eq!(all(), ["none", "dag = true", "max_idle = 30 days", "none"]);
}

#[test]
fn a_policy_that_is_laxer_than_the_sites_is_refused_and_one_that_is_found_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let dirs = dirs(folder.path());
    let refused = |name: &'static str, text: &str| {
        let error = write(&dirs, &[wish(name, text)]).map(|_| ()).unwrap_err();
        assert_eq!(error.kind, Kind::Argument, "{text}");
        assert!(error.message.contains("would not count"), "{}", error.message);
        error.hints.join(" ")
    };
    let site = "[policy]\nmax_age = \"30 days\"\nstores = [\"vault\"]\non_breach = \"refuse\"\n\
                [project_policies]\nB = { max_age = \"14 days\" }\n";
    std::fs::write(&dirs.site, site).unwrap();
    for (name, text) in [
        ("policy", "{ max_age = 31 }"),
        ("policy", "{ stores = [\"env\", \"vault\"] }"),
        ("policy", "{ on_breach = \"warn\" }"),
        ("policy", "{ max_age = 7, grace = 1 }"),
        ("policy", "{ unknown = \"allow\" }"),
        ("project_policies", "{ A = { max_age = 31 } }"),
        ("project_policies", "{ B = { max_age = 15 } }"),
    ] {
        let hints = refused(name, text);
        assert!(hints.contains("site.toml"), "{hints}");
    }
    assert!(!dirs.config.join("config.toml").exists());
    write(&dirs, &[wish("policy", "{ max_age = 20, max_idle = 9 }")]).unwrap();
    // One's own for all is a limit for those of single projects too.
    assert!(refused("project_policies", "{ A = { max_age = 21 } }").contains("config.toml"));
    let mut text = user_file(&dirs);
    text.push_str("\n[project_policies]\nB = { max_age = \"15 days\", max_idle = 3 }\n");
    write_user_file(&dirs, &text);
    let settings = Settings::load(source(&[], &[]), &dirs).unwrap();
    let b = settings.policies.of("B");
    assert_eq!((b.max_age.unwrap().days() as i64, b.max_idle.unwrap().days() as i64), (14, 3));
    assert_eq!(settings.policies.ignored.len(), 1);
    assert!(
        settings.policies.ignored[0].contains("`max_age = 15 days` in the policy of `B`"),
        "{:?}",
        settings.policies.ignored
    );
    let places: Vec<_> = settings.found.iter().filter(|(key, ..)| key == "policy").map(|(.., place)| place).collect();
    assert!(places.len() == 2 && places[0].ends_with("config.toml") && places[1].ends_with("site.toml"), "{places:?}");
    assert_eq!(settings.to_table().columns[0].1.len(), 1 + 4, "each with its place");
    std::fs::write(&dirs.site, format!("locked = [\"policy\"]\n{site}")).unwrap();
    let error = write(&dirs, &[wish("policy", "{ max_age = 1 }")]).map(|_| ()).unwrap_err();
    assert!(error.message.contains("has locked `policy`"), "{}", error.message);
}
