"""Makes TUF repositories for a test, with python-tuf's own metadata API and the keys and expiry that a publisher would choose.

Arguments: a directory to write to, and the image of each version as VERSION=FILE, oldest first. Made are `targets/`, and the metadata of one repository at
several times, each in a directory of its own.
"""

import hashlib
import os
import shutil
import sys
from datetime import datetime, timedelta, timezone

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Role, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

out, images = sys.argv[1], dict(argument.split("=", 1) for argument in sys.argv[2:])
NAME = "bottlerocket-aws-k8s-1.35-x86_64-v{}.img.lz4"
in_a_week = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=7)
yesterday = in_a_week - timedelta(days=8)
serializer = JSONSerializer(compact=False)
# Bottlerocket signs with RSA; the other kind is quicker made.
signers = {role: CryptoSigner.generate_ed25519() for role in ("targets", "snapshot", "timestamp", "stranger")}
signers["root"] = CryptoSigner.generate_rsa(size=2048)
next_root = CryptoSigner.generate_ed25519()


def signed(role, content, *more):
    metadata = Metadata(content)
    for signer in (signers[role], *more):
        metadata.sign(signer, append=True)
    return metadata


def root(version, signer):
    content = Root(version=version, expires=in_a_week, consistent_snapshot=True)
    content.add_key(signer.public_key, "root")
    for role in ("targets", "snapshot", "timestamp"):
        content.add_key(signers[role].public_key, role)
    return signed("root", content, *([] if version == 1 else [signer]))


def target(version, sums="sha256"):
    path = images[version]
    return TargetFile.from_file(NAME.format(version), path, [sums])


def repository(folder, version, listed, expires=in_a_week, timestamp_signer="timestamp", newest_root=1):
    folder = os.path.join(out, folder)
    os.makedirs(folder)

    def write(name, metadata):
        metadata.to_file(os.path.join(folder, name), serializer)

    write("1.root.json", first)
    if newest_root == 2:
        write("2.root.json", second)
    write(f"{version}.targets.json", signed("targets", Targets(version=version, expires=in_a_week, targets=listed)))
    snapshot = Snapshot(version=version, expires=in_a_week, meta={"targets.json": MetaFile(version)})
    write(f"{version}.snapshot.json", signed("snapshot", snapshot))
    timestamp = Timestamp(version=version, expires=expires, snapshot_meta=MetaFile(version))
    write("timestamp.json", signed(timestamp_signer, timestamp))


os.makedirs(os.path.join(out, "targets"))
for version, path in images.items():
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    shutil.copy(path, os.path.join(out, "targets", f"{digest}.{NAME.format(version)}"))

first, second = root(1, signers["root"]), root(2, next_root)
first.to_file(os.path.join(out, "root.json"), serializer)
both = [target(version) for version in images]
listed = {one.path: one for one in both}
oldest, newest = images
# The image of the data disk, as an aws variant has it beside that of the system.
listed[NAME.format(f"{newest}-data")] = target(newest)
other = NAME.format("9.9.9")
repository("old", 1, {NAME.format(oldest): target(oldest)})
repository("new", 2, listed, newest_root=2)
repository("expired", 3, listed, expires=yesterday, newest_root=2)
repository("forged", 3, listed, timestamp_signer="stranger", newest_root=2)
repository("withdrawn", 4, {NAME.format(oldest): target(oldest)}, newest_root=2)
repository("changed", 5, {NAME.format(oldest): target(newest)}, newest_root=2)
repository("weak", 6, {NAME.format(oldest): target(oldest, "sha512")}, newest_root=2)
