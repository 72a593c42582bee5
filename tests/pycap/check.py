"""PyCap against the sandbox: what it exports must be what raw requests get, value for value.

Usage: check.py PATH_OF_THE_SANDBOX_PROGRAM. Tokens are random and go to the sandbox by way of files.
"""

import csv
import importlib.metadata
import io
import json
import os
import secrets
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

import redcap

checks = 0


def check(what, holds):
    """Counts a check; ends the test when it does not hold."""
    global checks
    checks += 1
    if not holds:
        sys.exit(f"pycap: FAILED: {what}")


class Sandbox:
    """The sandbox as a child process with its administrator's pipe."""

    def __init__(self, program, folder):
        self.folder = folder
        self.process = subprocess.Popen(
            [program, "--no-sample-tokens"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        check("the first line says that this is not REDCap", "not REDCap" in self.process.stdout.readline())
        self.uri = json.loads(self.process.stdout.readline())["redcap_uri"]

    def admin(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        check(f"the administrator's {command['do']} is obeyed: {answer}", answer["ok"])
        return answer

    def token(self, project, user):
        token = secrets.token_hex(16).upper()
        path = os.path.join(self.folder, "token")
        with open(path, "w", encoding="ascii") as file:
            file.write(token)
        self.admin(do="adopt", project=project, user=user, **{"from": path})
        os.remove(path)
        return token

    def raw(self, token, **fields):
        """A request without any REDCap client: status and text."""
        body = urllib.parse.urlencode({"token": token, **fields}).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self.uri, body) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def raw_json(self, token, **fields):
        status, text = self.raw(token, format="json", **fields)
        check(f"the raw request for {fields} is answered", status == 200)
        return json.loads(text)

    def end(self):
        self.process.stdin.close()
        check("the sandbox ends in order", self.process.wait(timeout=10) == 0)


def longitudinal(sandbox):
    """Project information, metadata, users and records of the longitudinal project."""
    token = sandbox.token("TEST_LONG", "admin")
    project = redcap.Project(sandbox.uri, token)

    check("the version is read", str(project.export_version()) == "14.5.5")
    info = project.export_project_info()
    check("project information is that of a raw request", info == sandbox.raw_json(token, content="project"))
    check("the project is longitudinal for PyCap", info["is_longitudinal"] == 1 and project.is_longitudinal)
    check("the first field is the record's name", project.def_field == "record_id")

    metadata = project.export_metadata()
    check("metadata are those of a raw request", metadata == sandbox.raw_json(token, content="metadata"))
    check("fields are known by name", "haemoglobin" in project.field_names)
    check("forms are known by name", set(project.forms) == {"demographics", "vitals", "laboratory", "complaints"})

    users = project.export_users()
    check("users are those of a raw request", users == sandbox.raw_json(token, content="user"))
    check("there are several users", len(users) > 3 and users[0]["username"] == "admin")

    check("events", project.export_events() == sandbox.raw_json(token, content="event"))
    check("arms", project.export_arms() == sandbox.raw_json(token, content="arm"))
    mappings = project.export_instrument_event_mappings()
    check("mappings", mappings == sandbox.raw_json(token, content="formEventMapping"))
    check("instruments", project.export_instruments() == sandbox.raw_json(token, content="instrument"))
    names = project.export_field_names()
    check("field names", names == sandbox.raw_json(token, content="exportFieldNames"))
    check("the next record's name", project.generate_next_record_name() == "601")
    check("the log has been written", len(project.export_logging()) > 10)

    records = project.export_records()
    check("records are those of a raw request", records == sandbox.raw_json(token, content="record"))
    check("there are more than a thousand rows", len(records) > 1000)
    remarks = {row["complaint_remarks"] for row in records}
    check("umlauts, quotes and line breaks come through", {"unauffällig", 'sagte: "Es geht mir gut"'} <= remarks)
    check("a Windows line break comes through", any("\r\n" in remark for remark in remarks))

    # PyCap's CSV is the server's text; read by Python's own reader it holds the same values as its JSON.
    rows = list(csv.DictReader(io.StringIO(project.export_records(format_type="csv"), newline="")))
    check("CSV and JSON hold the same values", rows == records)

    some = project.export_records(records=["3", "5"], events=["baseline_arm_2"], forms=["laboratory"])
    raw = {"records[0]": "3", "records[1]": "5", "events[0]": "baseline_arm_2", "forms[0]": "laboratory"}
    check("a narrowed export", some == sandbox.raw_json(token, content="record", **raw, **{"fields[0]": "record_id"}))
    check("a narrowed export is narrow", [row["record_id"] for row in some] == ["3", "5"])
    labels = project.export_records(records=["3"], raw_or_label="label")
    check("labels", labels == sandbox.raw_json(token, content="record", records="3", rawOrLabel="label"))

    try:
        project.export_records(fields=["not_a_field"])
        check("a wrong field is refused", False)
    except redcap.RedcapError as error:
        check(f"the wrong field is named: {error}", "not_a_field" in str(error))


def repeating(sandbox):
    """The columns of what repeats."""
    token = sandbox.token("TEST_REPEAT", "admin")
    project = redcap.Project(sandbox.uri, token)
    records = project.export_records()
    check("repeating records", records == sandbox.raw_json(token, content="record"))
    check("instances are numbered", {row["redcap_repeat_instance"] for row in records} == {"", 1, 2, 3, 4})
    repeats = project.export_repeating_instruments_events()
    check("what repeats", repeats == sandbox.raw_json(token, content="repeatingFormsEvents"))


def refusals(sandbox):
    """A revoked token fails, and a classic project has no arms."""
    token = sandbox.token("TEST", "admin")
    project = redcap.Project(sandbox.uri, token)
    check("the token works", project.export_project_info()["project_id"] == 17)
    check("a classic project is none of the others", not project.is_longitudinal)
    try:
        project.export_arms()
        check("arms are refused", False)
    except redcap.RedcapError as error:
        check("arms are refused for classic projects", "cannot export arms for classic projects" in str(error))
    sandbox.admin(do="revoke", project="TEST", user="admin")
    check("a raw request is refused", sandbox.raw(token, content="version")[0] == 403)
    for ask in (project.export_project_info, project.export_users, project.export_records):
        try:
            ask()
            check("the revoked token is refused", False)
        except redcap.RedcapError as error:
            check("the refusal is REDCap's", "You do not have permissions to use the API" in str(error))


def main():
    os.environ["NO_PROXY"] = "127.0.0.1"
    with tempfile.TemporaryDirectory() as folder:
        sandbox = Sandbox(sys.argv[1], folder)
        try:
            longitudinal(sandbox)
            repeating(sandbox)
            refusals(sandbox)
            sandbox.end()
        finally:
            sandbox.process.kill()
            sandbox.process.wait()
    print(f"pycap: {checks} checks passed with PyCap {importlib.metadata.version('PyCap')}")


main()
