#!/usr/bin/env bash
# Makes what is released twice, from two exports of the commit in two directories, and compares every byte.
set -euo pipefail
cd "$(dirname "$0")/../.."
. images/dist/common.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/corematrix-dist-XXXXXX")
trap 'rm -rf "$work"' EXIT
[ -z "$(git status --porcelain)" ] || say "note: what is not committed is not checked"
for folder in first another/place; do
    mkdir -p "$work/$folder/target"
    git archive HEAD | tar -C "$work/$folder" -xf -
    [ ! -d target/tools ] || ln -s "$PWD/target/tools" "$work/$folder/target/tools"
    say "making it in $folder"
    (cd "$work/$folder" && images/dist/dist.sh "$@")
done
if diff "$work/first/$out/SHA256SUMS" "$work/another/place/$out/SHA256SUMS"; then
    say "reproducible: $(wc -l < "$work/first/$out/SHA256SUMS") files are the same to the byte"
else
    fail "two builds of one commit differ" "the files are listed above; diffoscope shows where"
fi
