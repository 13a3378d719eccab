#!/usr/bin/env bash
# Prints the licences of what is linked into the executable: of each crate its own files, of C libraries those of their Debian packages. A
# text that several have is printed once.
set -euo pipefail
cd "$(dirname "$0")/../.."
. images/dist/common.sh

seen=$(mktemp)
trap 'rm -f "$seen"' EXIT
texts() { # FILE...
    local file sum first
    for file in "$@"; do
        [ -f "$file" ] || continue
        sum=$(sha256sum < "$file" | cut -c1-64)
        first=$(awk -v sum="$sum" '$1 == sum { $1 = ""; print substr($0, 2); exit }' "$seen")
        if [ -n "$first" ]; then
            printf '\n(%s: as in %s)\n' "${file##*/}" "$first"
        else
            printf '%s %s\n' "$sum" "$name" >> "$seen"
            printf '\n--- %s\n' "${file##*/}"
            cat "$file"
        fi
    done
}

echo "corematrix $version is under the MIT licence (LICENSE). It links what follows; its sources, and how it is linked, are in its repository,"
echo "so that it can be linked again with other versions of these libraries."
crates=$(linked_crates)
"${CARGO:-cargo}" metadata --locked --format-version 1 \
    | jq -r '.packages[] | select(.source) | "\(.name)@\(.version)\t\(.license // "see its files")\t\(.manifest_path)"' | sort -u \
    | while IFS=$'\t' read -r name licence manifest; do
        grep -qxF "$name" <<< "$crates" || continue
        printf '\n================ %s: %s\n' "$name" "$licence"
        folder=${manifest%/*}
        texts "$folder"/{LICEN[CS]E,COPYING,COPYRIGHT,NOTICE,UNLICENSE}* "$folder"/libbpf/LICENSE*
    done
for package in libc6-dev libelf-dev zlib1g-dev libzstd-dev; do
    name=$package
    printf '\n================ %s (Debian)\n' "$package"
    texts "/usr/share/doc/$package/copyright"
done
