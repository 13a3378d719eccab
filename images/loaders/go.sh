#!/usr/bin/env bash
# Unpacks Go and the newest cilium/ebpf of Debian's archive below a directory, for `make loaders`. Installs nothing, and needs no root: the
# stable release's own cilium/ebpf is too old for the types of kernels from 6.0 on.
set -euo pipefail

# Go of a release that is frozen, and the library of the archive's newest packages.
go_release=trixie
go_packages=(golang-1.24-go golang-1.24-src)
library_release=sid
library_packages=(golang-github-cilium-ebpf-dev golang-golang-x-sys-dev)
# Signs the archive.
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

fail() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 2; }

[ $# = 1 ] || fail "go.sh takes a folder" "images/loaders/go.sh target/loaders/go"
command -v apt-get >/dev/null || fail "there is no apt-get" "unpack Go and cilium/ebpf by hand; images/loaders/README.md says where"
mkdir -p "$1"
folder=$(cd "$1" && pwd)
[ ! -e "$folder/version" ] || exit 0

uri=$(apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' 'Created-By: Packages' | awk '$2 == "main" && /\/debian\/? / {print $1; exit}')
[ -n "$uri" ] || fail "apt has no source of Debian's main archive" "unpack Go and cilium/ebpf by hand; images/loaders/README.md says where"
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/root"
for release in "$go_release" "$library_release"; do
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$uri" "$release"
done > "$state/sources.list"
options=(-o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$state/lists"
    -o "Dir::Cache=$state/cache" -o APT::Sandbox::User=root -o "Acquire::Languages=none" -o "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false")
echo "loaders: fetching Go and cilium/ebpf"
apt-get "${options[@]}" update -q=2
(cd "$state" && apt-get "${options[@]}" download -q=2 "${go_packages[@]/%//$go_release}" "${library_packages[@]/%//$library_release}")
for package in "$state"/*.deb; do
    dpkg-deb -x "$package" "$state/root"
done
# The package's links lead out of the directory in which it is unpacked, but for these.
root=$(echo "$state"/root/usr/lib/go-*)
ln -sfn "../../share/$(basename "$root")/src" "$root/src"
rm -rf "$folder/usr"
mv "$state/root/usr" "$folder/usr"
dpkg-deb -f "$state"/golang-github-cilium-ebpf-dev_*.deb Version | sed -E 's/^[0-9]+://; s/[+-].*//' > "$folder/version"
