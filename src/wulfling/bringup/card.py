"""From a cluster file and an image to an SD card: read, customise, write, verify, pin.

Everything that can be refused is refused before the first byte of the target changes: the image
is read to its end, and its boot partition is customised in a nameless file of ours.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO

from wulfling.bringup import host_key, mechanism, partitions, transfer
from wulfling.bringup import source as sources
from wulfling.bringup.boot_folder import BootFolder, FatPartition, MountedFolder
from wulfling.bringup.device import Disk, Machine, disk
from wulfling.bringup.host_key import HostKey
from wulfling.bringup.mechanism import CMDLINE, Mechanism
from wulfling.bringup.partitions import Partition
from wulfling.bringup.source import Source
from wulfling.errors import WulflingError
from wulfling.model.cluster import Cluster, Node
from wulfling.transport import pins


@dataclass(frozen=True)
class Progress:
    """How far a stage is: "read", "write" or "verify", in bytes."""

    stage: str
    done: int
    total: int


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Order:
    """What is wanted. ``target`` is a card, a file to be made, or a mounted boot folder, which
    takes no image; ``largest`` is the size in bytes that a card may have at most."""

    cluster: Cluster
    node: Node
    target: Path
    image: Path | None
    largest: int
    asked: Mechanism | None = None


@dataclass(frozen=True)
class Ready:
    """Everything that was asked for, checked; the target is as it was.

    ``card`` is the target if it is one. ``key`` is None when the board makes its own.
    """

    order: Order
    way: Mechanism
    files: Mapping[str, str] = field(repr=False)
    key: HostKey | None
    card: Disk | None
    image: Image | None


@dataclass(frozen=True)
class Image:
    """An image that was read to its end, and its boot partition, customised, in ``file``."""

    source: Source
    size: int
    boot: Partition
    file: IO[bytes]


@dataclass(frozen=True)
class Written:
    """What was done. ``sha256`` and ``size`` are of the image as it was written and read back,
    "" and 0 for a boot folder. ``host_key`` is the pinned fingerprint, "" when there is none."""

    mechanism: str
    files: tuple[str, ...]
    size: int
    sha256: str
    host_key: str
    remaining: tuple[str, ...]


@contextmanager
def prepared(order: Order, machine: Machine, tell: OnProgress) -> Iterator[Ready]:
    """All that has to be known before the target changes. Raises ``WulflingError``."""
    with _told_in_words(order.target):
        _refuse_order(order)
        if order.image is None:
            way, files, key = _customised(order, MountedFolder(order.target))
            card = None
        else:
            card = _card(order, machine)
    if order.image is None:
        yield Ready(order, way, files, key, None, None)
        return
    ours = pins.state_directory(order.cluster.name)
    with tempfile.TemporaryFile(dir=ours) as file:
        with _told_in_words(ours):
            image = _read(sources.source(order.image), file, tell)
        _refuse_small(order.target, image.size, card)
        folder = FatPartition(f"/proc/{os.getpid()}/fd/{file.fileno()}", str(order.image))
        way, files, key = _customised(order, folder)
        _put(folder, files)
        yield Ready(order, way, files, key, card, image)


def write(ready: Ready, machine: Machine, tell: OnProgress) -> Written:
    """Write the target, read it back, and pin the host key. Raises ``WulflingError``."""
    order, digest = ready.order, ""
    if ready.card and _card(order, machine) != ready.card:
        raise WulflingError(
            f"the card in {order.target} is not the one that was there", hint="run it again"
        )
    if ready.image is None:
        with _told_in_words(order.target):
            _put(MountedFolder(order.target), ready.files)
    else:
        opened = transfer.card if ready.card else transfer.file
        size = ready.image.size
        with opened(order.target) as handle:
            digest = transfer.write(
                _pieces(ready.image), handle, order.target, partial(_told, tell, "write", size)
            )
            transfer.verify(
                handle, size, digest, order.target, partial(_told, tell, "verify", size)
            )
    # Last: until here the board that had this address may still be the one with the old key.
    public = (ready.key.public,) if ready.key else ()
    pins.pin(order.cluster.name, str(order.node.address), public)
    return Written(
        mechanism=ready.way.value,
        files=tuple(ready.files),
        size=ready.image.size if ready.image else 0,
        sha256=digest,
        host_key=pins.fingerprint(ready.key.public) if ready.key else "",
        remaining=mechanism.remaining(ready.way, order.cluster, order.node),
    )


def _told(tell: OnProgress, stage: str, total: int, done: int) -> None:
    tell(Progress(stage, done, total))


def _refuse_order(order: Order) -> None:
    cluster, target = order.cluster, order.target
    if cluster.virtual:
        raise WulflingError(
            f"the boards of {cluster.name} are virtual, and have no SD cards",
            hint="delete `boards: virtual` from the file, or: wulfling lab up",
        )
    if not cluster.admin_keys:
        raise WulflingError(
            f"nobody could log in to {order.node.name}: there is no public key in `admin:` of the"
            " file, and none in ~/.ssh/id_*.pub",
            hint="ssh-keygen -t ed25519",
        )
    if not all(key.isprintable() for key in cluster.admin_keys):
        raise WulflingError(
            "a public key has control characters in its comment",
            hint="write the key without its comment into `admin: {keys: [...]}`",
        )
    if target.is_dir() and order.image is not None:
        raise WulflingError(
            f"{target} is a folder, and an image is written to a card or a file",
            hint=f"leave out --image, if {target} is the boot folder of a card",
        )
    if not target.is_dir() and order.image is None:
        raise WulflingError(
            f"{target} is no boot folder, and nothing says what is to be written to it",
            hint="add --image raspios.img.xz",
        )
    if target.resolve() in (Path("/boot"), Path("/boot/firmware")):
        raise WulflingError(
            f"{target} is this machine's own boot folder", hint="name the card's: lsblk"
        )
    both = order.image is not None and target.exists() and order.image.exists()
    if order.image is not None and both and target.samefile(order.image):
        raise WulflingError(f"{target} is the image itself", hint="name another --to")


def _card(order: Order, machine: Machine) -> Disk | None:
    """The card to be written; None for a file. Raises ``WulflingError`` for anything else."""
    target = order.target
    if machine.number(target):
        found = disk(target, order.largest, machine)
        if not os.access(target, os.R_OK | os.W_OK):
            with transfer.card(target):
                pass
        return found
    if target.exists() and not target.is_file():
        raise WulflingError(f"{target} is neither a card, nor a file, nor a folder", hint="lsblk")
    if Path("/dev") in target.absolute().parents:
        raise WulflingError(f"there is no device {target}", hint="lsblk -o NAME,SIZE,MODEL,RM")
    if not target.absolute().parent.is_dir():
        raise WulflingError(
            f"there is no folder {target.absolute().parent}",
            hint=f"mkdir -p {target.absolute().parent}",
        )
    return None


def _refuse_small(target: Path, size: int, card: Disk | None) -> None:
    room = card.size if card else shutil.disk_usage(target.absolute().parent).free
    if size > room:
        what = f"{target} is too small" if card else f"there is no room for {target}"
        raise WulflingError(
            f"{what}: the image has {size / 1e9:.1f} GB, and there are {room / 1e9:.1f} GB",
            hint="take a larger card" if card else f"df -h {target.absolute().parent}",
        )


def _read(image: Source, file: IO[bytes], tell: OnProgress) -> Image:
    """Read an image to its end, and keep its boot partition in ``file``."""
    pieces = sources.chunks(image, partial(_told, tell, "read", image.size))
    first = next(pieces, b"")
    table = _table(image, first)
    boot, size = partitions.boot(table), 0
    for piece in chain((first,), pieces):
        begin, end = _overlap(boot, size, piece)
        file.write(piece[begin:end])
        size += len(piece)
    end = max(partition.end for partition in table)
    if size < end:
        raise WulflingError(
            f"the image {image.path} is cut short: it has {size} bytes, and its partitions end at"
            f" {end}",
            hint="download it again, and compare its SHA256 with the one on the page",
        )
    file.flush()
    return Image(image, size, boot, file)


def _table(image: Source, head: bytes) -> tuple[Partition, ...]:
    try:
        table = partitions.read(head)
        partitions.boot(table)
    except WulflingError as error:
        raise WulflingError(
            f"{image.path} is no image that a Raspberry Pi boots: {error.message}",
            hint="take an image of Raspberry Pi OS or of Ubuntu for Raspberry Pi",
        ) from None
    return table


def _overlap(boot: Partition, offset: int, piece: bytes) -> tuple[int, int]:
    """From where to where ``piece``, at ``offset`` of the image, is in the boot partition."""
    begin = min(max(boot.start - offset, 0), len(piece))
    return begin, max(min(boot.end - offset, len(piece)), begin)


def _pieces(image: Image) -> Iterator[bytes]:
    """The image again, with the customised boot partition in its place."""
    offset = 0
    image.file.seek(0)
    for piece in sources.chunks(image.source, lambda used: None):
        begin, end = _overlap(image.boot, offset, piece)
        offset += len(piece)
        yield piece[:begin] + image.file.read(end - begin) + piece[end:] if begin < end else piece
    if offset != image.size:
        raise WulflingError(
            f"{image.source.path} has changed while it was read", hint="run it again"
        )


def _customised(
    order: Order, folder: BootFolder
) -> tuple[Mechanism, Mapping[str, str], HostKey | None]:
    way = mechanism.detect(folder, order.asked)
    key = None
    if way is not Mechanism.CUSTOM_TOML:
        key = host_key.new(order.cluster.name, order.node.name)
    files = dict(mechanism.files(way, order.cluster, order.node, key))
    # The last one to be written: it is what makes bookworm run the others.
    files[CMDLINE] = mechanism.cmdline(way, order.cluster, folder.read(CMDLINE))
    return way, files, key


def _put(folder: BootFolder, files: Mapping[str, str]) -> None:
    """Write, and read back."""
    for name, text in files.items():
        folder.write(name, text)
    for name, text in files.items():
        if folder.read(name) != text:
            raise WulflingError(
                f"{folder.where} does not give back what was written to {name}",
                hint="try another card",
            )


@contextmanager
def _told_in_words(place: Path) -> Iterator[None]:
    """What the system refuses in ``place``: no right, no room, a reader that was pulled out."""
    try:
        yield
    except OSError as error:
        raise WulflingError(f"{place}: {error.strerror}", hint=f"ls -ld {place}") from None
