#!/bin/sh
# Installs QEMU from the backports of a Debian release, by a source for this once that apt's own lists do not get. Run as root.
# setup.sh calls it, and `corematrix setup` has it inside.
set -eu
release=$1
uri=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | awk -v r="$release" '$2 == r {print $1; exit}')
if [ -z "$uri" ]; then
    echo "error: no source for $release among apt's sources" >&2
    echo "hint: add Debian's main archive to them" >&2
    exit 2
fi
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state/lists/partial"
key=/usr/share/keyrings/debian-archive-keyring.gpg
for suite in "$release-backports" "$release"; do echo "deb [signed-by=$key] $uri $suite main"; done > "$state/sources.list"
# apt reads as a user of its own.
chmod -R a+rX "$state"
with_backports() {
    DEBIAN_FRONTEND=noninteractive apt-get -o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o "Dir::State::Lists=$state/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= "$@"
}
with_backports update -q
with_backports install -q -y --no-install-recommends -t "$release-backports" qemu-system-x86
