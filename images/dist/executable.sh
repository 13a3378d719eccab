#!/usr/bin/env bash
# The static executable, its manual pages and completions, and the licences of all that is in it: target/static/root, laid out as below /usr.
set -euo pipefail
cd "$(dirname "$0")/../.."
. images/dist/common.sh

triple=$machine-unknown-linux-gnu
target=target/static
root=$target/root
home=${CARGO_HOME:-$HOME/.cargo}

# No path of this machine in what is made: not in panics' places, and not in C's assertions.
export RUSTFLAGS="-Ctarget-feature=+crt-static --remap-path-prefix=$PWD=/corematrix --remap-path-prefix=$home=/cargo"
export CFLAGS="-ffile-prefix-map=$PWD=/corematrix -ffile-prefix-map=$home=/cargo"
say "building corematrix $version for $triple"
"${CARGO:-cargo}" build --release --locked --target "$triple" --target-dir "$target" --package corematrix --package corematrix-pages
built=$target/$triple/release
if readelf --program-headers "$built/corematrix" | grep -q INTERP; then
    fail "the executable needs an interpreter" "are there static libraries (libelf-dev, zlib1g-dev, libzstd-dev)?"
fi

rm -rf "$root"
mkdir -p "$root/share/doc/corematrix"
install -D -m 755 "$built/corematrix" "$root/bin/corematrix"
"$built/corematrix-pages" "$root/share"
cp -R LICENSE README.md CHANGELOG.md docs "$root/share/doc/corematrix/"
images/dist/licences.sh > "$root/share/doc/corematrix/THIRD-PARTY"
