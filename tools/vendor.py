"""Makes the archive of vendored crates small, reproducible and complete for the platforms that keycap ships for.

usage: vendor.py MANIFEST VENDOR ARCHIVE

MANIFEST is the glue's Cargo.toml, VENDOR what `cargo vendor --versioned-dirs` made of it. A crate that none of the
platforms compiles keeps its manifest only, since cargo reads every manifest that Cargo.lock names; of the others,
what no build reads is dropped. Then the checksums are written anew and the archive is packed.
"""

import hashlib
import json
import lzma
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib

PLATFORMS = [
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
    "x86_64-pc-windows-gnu",
]

# Folders at the top of a crate that no build reads.
DROPPED_FOLDERS = {"tests", "benches", "examples", "example", "fuzz", "ci", "docs", "doc", "scripts", ".github", ".circleci"}
DROPPED_NAMES = re.compile(
    r"^(CHANGELOG|CHANGES|RELEASES|HISTORY|CONTRIBUTING|CODE_OF_CONDUCT|SECURITY|UPGRADING|NEWS)\b.*|^Cargo\.(lock|toml\.orig)$"
    r"|^\.(?!cargo-checksum\.json$).*|^(Makefile|justfile|rustfmt\.toml|clippy\.toml|deny\.toml|codecov\.yml)$",
    re.IGNORECASE,
)
# 2026-01-01T00:00:00Z, for every file.
MTIME = 1767225600


def compiled(manifest):
    """Each crate that some platform compiles, as `name-version`, with the features that any of them turns on."""
    crates = {}
    for platform in PLATFORMS:
        tree = subprocess.run(
            ["cargo", "tree", "--locked", "--manifest-path", manifest, "--target", platform]
            + ["--edges", "normal,build", "--prefix", "none", "--format", "{p}|{f}"],
            check=True, capture_output=True, text=True,
        ).stdout
        for line in tree.splitlines():
            # A crate that was shown before ends in ` (*)`, after its features.
            crate, features = line.removesuffix(" (*)").split("|")
            name, version = crate.split()[:2]
            crates.setdefault(f"{name}-{version.removeprefix('v')}", set()).update(filter(None, features.split(",")))
    return crates


def reduce_to_manifest(crate):
    manifest = tomllib.loads((crate / "Cargo.toml").read_text())
    for entry in crate.iterdir():
        if entry.name not in ("Cargo.toml", ".cargo-checksum.json"):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    # The files that the manifest promises, empty.
    package = manifest["package"]
    promised = [manifest.get("lib", {}).get("path", "src/lib.rs")]
    if isinstance(package.get("build"), str):
        promised.append(package["build"])
    for path in promised:
        (crate / path).parent.mkdir(parents=True, exist_ok=True)
        (crate / path).touch()


def prune(crate):
    # A text that the sources include (`include_str!("../README.md")`) is part of the build.
    sources = "".join(p.read_text(errors="replace") for p in crate.rglob("*.rs") if p.relative_to(crate).parts[0] not in DROPPED_FOLDERS)
    for entry in list(crate.iterdir()):
        if entry.is_dir():
            if entry.name in DROPPED_FOLDERS and not re.search(rf'["/]{re.escape(entry.name)}/', sources):
                shutil.rmtree(entry)
        elif DROPPED_NAMES.match(entry.name) and entry.name not in sources:
            entry.unlink()
        elif entry.name.lower().startswith("readme") and entry.name not in sources:
            entry.unlink()


def prune_by_features(crate, features):
    """The two crates in which most of the size belongs to features that are off."""
    if crate.name.startswith("windows-sys-"):
        # src/Windows/Win32/System/Threading is the module behind the feature `Win32_System_Threading`.
        top = crate / "src" / "Windows"
        for module in sorted(top.rglob("*"), reverse=True):
            if module.is_dir() and "_".join(module.relative_to(top).parts) not in features:
                shutil.rmtree(module)
    if crate.name.startswith("libdbus-sys-") and "vendored" not in features:
        shutil.rmtree(crate / "vendor", ignore_errors=True)


def rewrite_checksums(crate):
    path = crate / ".cargo-checksum.json"
    package = json.loads(path.read_text())["package"]
    files = {
        file.relative_to(crate).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(crate.rglob("*")) if file.is_file() and file != path
    }
    path.write_text(json.dumps({"files": files, "package": package}, sort_keys=True, separators=(",", ":")))


def pack(vendor, archive):
    def clean(info):
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mtime = MTIME
        info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
        return info

    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 64 << 20}]
    with lzma.open(archive, "wb", format=lzma.FORMAT_XZ, filters=filters) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
            tar.add(vendor, "vendor", recursive=False, filter=clean)
            for path in sorted(vendor.rglob("*")):
                tar.add(path, "vendor/" + path.relative_to(vendor).as_posix(), recursive=False, filter=clean)


def main(manifest, vendor, archive):
    vendor = pathlib.Path(vendor)
    crates = compiled(manifest)
    vendored = {crate.name for crate in vendor.iterdir()}
    missing = {crate for crate in crates.keys() - vendored if not re.match(r"keycapr?-", crate)}
    if missing:
        sys.exit(f"not vendored: {', '.join(sorted(missing))}")
    for crate in sorted(vendor.iterdir()):
        if crate.name in crates:
            prune(crate)
            prune_by_features(crate, crates[crate.name])
        else:
            reduce_to_manifest(crate)
        rewrite_checksums(crate)
    pack(vendor, archive)
    print(f"{len(crates.keys() & vendored)} crates, {len(vendored - crates.keys())} as manifests only")


if __name__ == "__main__":
    main(*sys.argv[1:])
