//! The harness that gives tests a keyring: `tests/keyring/with-keyring.sh`. What the keyring store does in it
//! is tested beside the store (`src/store/keyring/tests.rs`), because nothing of a secret is public.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

fn with_keyring(script: &str) -> Output {
    let harness = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/keyring/with-keyring.sh");
    Command::new(harness).args(["sh", "-c", script]).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn the_keyring_is_there_empty_and_unlocked() {
    let output = with_keyring(
        "gdbus call --session -d org.freedesktop.secrets -o /org/freedesktop/secrets/aliases/default \
         -m org.freedesktop.DBus.Properties.GetAll org.freedesktop.Secret.Collection",
    );
    assert!(output.status.success(), "{output:?}");
    let text = text(&output);
    assert!(text.contains("'Locked': <false>") && text.contains("'Items': <@ao []>"), "{text}");
}

#[test]
fn the_commands_status_is_the_harnesss_and_nothing_is_left_behind() {
    let output = with_keyring("echo $HOME; printf token | secret-tool store --label=x service s username u; exit 7");
    assert_eq!(output.status.code(), Some(7));
    let home = text(&output);
    assert!(home.starts_with("/tmp/keycap-keyring."), "{home}");
    assert!(!Path::new(&home).parent().unwrap().exists());
    assert_ne!(std::env::var("HOME").unwrap(), home);
}

#[test]
fn no_display_and_no_foreign_session_reach_the_command() {
    let output = with_keyring("echo \"${DISPLAY-none} ${WAYLAND_DISPLAY-none}\"; echo \"$DBUS_SESSION_BUS_ADDRESS\"");
    let text = text(&output);
    let (displays, address) = text.split_once('\n').unwrap();
    assert_eq!(displays, "none none");
    assert_ne!(Some(address.to_owned()), std::env::var("DBUS_SESSION_BUS_ADDRESS").ok());
}
