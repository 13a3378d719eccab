#!/usr/bin/env bash
# What is in the executable, and with `--image PACKAGES` in the image, as CycloneDX. PACKAGES lists Debian packages: name, version, machine.
set -euo pipefail
cd "$(dirname "$0")/../.."
. images/dist/common.sh

created=$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
executable=$out/corematrix-$version-$machine-linux.cdx.json

# A component for each line of name, version and machine.
debian_components() {
    jq -R -s '[split("\n")[] | select(. != "") | split("\t") | {
        type: "library", name: .[0], version: .[1],
        "bom-ref": "pkg:deb/debian/\(.[0])@\(.[1] | @uri)?arch=\(.[2])", purl: "pkg:deb/debian/\(.[0])@\(.[1] | @uri)?arch=\(.[2])"
    }] | sort_by(."bom-ref")'
}

if [ "${1:-}" = --image ]; then
    say "SBOM of the image"
    debian_components < "$2" | jq --slurpfile inside "$executable" --arg version "$version" --arg created "$created" '{
        bomFormat: "CycloneDX", specVersion: $inside[0].specVersion, version: 1,
        metadata: { timestamp: $created, component: { type: "container", name: "corematrix", version: $version, "bom-ref": "image" } },
        components: (. + [$inside[0].metadata.component | del(.components)] + $inside[0].components)
    }' > "$out/corematrix-$version-$machine-oci.cdx.json"
    exit
fi

say "SBOM"
export PATH="$PWD/target/tools/bin:$PATH"
# It writes beside each Cargo.toml.
name=corematrix-sbom
clean() { find . -path ./target -prune -o -name "$name.json" -exec rm -f {} +; }
trap clean EXIT
"${CARGO:-cargo}" cyclonedx --quiet --format json --target "$machine-unknown-linux-gnu" --no-build-deps --override-filename "$name"
# C libraries that are linked in, as this machine has them.
libraries=$(for package in libc6-dev libelf-dev zlib1g-dev; do dpkg-query -W -f '${Package}\t${Version}\t${Architecture}\n' "$package"; done | debian_components)
linked=$(linked_crates | jq -R -s 'split("\n") | map(select(. != ""))')
# It lists what features may bring; what is not linked is left out.
jq -s --argjson libraries "$libraries" --argjson linked "$linked" --arg created "$created" --arg root "path+file://$PWD" '
    [.[].components[] | select("\(.name)@\(.version)" as $name | $linked | index($name))] as $crates
    | ([$crates[]."bom-ref"] + [.[].metadata.component."bom-ref"]) as $refs
    | .[0] + {
        components: ([$crates[], .[1].metadata.component] + $libraries | unique_by(."bom-ref")),
        dependencies: ([.[].dependencies[] | select(.ref | IN($refs[])) | .dependsOn = [.dependsOn[]? | select(IN($refs[]))]] | unique_by(.ref))
    }
    | del(.serialNumber) | .metadata.timestamp = $created
    | walk(if type == "string" then split($root) | join("path+file://") else . end)
' "$name.json" "harness/guest/$name.json" > "$executable"
