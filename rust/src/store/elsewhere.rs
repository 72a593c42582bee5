//! Where else a token could go: what is told where the store that was named takes none on this machine.

use super::command::pass;
use super::keep::states;
use super::{Reach, aws, command, vault};
use crate::ctx::Ctx;

/// The call that makes a store one of those that are asked, with the member that sets it up, where it is not.
pub(crate) fn ask_too(ctx: &Ctx, store: &str, set_up: Option<&str>) -> String {
    let asked = ctx.settings.order.iter().map(String::as_str);
    let order = asked.filter(|name| *name != store).chain([store]);
    let order: Vec<String> = order.map(|name| format!("\"{name}\"")).collect();
    let set_up = set_up.map(|member| format!(", {member}")).unwrap_or_default();
    format!("`configure_stores(order = c({}){set_up})`", order.join(", "))
}

/// The stores that take tokens on this machine beside one that does not, each with the call to make (`call` has it for a
/// store's name), and what can be set up here. Never empty.
pub(crate) async fn elsewhere(ctx: &Ctx, store: &str, call: impl Fn(&str) -> String) -> Vec<String> {
    let stores = &ctx.settings.stores;
    let mut hints = Vec::new();
    let mut known = Vec::new();
    for (name, state) in states(ctx).await {
        // What the site forbids, and what fails, is no advice.
        let Ok(state) = state else { continue };
        known.push(name);
        let usable = matches!(state.reach, Reach::Ready | Reach::Untried(_) | Reach::NotAsked(_) | Reach::Locked);
        if name == store || !usable {
            continue;
        }
        let who = match &stores.command {
            Some(line) if name == command::NAME => format!("`{}`, which is the store `command`,", line.program),
            _ => format!("`{name}`"),
        };
        let call = call(name);
        let asked = ctx.settings.order.iter().any(|asked| asked == name);
        if asked {
            hints.push(format!("{who} takes tokens here: `{call}`"));
        } else if !ctx.settings.is_locked("stores") {
            hints.push(format!("{who} is set up here; it is asked after {}, then `{call}`", ask_too(ctx, name, None)));
        }
    }
    if hints.is_empty() && !ctx.settings.is_locked("stores") {
        let may = |name: &str| known.contains(&name) && name != store;
        if may(command::NAME) && stores.command.is_none() && !ctx.settings.is_locked(command::NAME) {
            let (what, first) = with_pass(ctx).await;
            let set_up = ask_too(ctx, command::NAME, Some("command = list(preset = \"pass\")"));
            hints.push(format!("{what}: {first}{set_up}, then `{}`", call(command::NAME)));
        }
        if may(vault::NAME) && stores.vault.address.is_none() && !ctx.settings.is_locked(vault::NAME) {
            let member = "vault = list(address = \"https://vault.example.org:8200\")";
            let set_up = ask_too(ctx, vault::NAME, Some(member));
            hints.push(format!("with your institution's vault: {set_up}, then `{}`", call(vault::NAME)));
        }
        if may(aws::NAME) && !ctx.settings.is_locked(aws::NAME) {
            let set_up = ask_too(ctx, aws::NAME, Some("aws = list(region = \"eu-central-1\")"));
            hints.push(format!("with AWS Secrets Manager: {set_up}, then `{}`", call(aws::NAME)));
        }
    }
    hints.push(
        "`stores()` shows the stores of this machine; `vignette(\"stores\", package = \"keycap\")` sets each up".into(),
    );
    hints
}

/// What is to be said of `pass` here, and what comes first.
async fn with_pass(ctx: &Ctx) -> (&'static str, &'static str) {
    let surroundings = ctx.env.command.clone().unwrap_or_default();
    if surroundings.find(pass::PROGRAM).is_none() {
        return (
            "with `pass`, which needs neither desktop nor server",
            "install it, make a store by `pass init`, then ",
        );
    }
    match pass::place(pass::PROGRAM, &surroundings).await {
        Ok(pass::Place::NotMade(_)) => ("`pass` is on this machine", "make a store by `pass init`, then "),
        _ => ("`pass` is on this machine", ""),
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use zeroize::Zeroizing;

    use super::*;
    use crate::project::Settings;
    use crate::store::command::Surroundings;
    use crate::store::testing::{block_on, ctx};

    /// A machine without a keyring, with these settings, and with programs of these names in its `PATH`.
    fn machine(settings: &str, programs: &[&str]) -> (Ctx, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        for name in programs {
            let path = folder.path().join(name);
            std::fs::write(&path, "#!/bin/sh\nexit 1\n").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let place = folder.path().display().to_string();
        let variables = [("PATH", &place), ("HOME", &place)];
        let variables = variables.into_iter();
        let all = variables.map(|(name, value)| (name.into(), Zeroizing::new(value.clone().into_bytes())));
        let mut ctx = ctx();
        ctx.settings = Settings::of_site(settings).unwrap();
        ctx.env.command = Some(Surroundings::of(all));
        (ctx, folder)
    }

    fn told(ctx: &Ctx) -> Vec<String> {
        block_on(elsewhere(ctx, "keyring", |store| format!("set_project_token(\"X\", store = \"{store}\")")))
    }

    #[test]
    fn a_store_that_takes_tokens_here_is_named_with_the_exact_call() {
        let command = "[command]\npreset = \"secret-tool\"\n";
        let (ctx, _folder) = machine(&format!("stores = [\"env\", \"command\"]\n{command}"), &["secret-tool"]);
        let here = "`secret-tool`, which is the store `command`, takes tokens here: `set_project_token(\"X\", store = \"command\")`";
        assert_eq!(told(&ctx)[0], here);
        assert_eq!(told(&ctx).len(), 2);
        // One that nobody asks has to be asked first.
        let (ctx, _folder) = machine(command, &["secret-tool"]);
        let first = "`configure_stores(order = c(\"env\", \"keyring\", \"command\"))`, then `set_project_token(";
        assert!(told(&ctx)[0].contains(first), "{:?}", told(&ctx));
        // What only reads, and what the site forbids, is no advice.
        for (settings, programs) in [
            ("[command]\nprogram = \"giver\"\narguments = [\"{token_name}\"]\n", "giver"),
            (&format!("forbidden_stores = [\"command\"]\n{command}"), "secret-tool"),
        ] {
            let (ctx, _folder) = machine(settings, &[programs]);
            assert!(
                told(&ctx).iter().all(|hint| !hint.contains("here: ") && !hint.contains("set up here")),
                "{:?}",
                told(&ctx)
            );
            assert!(told(&ctx).iter().all(|hint| !hint.contains("store = \"command\"")), "{:?}", told(&ctx));
        }
    }

    #[test]
    fn where_none_takes_tokens_what_can_be_set_up_is_told() {
        let line = "`configure_stores(order = c(\"env\", \"keyring\", \"command\"), command = list(preset = \"pass\"))`, \
                    then `set_project_token(\"X\", store = \"command\")`";
        let (ctx, _folder) = machine("", &[]);
        let all = told(&ctx);
        assert!(
            all[0].starts_with("with `pass`") && all[0].contains("install it, make a store") && all[0].ends_with(line)
        );
        assert!(all[1].contains("vault = list(address = ") && all[2].contains("aws = list(region = "), "{all:?}");
        let (ctx, folder) = machine("", &["pass"]);
        assert!(
            told(&ctx)[0].starts_with("`pass` is on this machine: make a store by `pass init`"),
            "{:?}",
            told(&ctx)
        );
        std::fs::create_dir(folder.path().join(".password-store")).unwrap();
        std::fs::write(folder.path().join(".password-store/.gpg-id"), "me").unwrap();
        assert_eq!(told(&ctx)[0], format!("`pass` is on this machine: {line}"));
        // Nobody is told to do what the site has locked.
        let (ctx, _folder) = machine("locked = [\"stores\"]\n", &["pass"]);
        assert_eq!(told(&ctx).len(), 1);
        let (ctx, _folder) = machine("locked = [\"command\", \"vault\", \"aws\"]\n", &["pass"]);
        assert_eq!(told(&ctx).len(), 1);
        assert!(told(&ctx)[0].contains("`stores()` shows"));
    }
}
