#!/usr/bin/env bash
# Builds Debian's kernel source with `source = "build"` (vng --build, images/bpf.config), boots the kernel, and loads the programs of this
# project on it. Takes a quarter of an hour on 2 cores, so it is no part of the tests. Usage: tests/judge/build.sh [TREE]
# TREE: a git tree of the kernel; without one, the source that Debian packages is taken, which has to be installed (linux-source).
set -euo pipefail
cd "$(dirname "$0")/../.."

needed=(flex bison bc pahole gcc make git)
for tool in "${needed[@]}"; do
    command -v "$tool" >/dev/null || { printf 'error: `%s` is missing\nhint: apt-get install linux-source flex bison bc dwarves libssl-dev libelf-dev\n' "$tool" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=${1:-}
version=HEAD
if [ -z "$tree" ]; then
    archive=$(ls /usr/src/linux-source-*.tar.xz 2>/dev/null | sort -V | tail -1)
    [ -n "$archive" ] || { printf 'error: there is no kernel source in /usr/src\nhint: apt-get install linux-source\n' >&2; exit 2; }
    tree=$work/linux
    echo "build: unpacking $(basename "$archive")"
    mkdir "$tree"
    tar xf "$archive" -C "$tree" --strip-components=1
    git -C "$tree" init -q
    git -C "$tree" add -A -f
    git -C "$tree" -c user.name=corematrix -c user.email=corematrix@example.org commit -qm "$(basename "$archive")"
fi
cat > "$work/kernels.toml" <<EOF
[kernel.built]
source = "build"
tree = "$(realpath "$tree")"
version = "$version"
config = "$PWD/images/bpf.config"
EOF
ln -s "$PWD/.venv" "$work/.venv"
corematrix=$PWD/target/release/corematrix
"$corematrix" --manifest "$work/kernels.toml" kernels pull built
"$corematrix" --manifest "$work/kernels.toml" kernels verify --kernel built --boot
# Some stories fail on every kernel of a series: what counts is that every program was judged.
"$corematrix" --manifest "$work/kernels.toml" run target/programs --kernel built --out "$work/report" | tail -4 || [ $? -eq 1 ]
