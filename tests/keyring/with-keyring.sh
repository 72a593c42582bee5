#!/bin/sh
# Runs a command in a D-Bus session of its own, with an empty and unlocked keyring (GNOME Keyring), in a home of
# its own, and takes all of it away afterwards. Ends with the command's status.
#
#   tests/keyring/with-keyring.sh COMMAND [ARGUMENT...]
#
# Nothing of the caller's keyring, home or desktop is touched, and no dialog can open.
set -eu

if [ $# -eq 0 ]; then
    echo "usage: $0 COMMAND [ARGUMENT...]" >&2
    exit 2
fi
for program in dbus-run-session gnome-keyring-daemon gdbus; do
    if ! command -v "$program" >/dev/null; then
        echo "$0: \`$program\` is missing (Debian: apt install dbus gnome-keyring libglib2.0-bin)" >&2
        exit 127
    fi
done

# A short path: that of a socket has 108 characters at most.
place=$(mktemp -d /tmp/keycap-keyring.XXXXXX)
# The daemon may write a last time while it ends.
trap 'rm -rf "$place" 2>/dev/null || rm -rf "$place"' EXIT
trap 'exit 130' HUP INT TERM
mkdir -m 700 "$place/home" "$place/data" "$place/config" "$place/run"

# Without the wait, one start in twenty meets a daemon that is not on the bus yet.
status=0
env -u DISPLAY -u WAYLAND_DISPLAY -u DBUS_SESSION_BUS_ADDRESS -u GNOME_KEYRING_CONTROL \
    HOME="$place/home" XDG_DATA_HOME="$place/data" XDG_CONFIG_HOME="$place/config" XDG_RUNTIME_DIR="$place/run" \
    dbus-run-session -- sh -c '
        printf open-sesame | gnome-keyring-daemon --unlock --components=secrets >/dev/null
        gdbus wait --session --timeout 10 org.freedesktop.secrets
        exec "$@"' sh "$@" || status=$?
exit "$status"
