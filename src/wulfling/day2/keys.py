"""What cannot be made again, in one file that age(1) has encrypted: keys of the boards, of the
head, and of this machine.

Decrypted it is JSON, a text for each name, so that a person with age alone gets at everything.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from wulfling import proc
from wulfling.components.remote import KEY_FILE
from wulfling.day2.rack import Rack
from wulfling.errors import NodeFailed, Unreachable, WulflingError
from wulfling.node.program import SECRETS
from wulfling.transport import pins

FORMAT = "wulfling keys 1"
HERE, LOCK = "operator", "turn"
OF_THE_HEAD = (f"{SECRETS}/munge_key", KEY_FILE)
"""What a head can be given back; the rest of its secrets is also among the operator's."""

_INSTALL = "sudo apt-get install age"

_READ = """set -eu
for file in {patterns}; do
    [ -f "$file" ] || continue
    printf '%s %s\\n' "$file" "$(base64 -w0 "$file")"
done
"""
# printf is a part of the shell, so that no process has the data in its arguments.
_WRITE = """set -eu
umask 077
mkdir -p {folder}
printf %s {data} | base64 -d >{file}.new
sync {file}.new
mv {file}.new {file}
"""


async def gathered(rack: Rack) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Every file by name, ``operator/...`` and ``NODE/...``, and the boards that did not answer.
    Raises ``Unreachable`` when the head does not: without its secrets there is no point."""
    found = dict(_of_this_machine(rack.cluster.name))
    away = []
    for name in rack.addresses:
        head = name == rack.cluster.head
        patterns = "/etc/ssh/ssh_host_*" + (f" {SECRETS}/* {KEY_FILE}" if head else "")
        try:
            said = await rack.said(name, "sh", "-s", stdin=_READ.format(patterns=patterns))
        except Unreachable:
            if head:
                raise
            away.append(name)
            continue
        for line in said.splitlines():
            path, _, data = line.partition(" ")
            found[f"{name}{path}"] = base64.b64decode(data).decode("utf-8")
    return found, tuple(away)


def _of_this_machine(cluster: str) -> Iterator[tuple[str, str]]:
    folder = pins.state_directory(cluster)
    for place in sorted(folder.rglob("*")):
        name = place.relative_to(folder).as_posix()
        if (
            name != LOCK
            and place.is_file()
            and not any(part.startswith(".") for part in name.split("/"))
        ):
            try:
                yield f"{HERE}/{name}", place.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # a cache, and no key


def encrypt(files: Mapping[str, str], cluster: str, to: Sequence[str], out: Path) -> None:
    """Write them to ``out``, for the recipients ``to``: public keys of age or SSH, or files of
    such; for none of them age asks the person at the terminal for a passphrase.

    Nobody but us may read the file. Raises ``CommandFailed``.
    """
    who = [word for one in to for word in (("-R" if Path(one).is_file() else "-r"), one)]
    fresh = out.with_name(f".{out.name}.new")
    text = json.dumps({"format": FORMAT, "cluster": cluster, "files": dict(files)}, indent=1)
    try:
        fresh.unlink(missing_ok=True)
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        argv = ["age", "--encrypt", *(who or ["--passphrase"]), "-o", str(fresh)]
        proc.run(argv, stdin=text, hint=_INSTALL)
        with fresh.open("rb") as handle:
            os.fsync(handle.fileno())
        fresh.replace(out)
    except OSError as error:
        raise WulflingError(f"{out} cannot be written: {error.strerror}") from None
    finally:
        fresh.unlink(missing_ok=True)


def decrypt(file: Path, identity: Path | None, cluster: str) -> Mapping[str, str]:
    """What ``encrypt`` was given. Raises ``CommandFailed`` with what age says, and
    ``WulflingError`` when it is something else, or another cluster's."""
    key = ["-i", str(identity)] if identity else []
    said = proc.run(["age", "--decrypt", *key, str(file)], hint=_INSTALL).stdout
    try:
        whole = json.loads(said)
        known, of, files = whole["format"], whole["cluster"], dict(whole["files"])
    except (ValueError, TypeError, KeyError):
        raise WulflingError(f"{file} holds no keys of wulfling") from None
    if known != FORMAT:
        raise WulflingError(f"{file} was written by another version of wulfling: {known}")
    if of != cluster:
        raise WulflingError(
            f"{file} has the keys of {of}, and this is {cluster}",
            hint="with -f name the cluster file that they belong to",
        )
    return files


def keep_here(files: Mapping[str, str], cluster: str) -> tuple[str, ...]:
    """Put this machine's back into its own folder; the names of those that were not so. Raises
    ``WulflingError``."""
    folder = pins.state_directory(cluster)
    written = []
    for name, text in _of_here(files).items():
        place = folder / name
        if not place.resolve().is_relative_to(folder.resolve()):
            raise WulflingError(f"{name} lies outside of {folder}")
        if place.is_file() and place.read_text(encoding="utf-8") == text:
            continue
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        pins.write_beside(place, text)
        written.append(name)
    return tuple(written)


def differing(files: Mapping[str, str], cluster: str) -> tuple[str, ...]:
    """The names of those that this machine has otherwise: ``keep_here`` would replace them."""
    folder = pins.state_directory(cluster)
    return tuple(
        name
        for name, text in _of_here(files).items()
        if (folder / name).is_file() and (folder / name).read_text(encoding="utf-8") != text
    )


async def give_back(rack: Rack, files: Mapping[str, str]) -> tuple[str, ...]:
    """Give the head its own secrets back; which. The next apply brings them to all boards."""
    head = rack.cluster.head
    given = []
    for path in OF_THE_HEAD:
        text = files.get(f"{head}{path}")
        if text is None:
            continue
        data = base64.b64encode(text.encode()).decode()
        script = _WRITE.format(folder=path.rpartition("/")[0], file=path, data=data)
        await rack.said(head, "sh", "-s", stdin=script)
        given.append(path)
    if not given:
        raise NodeFailed("the file has no secrets of this head", where=head)
    return tuple(given)


def _of_here(files: Mapping[str, str]) -> Mapping[str, str]:
    begin = f"{HERE}/"
    return {name[len(begin) :]: text for name, text in files.items() if name.startswith(begin)}
