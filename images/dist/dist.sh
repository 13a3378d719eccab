#!/usr/bin/env bash
# Makes what is released, in target/dist: a tarball with one static executable, a Debian package, an OCI image, an SBOM, checksums, and
# install.sh. The same commit gives the same bytes, as long as the compilers and Debian's archive are the same.
#
#   images/dist/dist.sh [--without-image]
set -euo pipefail
cd "$(dirname "$0")/../.."
. images/dist/common.sh

case "${1:-}" in
    "") image=1 ;;
    --without-image) image= ;;
    *) fail "dist.sh does not know \`$1\`" "it takes nothing, or \`--without-image\`" ;;
esac

rm -rf "$out"
mkdir -p "$out"
images/dist/executable.sh
images/dist/packages.sh
images/dist/sbom.sh
[ -z "$image" ] || images/dist/image.sh
cp images/dist/install.sh "$out/install.sh"
(cd "$out" && sha256sum -- * > .sums && mv .sums SHA256SUMS)
say "made in $out:"
(cd "$out" && ls -l -- * | awk '{print "  " $5 "\t" $9}')
