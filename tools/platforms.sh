#!/bin/sh
# Compiles the tarball of `make dist`, offline, for the platforms that this machine is not: Windows up to the linked
# library, macOS and Linux on ARM as far as the Rust compiler checks. Nothing runs; see the table in DEVELOPMENT.md.
#
# Needs rustup, gcc-mingw-w64-x86-64 (Debian's name) and pip, from which it takes zig as C compiler for the others.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
work=$root/build/platforms
mkdir -p "$work"
rm -rf "$work/keycap"
tar xf build/dist/keycap_*.tar.gz -C "$work"
(cd "$work/keycap/src/rust" && tar xf vendor.tar.xz)
R_INCLUDE_DIR=$(sh tools/with-r.sh Rscript --vanilla -e 'cat(R.home("include"))')
export R_INCLUDE_DIR
rustup target add x86_64-pc-windows-gnu aarch64-apple-darwin x86_64-apple-darwin aarch64-unknown-linux-gnu
[ -d "$work/zig" ] || python3 -m pip install --quiet --target "$work/zig" ziglang

run_cargo() { # run_cargo COMMAND...
  (cd "$work/keycap/src/rust" && cargo "$@" --locked --offline --target-dir "$work/target" \
    --config 'source.crates-io.replace-with="vendored"' --config 'source.vendored.directory="vendor"')
}

check_with_zig() { # check_with_zig RUST-TARGET ZIG-TARGET
  cat > "$work/cc" <<EOF
#!/bin/sh
# Takes the flags out that name the target in another compiler's words.
for flag; do
  shift
  case \$flag in --target=* | -arch | arm64 | x86_64 | -mmacosx-version-min=*) ;; *) set -- "\$@" "\$flag" ;; esac
done
PYTHONPATH=$work/zig exec python3 -m ziglang cc -target $2 "\$@"
EOF
  chmod +x "$work/cc"
  name=$(echo "$1" | tr - _)
  (export "CC_$name=$work/cc" "AR_$name=ar" PKG_CONFIG_ALLOW_CROSS=1 && run_cargo check --target "$1")
  echo "keycap: $1 is checked"
}

windows() {
  CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=x86_64-w64-mingw32-gcc
  export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER
  run_cargo build --lib --release --target x86_64-pc-windows-gnu
  libs=$(sed -n 's/.*libs="\(-lws2_32.*\)"$/\1/p' configure)
  cd "$work"
  for file in entrypoint within; do
    x86_64-w64-mingw32-gcc -I"$R_INCLUDE_DIR" -c "keycap/src/$file.c" -o "$file.o"
  done
  # Whatever is undefined must be R's: the list of libraries in configure is complete.
  link="x86_64-w64-mingw32-gcc -shared -o keycap.dll entrypoint.o within.o -Ltarget/x86_64-pc-windows-gnu/release -lkeycapr"
  # shellcheck disable=SC2086
  $link $libs > link.log 2>&1 || true
  sed -n "s/.*undefined reference to \`\(__imp_\)*\([^']*\)'.*/\2/p" link.log | sort -u > undefined
  nm -D --defined-only "$(sh "$root/tools/with-r.sh" Rscript --vanilla -e 'cat(R.home("lib"))')/libR.so" |
    awk '{ print $3 }' | sort -u > of-R
  foreign=$(comm -23 undefined of-R)
  [ -z "$foreign" ] || { echo "keycap: Windows: no library of configure has: $foreign" >&2; exit 1; }
  { echo "LIBRARY R.dll"; echo EXPORTS; cat undefined; } > R.def
  x86_64-w64-mingw32-dlltool -d R.def -l libR.dll.a
  # shellcheck disable=SC2086
  $link $libs -L. -lR
  cd "$root"
  echo "keycap: x86_64-pc-windows-gnu is linked"
}

windows
check_with_zig aarch64-apple-darwin aarch64-macos
check_with_zig x86_64-apple-darwin x86_64-macos
check_with_zig aarch64-unknown-linux-gnu aarch64-linux-gnu
