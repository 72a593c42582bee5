"""Prepares the data of a size: what the sandbox answers for a generated project, as files for the static server."""

import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request

CONTENTS = {
    "record": ("csv", {"type": "flat", "rawOrLabel": "raw"}),
    "metadata": ("json", {}),
    "project": ("json", {}),
    "version": ("csv", {}),
    # What PyCap asks for when it makes a project.
    "exportFieldNames": ("json", {}),
    "repeatingFormsEvents": ("json", {}),
}


def prepare(sandbox, folder, sizes):
    """Writes `folder`/<size>/<content>.<format> for each size that is not there yet."""
    sizes = [size for size in sizes if not os.path.exists(os.path.join(folder, size, "version.csv"))]
    if not sizes:
        return
    child = subprocess.Popen([sandbox], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(command):
        child.stdin.write(json.dumps(command) + "\n")
        child.stdin.flush()
        return json.loads(child.stdout.readline())

    # Its first words are for people.
    uri = next(json.loads(line)["redcap_uri"] for line in child.stdout if line.startswith("{"))
    for size in sizes:
        made = ask({"do": "generate", "size": size})
        at = os.path.join(folder, size)
        os.makedirs(at, exist_ok=True)
        token_file = os.path.join(at, "token")
        if os.path.exists(token_file):
            os.remove(token_file)
        issued = ask({"do": "issue", "project": f"SIZE_{size}", "user": "admin", "to": token_file})
        with open(token_file) as file:
            token = file.read().strip()
        os.remove(token_file)
        for content, (form, more) in CONTENTS.items():
            fields = {"token": token, "content": content, "format": form, "returnFormat": "json", **more}
            try:
                with urllib.request.urlopen(uri, urllib.parse.urlencode(fields).encode()) as answer:
                    body = answer.read()
            except urllib.error.HTTPError as error:
                print(f"bench: the sandbox has no `{content}`: {error.read()[:200]} {made} {issued}", file=sys.stderr)
                continue
            with open(os.path.join(at, f"{content}.{form}"), "wb") as file:
                file.write(body)
    child.stdin.close()
    child.wait(10)


if __name__ == "__main__":
    prepare(sys.argv[1], sys.argv[2], sys.argv[3:])
