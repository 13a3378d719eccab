#!/usr/bin/env bash
# Holds what is said of relocations without a kernel against libbpf's own code, on the kernel's own conformance suite: `test_core_reloc_*` on
# `btf__core_reloc_*` of the selftests in Debian's linux-source packages, and on every kernel of the store.
#
#   tests/judge/relocations.sh [PACKAGE/SUITE...]      linux-source-6.1/bookworm linux-source-6.12/trixie
#
# ROUNDS=N changes types of each kernel in N ways for each object (40). Needs clang, xz and the headers of libbpf.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../bench/stock.sh"
cd "$project"

packages=("$@")
[ $# != 0 ] || packages=(linux-source-6.1/bookworm linux-source-6.12/trixie)
stock_begin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/objects" "$work/kernels"

for package in "${packages[@]}"; do
    name=${package%%/*}
    tree=$stock_cache/sources/$name
    if [ ! -d "$tree" ]; then
        say "fetching $name"
        stock_unpack "$work/$name" "$package" || fail "the package \`$name\` cannot be downloaded" "check the network"
        mkdir -p "$tree.new"
        tar --extract --xz --file "$work/$name/usr/src/$name.tar.xz" --directory "$tree.new" --strip-components 6 \
            --wildcards '*/tools/testing/selftests/bpf/progs/*core_reloc*' '*/tools/testing/selftests/bpf/progs/bpf_misc.h'
        rm -rf "$work/$name"
        mv "$tree.new" "$tree"
    fi
    "$corematrix" btf vmlinux-h "${name#linux-source-}" -o "$work/vmlinux.h"
    for source in "$tree"/*.c; do
        stem=$(basename "$source" .c)
        case $stem in
            btf__*) to=$work/kernels/$name-$stem.o ;;
            *) to=$work/objects/$name-$stem.o ;;
        esac
        clang -target bpf -g -O2 -w -D__TARGET_ARCH_x86 -D__x86_64__ -I"$work" -I"$tree" -I/usr/include/x86_64-linux-gnu -c "$source" -o "$to" \
            2> "$work/log" || { say "not compiled: $stem: $(grep -m 1 error "$work/log")"; rm -f "$to"; }
    done
done
say "$(find "$work/objects" -type f | wc -l) objects, $(find "$work/kernels" -type f | wc -l) sets of types"
COREMATRIX_RELO_OBJECTS=$work/objects COREMATRIX_RELO_BTF=$work/kernels COREMATRIX_RELO_ROUNDS=${ROUNDS:-40} \
    cargo test --profile checked --test core_relo -- every_object --nocapture
