"""Makes TUF repositories for a test, with python-tuf's own metadata API and the keys and expiry that a publisher would choose. As in Bottlerocket's, all but roots
expire at a fraction of a second.

Arguments: a directory to write to, and the image of each version as VERSION=FILE, oldest first. Made are `targets/`, and the metadata of one repository at
several times, each in a directory of its own.
"""

import hashlib
import json
import os
import shutil
import sys
from datetime import datetime, timedelta, timezone

from securesystemslib.formats import encode_canonical
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


def root(version, signer):
    content = Root(version=version, expires=in_a_week, consistent_snapshot=True)
    content.add_key(signer.public_key, "root")
    for role in ("targets", "snapshot", "timestamp"):
        content.add_key(signers[role].public_key, role)
    metadata = Metadata(content)
    for signer in {signers["root"], signer}:
        metadata.sign(signer, append=True)
    return metadata


def target(version, sums="sha256"):
    path = images[version]
    return TargetFile.from_file(NAME.format(version), path, [sums])


def repository(folder, version, listed, expires=in_a_week, timestamp_signer="timestamp", newest_root=1):
    folder = os.path.join(out, folder)
    os.makedirs(folder)

    def write(name, role, content):
        signed = content.to_dict()
        signed["expires"] = signed["expires"].replace("Z", ".953595765Z")
        signature = signers[role].sign(encode_canonical(signed).encode())
        with open(os.path.join(folder, name), "w") as file:
            json.dump({"signed": signed, "signatures": [signature.to_dict()]}, file, indent=2)

    for root_version, metadata in ((1, first), (2, second))[:newest_root]:
        metadata.to_file(os.path.join(folder, f"{root_version}.root.json"), serializer)
    write(f"{version}.targets.json", "targets", Targets(version=version, expires=in_a_week, targets=listed))
    snapshot = Snapshot(version=version, expires=in_a_week, meta={"targets.json": MetaFile(version)})
    write(f"{version}.snapshot.json", "snapshot", snapshot)
    write("timestamp.json", timestamp_signer, Timestamp(version=version, expires=expires, snapshot_meta=MetaFile(version)))


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
