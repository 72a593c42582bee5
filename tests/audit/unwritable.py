"""Nine states in which the audit log cannot be written: not one request may reach the server. Prints a row of a table.

As root, R runs as somebody else where mode bits count, and file systems are mounted in a namespace of their own.
"""

import http.server
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

NOBODY = 65534
requests = 0


class Server(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        global requests
        requests += 1
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"14.5.0")

    def log_message(self, *args):
        pass


CODE = """
library(keycap)
options(keycap.quiet = TRUE, keycap.retries = 0)
setup_project("T", tempfile(), Sys.getenv("SERVER"))
answer <- tryCatch(
  {
    redcap_version("T")
    "called"
  },
  keycap_error = function(condition) paste(class(condition)[[1]], condition$cause)
)
cat("=", answer, "\\n", sep = "")
"""


def run(home, server, prefix=()):
    """What R says of one call, and how many requests it made."""
    before = requests
    env = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    env.update(
        HOME=str(home),
        R_USER_DATA_DIR=str(home / "data"),
        R_USER_CONFIG_DIR=str(home / "config"),
        SERVER=server,
        TMPDIR=str(home / "tmp"),
        REDCapSync_T="0123456789ABCDEF" * 2,  # made up
    )
    command = [*prefix, "Rscript", "--vanilla", "-e", CODE]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    said = [line[1:] for line in done.stdout.splitlines() if line.startswith("=")]
    return (said[0] if said else "nothing: " + done.stderr[-400:]), requests - before


def main():
    if os.geteuid() != 0:
        sys.exit("unwritable: this needs root (other users, mounts)")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/api/"
    root = pathlib.Path(tempfile.mkdtemp())
    root.chmod(0o755)
    as_nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")

    def mounted(options):
        script = f'mount -t tmpfs -o {options} none "$0" && exec "$@"'
        return lambda log: ("unshare", "--mount", "sh", "-c", script, str(log))

    def full(log):
        script = 'mount -t tmpfs -o mode=700,size=64k none "$0" && (cat /dev/zero > "$0/ballast" 2>/dev/null; exec "$@")'
        return ("unshare", "--mount", "sh", "-c", script, str(log))

    holders = []

    def hold(log):
        first = run(log.parent.parent.parent.parent, address)
        assert first == ("called", 1), first
        lock = next(log.glob("*.lock"))
        holders.append(subprocess.Popen(["flock", str(lock), "sleep", "60"]))
        return ()

    def link(log):
        (log.parent / "real").mkdir(mode=0o700)
        log.rmdir()
        log.symlink_to(log.parent / "real")
        return ()

    def foreign(log):
        os.chown(log, NOBODY, NOBODY)
        return ()

    def others(log):
        log.chmod(0o777)
        return ()

    def file(log):
        log.rmdir()
        log.write_text("in the way")
        return ()

    def missing(log):
        # As for cron without a home: nobody can make folders there.
        return ("env", "R_USER_DATA_DIR=/proc/keycap")

    def denied(log):
        home = log.parent.parent.parent.parent
        for path in [home, *home.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
        log.chmod(0o500)
        return as_nobody

    states = {
        "read-only": mounted("ro,mode=700"),
        "full": full,
        "symlink": link,
        "foreign owner": foreign,
        "writable by others": others,
        "lock held": hold,
        "missing folder": missing,
        "a file in its place": file,
        "no permission": denied,
    }
    found = []
    sent = 0
    for name, state in states.items():
        home = root / name.replace(" ", "-")
        log = home / "data" / "R" / "keycap" / "audit"
        log.mkdir(parents=True, mode=0o700)
        (home / "tmp").mkdir()
        said, made = run(home, address, state(log))
        sent += made
        found.append(said)
        if not said.startswith("keycap_error_audit"):
            print(f"{name}: {said}", file=sys.stderr)
    for holder in holders:
        holder.kill()
    good = root / "good"
    (good / "tmp").mkdir(parents=True)
    control = run(good, address)
    shutil.rmtree(root)
    holds = sent == 0 and control == ("called", 1) and all(said.startswith("keycap_error_audit") for said in found)
    causes = ", ".join(said.split()[-1] for said in found)
    print(
        f"| {len(states)} unwritable states | {sent} requests reached the server; causes told: {causes}; without one, "
        f"{control[1]} request | {'holds' if holds else '**does not hold**'} |"
    )
    return 0 if holds else 1


sys.exit(main())
