#!/usr/bin/env bash
# The OCI image: Debian with QEMU, virtme-ng, curl and binutils, and corematrix from the package in target/dist. Run as root, or where users may
# have namespaces.
set -euo pipefail
cd "$(dirname "$0")/../.."
. images/dist/common.sh

release=trixie
name=corematrix-$version-$machine-oci
deb=$out/corematrix_${version}_amd64.deb
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say "root file system of Debian ($release)"
# The archive that this machine itself uses, and its security updates where it has those.
uri=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | awk '$2 !~ /-/ && $3 == "main" {print $1; exit}')
security=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | awk '$2 ~ /-security$/ {print $1; exit}')
[ -n "$uri" ] || fail "apt's sources name no archive of Debian" "the image is made on Debian"
{
    echo "deb $uri $release main"
    [ -z "$security" ] || echo "deb $security $release-security main"
} > "$work/sources.list"
# The package brings what it depends on; virtme-ng, which it only recommends, is named. Logs and caches differ each time.
mmdebstrap --quiet --variant=minbase --include=virtme-ng,qemu-system-x86,curl,binutils,ca-certificates \
    --customize-hook="upload '$deb' /corematrix.deb" \
    --customize-hook='chroot "$1" dpkg --install /corematrix.deb > /dev/null' \
    --customize-hook='rm -rf "$1/corematrix.deb" "$1"/var/log/* "$1"/var/cache/* "$1"/usr/share/locale/* "$1"/usr/share/doc/*/*changelog*' \
    --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/lib/dpkg/*-old && mkdir -p "$1/var/lib/apt/lists/partial" "$1/var/cache/apt/archives/partial"' \
    --customize-hook="chroot \"\$1\" dpkg-query -W -f '\${Package}\t\${Version}\t\${Architecture}\n' > '$work/packages'" \
    --customize-hook='mkdir "$1/store" "$1/work"' \
    "$release" "$work/root.tar" "$work/sources.list"

say "image"
created=$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
history=(--history.created "$created" --history.created_by "images/dist/image.sh")
umoci init --layout "$work/image"
umoci new --image "$work/image:$version"
umoci raw add-layer --image "$work/image:$version" "${history[@]}" "$work/root.tar"
# No entry point: engines of continuous integration start a shell in it.
umoci config --image "$work/image:$version" "${history[@]}" --created "$created" --author "the corematrix developers" \
    --architecture amd64 --os linux --config.cmd corematrix --config.cmd --help --config.workingdir /work \
    --config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --config.env COREMATRIX_STORE=/store --config.volume /store \
    --manifest.annotation "org.opencontainers.image.version=$version" --manifest.annotation "org.opencontainers.image.licenses=MIT"
umoci gc --layout "$work/image"
archive "$work/image" . > "$out/$name.tar"
images/dist/sbom.sh --image "$work/packages"
