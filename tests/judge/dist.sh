#!/usr/bin/env bash
# Installs what `make dist` made in bare chroots of Debian 12 and 13, which have nothing else, and takes the time from there to the first verdict on
# a real object; then runs the OCI image. Run as root, with the network. A figure counts from the download of the kernel on.
#
#   tests/judge/dist.sh [OBJECT]
set -euo pipefail
cd "$(dirname "$0")/../.."
. images/dist/common.sh

object=${1:-target/programs/inode-ctime.bpf.o}
kernel=6.1
limit=60
[ "$(id -u)" = 0 ] || fail "chroots need root" "run it by sudo"
[ -e "$out/SHA256SUMS" ] || fail "there is nothing in $out" "make dist"
[ -e "$object" ] || fail "there is no $object" "make programs"

work=$(mktemp -d "${TMPDIR:-/tmp}/corematrix-chroot-XXXXXX")
roots=()
clean() {
    local root
    for root in "${roots[@]}"; do umount -l "$root/proc" "$root/dev/shm" 2>/dev/null || true; done
    rm -rf --one-file-system "$work"
}
trap clean EXIT
uri=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | awk '$2 !~ /-/ && $3 == "main" {print $1; exit}')
[ -n "$uri" ] || fail "apt's sources name no archive of Debian" "run it on Debian"

# Makes what a chroot needs to run programs, and no more. Certificates that this machine trusts beside Debian's are for its network.
prepare() { # ROOT
    roots+=("$1")
    mount -t proc proc "$1/proc"
    mkdir -p "$1/dev/shm"
    mount -t tmpfs tmpfs "$1/dev/shm"
    cp /etc/resolv.conf "$1/etc/resolv.conf"
    mkdir -p "$1/usr/local/share/ca-certificates" "$1/dist" "$1/work"
    cp /usr/local/share/ca-certificates/*.crt "$1/usr/local/share/ca-certificates/" 2>/dev/null || true
    cp "$object" "$1/work/my.bpf.o"
}
inside() { # ROOT COMMAND...
    local root=$1 variable kept=()
    shift
    for variable in http_proxy https_proxy no_proxy PIP_CERT PIP_INDEX_URL; do [ -z "${!variable:-}" ] || kept+=("$variable=${!variable}"); done
    chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C "${kept[@]}" \
        sh -c 'cd /work && exec "$@"' sh "$@"
}
seconds() { awk -v from="$1" -v to="$(date +%s.%N)" 'BEGIN { printf "%.1f", to - from }'; }

# Fetches a kernel and judges the object: the first verdict counts.
first_verdict() { # ROOT NAME
    local begin
    begin=$(date +%s.%N)
    inside "$1" corematrix kernels pull "$kernel" > "$work/$2.pull" 2>&1 || { cat "$work/$2.pull"; fail "$2: no kernel" "see above"; }
    pulled=$(seconds "$begin")
    begin=$(date +%s.%N)
    # Exit code 1 is a verdict, too.
    inside "$1" corematrix run my.bpf.o --kernel "$kernel" > "$work/$2.run" 2>&1 || [ $? -eq 1 ] || { cat "$work/$2.run"; fail "$2: no verdict" "see above"; }
    judged=$(seconds "$begin")
    sed -n '/^ *'"$kernel"'/,/^$/p' "$work/$2.run"
}
conclude() { # NAME
    say "$1: kernel fetched in $pulled s, first verdict ${judged} s after that"
    awk -v took="$judged" -v limit="$limit" 'BEGIN { exit took > limit }' || fail "$1: the first verdict took more than $limit s" "is the machine busy?"
}

for release in bookworm trixie; do
    root=$work/$release
    say "$release: bare chroot"
    mmdebstrap --quiet --variant=minbase "$release" "$root" "deb $uri $release main"
    prepare "$root"
    cp "$out"/corematrix-*.tar.gz "$out"/corematrix_*.deb "$out/install.sh" "$out/SHA256SUMS" "$root/dist/"
    begin=$(date +%s.%N)
    # Debian 12 gets the tarball, Debian 13 the package.
    if [ "$release" = bookworm ]; then
        inside "$root" sh /dist/install.sh --from /dist
    else
        inside "$root" apt-get update -q > "$work/$release.log" 2>&1
        inside "$root" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "/dist/corematrix_${version}_amd64.deb" \
            >> "$work/$release.log" 2>&1 || { tail -20 "$work/$release.log"; fail "$release: the package cannot be installed" "see above"; }
    fi
    # No one is there to ask.
    inside "$root" corematrix setup < /dev/null > "$work/$release.asked" 2>&1 && fail "$release: setup found all there" "is the chroot bare?"
    grep -q 'corematrix setup --yes' "$work/$release.asked" || { cat "$work/$release.asked"; fail "$release: setup does not say what to do" "see above"; }
    inside "$root" corematrix setup --yes > "$work/$release.setup" 2>&1 || { tail -30 "$work/$release.setup"; fail "$release: setup failed" "see above"; }
    say "$release: installed and set up in $(seconds "$begin") s"
    tail -5 "$work/$release.setup"
    first_verdict "$root" "$release"
    conclude "$release"
    inside "$root" corematrix doctor --accel tcg --kernel "$kernel"
    inside "$root" bash -c 'for folder in /usr /usr/local; do ! [ -e $folder/share/bash-completion/completions/corematrix ] || . $folder/share/bash-completion/completions/corematrix; done; complete -p corematrix' > /dev/null
    umount -l "$root/proc" "$root/dev/shm"
    rm -rf --one-file-system "$root"
done

image=$out/corematrix-$version-$machine-oci.tar
if [ -e "$image" ]; then
    say "OCI image"
    mkdir "$work/layout"
    tar -C "$work/layout" -xf "$image"
    umoci unpack --image "$work/layout:$version" "$work/bundle" > /dev/null
    root=$work/bundle/rootfs
    prepare "$root"
    inside "$root" apt-get update -q > /dev/null 2>&1
    inside "$root" corematrix setup
    first_verdict "$root" image
    conclude image
fi
say "passed"
