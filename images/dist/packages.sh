#!/usr/bin/env bash
# The tarball and the Debian package, of target/static/root.
set -euo pipefail
cd "$(dirname "$0")/../.."
. images/dist/common.sh

root=target/static/root
name=corematrix-$version-$machine-linux
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say "tarball"
cp -a "$root" "$work/$name"
archive "$work" "$name" | gzip -9n > "$out/$name.tar.gz"

say "Debian package"
deb=$work/deb
mkdir -p "$deb/DEBIAN" "$deb/usr"
cp -a "$root/." "$deb/usr/"
# Where Debian's zsh looks.
mkdir -p "$deb/usr/share/zsh/vendor-completions"
mv "$deb/usr/share/zsh/site-functions/_corematrix" "$deb/usr/share/zsh/vendor-completions/"
rmdir "$deb/usr/share/zsh/site-functions"
doc=$deb/usr/share/doc/corematrix
mv "$doc/LICENSE" "$doc/copyright"
mv "$doc/CHANGELOG.md" "$doc/changelog"
gzip -9n "$doc/changelog" "$doc/THIRD-PARTY" "$deb"/usr/share/man/man1/*
# virtme-ng is in Debian 13 and Ubuntu, not in Debian 12; `corematrix setup` knows what is new enough.
cat > "$deb/DEBIAN/control" <<CONTROL
Package: corematrix
Version: $version
Architecture: amd64
Maintainer: the corematrix developers <corematrix@localhost>
Section: devel
Priority: optional
Installed-Size: $(find "$deb/usr" -type f -printf '%s\n' | awk '{ kib += int(($1 + 1023) / 1024) } END { print kib }')
Depends: qemu-system-x86, curl, binutils, ca-certificates
Recommends: virtme-ng (>= 1.35)
Suggests: python3-venv
Description: boots a matrix of kernels and loads the same CO-RE eBPF object in each
 corematrix boots Linux kernels under QEMU, loads an unchanged eBPF object in each
 by libbpf, and reports which programs load where, and why not. It is one static
 executable. Where virtme-ng is missing or too old, "corematrix setup" installs it.
CONTROL
find "$deb" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --threads-max=1 --build "$deb" "$out/corematrix_${version}_amd64.deb" > /dev/null
