#!/bin/sh
# Installs corematrix: fetches the tarball of a release, compares its checksum, and unpacks it.
#
#   sh install.sh [--version VERSION] [--prefix DIR] [--from URL|DIR]
#
# --version  a release, such as 0.1.0 [default: the latest]
# --prefix   where it goes [default: /usr/local for root, else ~/.local]
# --from     the address or directory that has SHA256SUMS and the tarballs
#            [default: the releases of the repository, COREMATRIX_RELEASES or https://github.com/OWNER/corematrix/releases]
set -eu
umask 022

say() { printf 'install: %s\n' "$*"; }
fail() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 2; }

version='' prefix='' from=''
while [ $# -gt 0 ]; do
    case "$1" in
        --version | --prefix | --from)
            [ $# -ge 2 ] || fail "$1 needs a value" "sh install.sh [--version VERSION] [--prefix DIR] [--from URL|DIR]"
            case "$1" in --version) version=${2#v} ;; --prefix) prefix=$2 ;; --from) from=$2 ;; esac
            shift 2 ;;
        *) fail "install.sh does not know \`$1\`" "sh install.sh [--version VERSION] [--prefix DIR] [--from URL|DIR]" ;;
    esac
done

[ "$(uname -s)" = Linux ] || fail "corematrix runs on Linux, and this is $(uname -s)" "use a machine or a container with Linux"
machine=$(uname -m)
[ "$machine" = x86_64 ] || fail "there is no corematrix for $machine" "it is made for x86_64"
for tool in tar gzip sha256sum; do command -v "$tool" >/dev/null || fail "\`$tool\` is missing" "install it first"; done
if [ -z "$prefix" ]; then
    if [ "$(id -u)" = 0 ]; then prefix=/usr/local
    elif [ -n "${HOME:-}" ]; then prefix=$HOME/.local
    else fail "HOME is not set" "name a directory by --prefix"; fi
fi
if [ -z "$from" ]; then
    releases=${COREMATRIX_RELEASES:-https://github.com/OWNER/corematrix/releases}
    if [ -n "$version" ]; then from=$releases/download/v$version; else from=$releases/latest/download; fi
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
fetch() { # NAME
    case "$from" in
        http://* | https://*)
            if command -v curl >/dev/null; then curl -fsSL --retry 3 -o "$work/$1" "$from/$1"
            elif command -v wget >/dev/null; then wget -q -O "$work/$1" "$from/$1"
            else fail "neither curl nor wget is here" "install one of them"; fi ;;
        *) cp "${from#file://}/$1" "$work/$1" ;;
    esac || fail "cannot fetch $1 from $from" "is the address right, and is there such a release?"
}

fetch SHA256SUMS
if [ -z "$version" ]; then
    version=$(sed -n "s/^[0-9a-f]*  corematrix-\(.*\)-$machine-linux\.tar\.gz\$/\1/p" "$work/SHA256SUMS" | sort -V | tail -n 1)
    [ -n "$version" ] || fail "$from has no release for $machine" "is it the directory of a release?"
fi
name=corematrix-$version-$machine-linux
grep "^[0-9a-f]\{64\}  $name\.tar\.gz\$" "$work/SHA256SUMS" > "$work/sum" || fail "$from has no $name.tar.gz" "choose another --version"
fetch "$name.tar.gz"
(cd "$work" && sha256sum -c sum >/dev/null 2>&1) || fail "$name.tar.gz is not what SHA256SUMS says" "the download is damaged: try again; nothing was installed"
tar -C "$work" -xzf "$work/$name.tar.gz" || fail "$name.tar.gz cannot be unpacked" "is the disk full? nothing was installed"
if ! mkdir -p "$prefix/bin" 2>/dev/null || ! [ -w "$prefix/bin" ]; then
    fail "$prefix cannot be written" "name another directory by --prefix, or be root"
fi
cp -R "$work/$name/share" "$prefix/"
# By one rename: one that runs goes on, and half of one is never there.
cp "$work/$name/bin/corematrix" "$prefix/bin/.corematrix.$$"
mv -f "$prefix/bin/.corematrix.$$" "$prefix/bin/corematrix"
say "corematrix $version is in $prefix/bin"
case ":${PATH:-}:" in *":$prefix/bin:"*) ;; *) say "put $prefix/bin on the PATH" ;; esac
say "next: corematrix setup"
