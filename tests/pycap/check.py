"""PyCap against the sandbox: what it exports must be what raw requests get, value for value.

Usage: check.py PATH_OF_THE_SANDBOX_PROGRAM. Tokens are random and go to the sandbox by way of files.
"""

import csv
import datetime
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


def exports(sandbox):
    """Long lists, filters, events, dates, labels: what PyCap gets is what a raw request gets."""
    token = sandbox.token("TEST", "admin")
    project = redcap.Project(sandbox.uri, token)
    # PyCap names every field, where a raw request may name none.
    everything = {f"fields[{n}]": name for n, name in enumerate(project.field_names)}
    everything |= {f"fields[{len(everything) + n}]": f"{form}_complete" for n, form in enumerate(project.forms)}

    long = project.export_records(record_type="eav")
    check("a long list", long == sandbox.raw_json(token, content="record", type="eav"))
    check("a long list has its three columns", set(long[0]) == {"record", "field_name", "value"})
    check("a long list has no blanks", all(row["value"] != "" for row in long))
    flat = project.export_records()
    values = {(row["record"], row["field_name"], row["value"]) for row in long if row["field_name"] != "symptoms"}
    expected = {
        (row["record_id"], name, value)
        for row in project.export_records(export_blank_for_gray_form_status=True)
        for name, value in row.items()
        if value != "" and "___" not in name
    }
    check("a long list holds the values of the flat export", values == expected)
    boxes = sum(row[name] == "1" for row in flat for name in row if "___" in name)
    check("a long list has a row for each box", boxes == sum(row["field_name"] == "symptoms" for row in long))
    rows = list(csv.DictReader(io.StringIO(project.export_records(record_type="eav", format_type="csv"), newline="")))
    check("the long list as CSV holds the same", rows == long)

    logic = "[sex] = '1' and ([symptoms(2)] = '1' or [bmi] >= 35)"
    some = project.export_records(filter_logic=logic)
    check("a filter", some == sandbox.raw_json(token, content="record", filterLogic=logic, **everything))
    hold = [r for r in flat if r["sex"] == "1" and (r["symptoms___2"] == "1" or float(r["bmi"] or 0) >= 35)]
    check("the filter keeps those for which it holds", some == hold and 0 < len(some) < len(flat))
    begin = datetime.datetime(2024, 3, 1, 0, 1)
    dated = project.export_records(date_begin=begin, date_end=begin + datetime.timedelta(minutes=2), fields=["sex"])
    check("records by when they were made", [row["record_id"] for row in dated] == ["2", "3", "4"])
    groups = project.export_records(records=["3", "4"], export_data_access_groups=True)
    check("groups", [row["redcap_data_access_group"] for row in groups] == ["north", "south"])

    token = sandbox.token("TEST_LONG", "admin")
    project = redcap.Project(sandbox.uri, token)
    events = project.export_records(events=["baseline_arm_1", "follow_up_1_arm_2"], fields=["systolic"])
    named = {row["redcap_event_name"] for row in events}
    check("events", named == {"baseline_arm_1", "follow_up_1_arm_2"})
    both = project.export_records(filter_logic="[screening_arm_1][sex] = '2'", fields=["systolic"])
    women = {row["record_id"] for row in project.export_records(filter_logic="[sex] = '2'", events=["screening_arm_1"])}
    check("a filter on another event", {row["record_id"] for row in both} == women and len(both) > len(women))


def imports(sandbox):
    """A record goes in, is read back as it was, and goes."""
    token = sandbox.token("TEST", "admin")
    project = redcap.Project(sandbox.uri, token)
    name = project.generate_next_record_name()
    check("the next record's name", name == "1201")
    remark = 'Zeile 1, "zitiert"\r\nZeile 2: äöü € 日本'
    new = {"record_id": name, "first_name": "Zoë", "birth_date": "31/12/1999", "symptoms___2": "1", "remarks": remark}
    done = project.import_records([new], date_format="DMY")
    check(f"the import is counted: {done}", done == {"count": 1})
    found = project.export_records(records=[name])
    check("there is one row", len(found) == 1)
    new["birth_date"] = "1999-12-31"
    check("the record comes back as it went", {key: found[0][key] for key in new} == new)
    check("and nothing else is in it", found[0]["last_name"] == "" and found[0]["symptoms___1"] == "0")

    text = "record_id,first_name,pulse\r\n" + f"{name},,77\r\n"
    check("CSV", project.import_records(text, import_format="csv", return_content="ids") == [name])
    found = project.export_records(records=[name])[0]
    check("blanks do not overwrite", (found["first_name"], found["pulse"]) == ("Zoë", "77"))
    project.import_records(text, import_format="csv", overwrite="overwrite")
    check("blanks overwrite when told", project.export_records(records=[name])[0]["first_name"] == "")
    auto = project.import_records(
        [{"record_id": "a", "pulse": 60}, {"record_id": "b", "pulse": 61}],
        force_auto_number=True,
        return_content="auto_ids",
    )
    check(f"records are numbered: {auto}", auto == ["1202,a", "1203,b"])
    log = project.export_logging(log_type="record")
    check("the log names the records", [row["action"] for row in log[:2]] == ["Create record (API) 1203", "Create record (API) 1202"])

    for wrong, words in [
        ({"record_id": name, "no_field": "1"}, "were not found in the project as real data fields: no_field"),
        ({"record_id": name, "sex": "7"}, "The value is not a valid category for sex"),
        ({"record_id": name, "birth_date": "1999-02-30"}, "Invalid date format."),
    ]:
        try:
            project.import_records([wrong])
            check("a wrong import is refused", False)
        except redcap.RedcapError as error:
            check(f"the refusal says why: {error}", words in str(error))

    check("deletions are counted", project.delete_records([name, "1202", "1203"]) == 3)
    check("what is deleted is gone", project.export_records(records=[name]) == [])
    try:
        project.delete_records([name])
        check("what is gone cannot be deleted", False)
    except redcap.RedcapError as error:
        check("the record is named", f"The following records do not exist: {name}" in str(error))


def documents(sandbox):
    """Files, forms on paper, the report, roles and groups."""
    token = sandbox.token("TEST", "admin")
    project = redcap.Project(sandbox.uri, token)
    content, headers = project.export_file("1", "letter")
    check("a file", content.startswith(b"%PDF") and headers == {"name": "letter.pdf"})
    content = bytes(range(256)) * 300
    project.import_file("5", "letter", "bytes.bin", io.BytesIO(content))
    check("bytes come back as they went", project.export_file("5", "letter") == (content, {"name": "bytes.bin"}))
    check("the file's name is the value", project.export_records(records=["5"])[0]["letter"] == "bytes.bin")
    project.delete_file("5", "letter")
    try:
        project.export_file("5", "letter")
        check("a deleted file is gone", False)
    except redcap.RedcapError as error:
        check("PyCap sees the refusal", "There is no file to download" in str(error))
    content, headers = project.export_pdf(instrument="health")
    check("a form on paper", content.startswith(b"%PDF") and headers == {"name": "health_TEST.pdf"})

    report = project.export_report("117")
    check("the report", report == sandbox.raw_json(token, content="report", report_id="117"))
    check("the report's filter holds", all(float(row["bmi"]) > 30 for row in report) and len(report) > 50)
    check("roles", project.export_user_roles() == sandbox.raw_json(token, content="userRole"))
    roles = project.export_user_role_assignment()
    check("who has which", roles == sandbox.raw_json(token, content="userRoleMapping"))
    check("groups", [row["unique_group_name"] for row in project.export_dags()] == ["north", "south"])
    groups = project.export_user_dag_assignment()
    check("who is in which", groups == sandbox.raw_json(token, content="userDagMapping"))


def generated(sandbox):
    """A generated project: PyCap gets the bytes of the file."""
    path = os.path.join(sandbox.folder, "size-s.csv")
    size = sandbox.admin(do="generate", size="S", to=path)
    check("a thousand records", (size["records"], size["columns"]) == (1000, 30))
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    token = sandbox.token("SIZE_S", "admin")
    check("a raw request gets the file", sandbox.raw(token, content="record", format="csv") == (200, text))
    project = redcap.Project(sandbox.uri, token)
    check("PyCap gets the file", project.export_records(format_type="csv") == text)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    check("JSON holds the same values", project.export_records() == rows)


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
            exports(sandbox)
            imports(sandbox)
            documents(sandbox)
            generated(sandbox)
            refusals(sandbox)
            sandbox.end()
        finally:
            sandbox.process.kill()
            sandbox.process.wait()
    print(f"pycap: {checks} checks passed with PyCap {importlib.metadata.version('PyCap')}")


main()
