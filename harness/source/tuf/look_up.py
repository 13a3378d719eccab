"""Looks targets of a TUF repository up, with python-tuf, and says in JSON what is found or what is wrong.

The only argument is a file of JSON: `metadata` is the URL of the repository's metadata, `state` a directory for what is trusted of it, `root` a file with
a version of its root of trust. With `version`, all targets count that begin with `before` and end with `after`; else the one called `before`.
"""

import json
import os
import sys

# A metadata file that its signer gives no length is no longer than this.
LARGEST = 32 << 20
# Versions of the root after the one that is given, and roles that others are delegated to.
MOST_ROOTS = 64
MOST_DELEGATIONS = 16
# Targets of which one is chosen.
MOST_TARGETS = 10_000
# Seconds for a server to say something.
PATIENCE = 10


def answer(**what):
    json.dump(what, sys.stdout)
    sys.exit(0)


try:
    import inspect

    import cryptography  # noqa: F401 (verifies signatures)
    import tuf
    from tuf.api import exceptions
    from tuf.api.metadata import Metadata
    from tuf.ngclient import Updater, UpdaterConfig
    from tuf.ngclient.urllib3_fetcher import Urllib3Fetcher
except ImportError as error:
    answer(missing=str(error))
if "bootstrap" not in inspect.signature(Updater.__init__).parameters:
    answer(missing=f"python-tuf {tuf.__version__} is too old: 6 or later is needed")


class Fetcher(Urllib3Fetcher):
    """Remembers what is fetched, for messages."""

    file = ""

    def _fetch(self, url):
        self.file = url.rsplit("/", 1)[-1]
        return super()._fetch(url)


def words(error):
    """An error with its first cause; what urllib3 adds to a reason is left out."""
    cause = error.__cause__ or error
    text = str(getattr(cause, "reason", None) or cause).rsplit(">: ", 1)[-1]
    return text or type(error).__name__


def matching(name, asked):
    before, after = asked["before"], asked["after"]
    return name.startswith(before) and name.endswith(after) and len(name) > len(before) + len(after)


def look_up(asked, fetcher):
    with open(asked["root"], "rb") as file:
        root = file.read()
    config = UpdaterConfig(
        max_root_rotations=MOST_ROOTS,
        max_delegations=MOST_DELEGATIONS,
        snapshot_max_length=LARGEST,
        targets_max_length=LARGEST,
    )
    state = asked["state"]
    updater = Updater(state, asked["metadata"], fetcher=fetcher, config=config, bootstrap=root)
    updater.refresh()
    names = [asked["before"]]
    if asked["version"]:
        # `refresh` has verified it and written it there.
        listed = Metadata.from_file(os.path.join(state, "targets.json")).signed.targets
        names = [name for name in listed if matching(name, asked)]
        if len(names) > MOST_TARGETS:
            answer(untrusted=f"it lists more than {MOST_TARGETS} versions")
    found = [target for target in map(updater.get_targetinfo, names) if target is not None]
    answer(
        targets=[{"name": one.path, "length": one.length, "sha256": one.hashes.get("sha256")} for one in found],
        hash_in_name=Metadata.from_file(os.path.join(state, "root.json")).signed.consistent_snapshot is True,
    )


with open(sys.argv[1], encoding="utf-8") as file:
    asked = json.load(file)
fetcher = Fetcher(socket_timeout=PATIENCE)
try:
    look_up(asked, fetcher)
except exceptions.DownloadLengthMismatchError as error:
    answer(untrusted=f"`{fetcher.file}` is too long: {error}")
except exceptions.DownloadHTTPError as error:
    answer(status=error.status_code, file=fetcher.file)
except exceptions.DownloadError as error:
    answer(unreachable=words(error))
except exceptions.RepositoryError as error:
    answer(untrusted=str(error) or type(error).__name__)
