"""Writes inst/AUTHORS: the crates that end up in a binary on any platform, their licences and authors.

usage: authors.py MANIFEST AUTHORS
"""

import json
import pathlib
import re
import subprocess
import sys

from vendor import compiled


def main(manifest, authors_file):
    crates = compiled(manifest)
    packages = json.loads(subprocess.run(
        ["cargo", "metadata", "--locked", "--format-version", "1", "--manifest-path", manifest],
        check=True, capture_output=True, text=True,
    ).stdout)["packages"]
    lines = ["keycap contains these Rust crates, compiled, each under its own licence:", ""]
    for package in sorted(packages, key=lambda package: (package["name"], package["version"])):
        # A crate of this repository has no registry that it came from.
        if package["source"] and f"{package['name']}-{package['version']}" in crates:
            names = [re.sub(r"\s*<[^>]*>", "", author) for author in package["authors"]]
            by = ", ".join(names) or f"the authors of {package['repository'] or package['name']}"
            licence = package["license"] or f"see {package['license_file']} in its sources"
            lines.append(f"{package['name']} {package['version']} ({licence}): {by}")
    pathlib.Path(authors_file).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
