"""Cards of ``card build`` as a board meets them: built, written for three nodes, and booted.

The board is emulated: the kernel and the initramfs are taken out of the card's own boot
partition, which is the firmware's work on a Raspberry Pi, and that firmware is not tested here.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from boards import Cluster
from tests.unit.bringup.three_cards import boot_files, hold_differences

from wulfling import spec
from wulfling.transport import pins

pytestmark = pytest.mark.crash

EMULATOR = "qemu-system-aarch64"
NODES = ("cardnode01", "cardnode02", "cardnode03")
BOOT_PATIENCE = 420.0
CARD_BYTES = 4 << 30

FILE = """\
wulfling: 1
cluster: test-cardbuild
network: 10.0.2.0/24
nodes:
  cardnode01: {{address: 10.0.2.15, roles: [head, compute]}}
  cardnode02: {{address: 10.0.2.16, roles: [compute]}}
  cardnode03: {{address: 10.0.2.17, roles: [storage]}}
admin: {{keys: ["{key}"]}}
cards: {{gateway: 10.0.2.2, timezone: Asia/Seoul, locale: ko_KR.UTF-8, country: KR}}
"""


@dataclass(frozen=True)
class Board:
    """A card in an emulated board; its SSH is at ``port`` of the loopback address."""

    process: subprocess.Popen[bytes]
    console: Path
    port: int
    key: Path

    def ssh(
        self, *words: str, options: tuple[str, ...] = (), known_as: str = "10.0.2.15"
    ) -> subprocess.CompletedProcess[str]:
        """ssh that trusts the pinned host keys and nothing else."""
        strict = (
            *("StrictHostKeyChecking=yes", "GlobalKnownHostsFile=/dev/null"),
            *(f"UserKnownHostsFile={pins.known_hosts('test-cardbuild')}", "LogLevel=INFO"),
            *(f"HostKeyAlias={known_as}", "IdentitiesOnly=yes", "ConnectTimeout=20"),
        )
        argv = ["ssh", "-F", "none", "-p", str(self.port), "-i", str(self.key)]
        argv += [word for option in (*options, "BatchMode=yes", *strict) for word in ("-o", option)]
        argv += ["wulfling@127.0.0.1", "--", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=180)

    def said(self, *words: str) -> str:
        """What a command printed on the board; it has to succeed."""
        done = self.ssh(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def end_of_console(self) -> str:
        """The last lines that the board showed."""
        return "\n".join(self.console.read_text("utf-8", "replace").splitlines()[-40:])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with keys and pins of its own, and the cluster file."""
    if shutil.which(EMULATOR) is None:
        pytest.skip(f"{EMULATOR} is not installed: apt install qemu-system-arm")
    folder = tmp_path_factory.mktemp("card")
    key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")]
    subprocess.run(key, check=True)
    public = (folder / "key.pub").read_text("utf-8").strip()
    (folder / "cluster.yaml").write_text(FILE.format(key=public), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        yield folder


@pytest.fixture(scope="module")
def base(home: Path) -> Path:
    """The image. WULFLING_CARD_IMAGE names one that is there already."""
    if kept := os.environ.get("WULFLING_CARD_IMAGE"):
        return Path(kept)
    target = home / "debian.img"
    words = ("card", "build", "--to", str(target), "-o", "json")
    told = json.loads(Cluster(home / "cluster.yaml").wulfling(*words))
    assert told["bytes"] == target.stat().st_size
    assert told["bytes_used"] < 1_600_000_000
    return target


@pytest.fixture(scope="module")
def cards(home: Path, base: Path) -> dict[str, Path]:
    """A card of each node, by ``card write``."""
    found = {}
    for name in NODES:
        found[name] = home / f"{name}.img"
        words = ("card", "write", name, "--image", str(base), "--to", str(found[name]), "-y")
        Cluster(home / "cluster.yaml").wulfling(*words)
    return found


def test_three_cards_differ_only_where_they_must(
    home: Path, base: Path, cards: dict[str, Path]
) -> None:
    cluster = spec.resolve(spec.load(home / "cluster.yaml"), {}, None, ())
    hold_differences(cluster, base, cards, home / "compared")


@pytest.fixture(scope="module")
def board(home: Path, cards: dict[str, Path]) -> Iterator[Board]:
    """The first card, in a board that is switched on and has answered."""
    card, boot = cards[NODES[0]], home / "boot"
    os.truncate(card, CARD_BYTES)  # a card is larger than the image
    boot_files(card, boot)
    config = dict(
        line.replace("initramfs ", "initramfs=").split("=", 1)
        for line in (boot / "config.txt").read_text("utf-8").splitlines()
        if line.startswith(("kernel=", "initramfs "))
    )
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        port: int = plug.getsockname()[1]
    # restrict: the board reaches nothing, and is reached at this one port of the loopback.
    argv = [
        *(EMULATOR, "-M", "virt", "-cpu", "cortex-a72", "-m", "1024", "-display", "none"),
        *("-monitor", "none", "-serial", f"file:{home / 'console'}", "-no-reboot"),
        *("-kernel", str(boot / config["kernel"]), "-initrd", str(boot / config["initramfs"])),
        *("-append", f"{(boot / 'cmdline.txt').read_text('utf-8').strip()} console=ttyAMA0"),
        *("-drive", f"if=none,id=card,format=raw,file={card}"),
        *("-device", "virtio-blk-device,drive=card", "-device", "virtio-net-device,netdev=net"),
        "-netdev",
        f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:22",
    ]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
    found = Board(process, home / "console", port, home / "key")
    try:
        _wait(found)
        yield found
    finally:
        process.kill()
        process.wait(30)


def _wait(board: Board) -> None:
    """Return when the first boot has ended, which is told by a login, which the pin verifies
    from the first byte on. Until then cloud-init may restart sshd under whoever is there."""
    began = time.monotonic()
    while time.monotonic() - began < BOOT_PATIENCE:
        assert board.process.poll() is None, board.end_of_console()
        done = board.ssh("cloud-init status --wait || true")
        assert "verification failed" not in done.stderr, done.stderr
        if done.returncode == 0:
            took = time.monotonic() - began
            print(f"the first boot has ended after {took:.0f} s", file=sys.stderr)
            return
        time.sleep(3)
    pytest.fail(f"no login after {BOOT_PATIENCE:g} s: {done.stderr}\n{board.end_of_console()}")


def test_it_answers_with_the_pinned_host_key_and_no_other(board: Board) -> None:
    assert board.said("hostname") == "cardnode01"
    other = board.ssh("true", known_as="10.0.2.16")
    assert other.returncode == 255
    assert "Host key verification failed" in other.stderr


def test_the_kernel_lets_slurm_hold_jobs_to_their_memory(board: Board) -> None:
    """2-10"""
    assert "memory" in board.said("cat", "/sys/fs/cgroup/cgroup.controllers").split()


def test_nobody_gets_in_with_a_password(board: Board) -> None:
    password = ("PubkeyAuthentication=no", "PreferredAuthentications=password,keyboard-interactive")
    refused = board.ssh("true", options=password)
    assert refused.returncode == 255
    assert "Permission denied (publickey" in refused.stderr
    assert "password" not in refused.stderr.partition("Permission denied")[2]
    told = board.said("sudo", "-n", "sshd", "-T").splitlines()
    assert {"passwordauthentication no", "kbdinteractiveauthentication no"} <= set(told)
    usable = board.said("sudo", "-n", "awk", "-F:", r"'$2 !~ /^[!*]/'", "/etc/shadow")
    assert usable == ""


def test_sudo_is_the_admins_alone(board: Board) -> None:
    granted = "sudo -n grep -rlE '^[^#].*NOPASSWD' /etc/sudoers /etc/sudoers.d"
    assert board.said(granted).split() == ["/etc/sudoers.d/wulfling"]
    assert board.said("sudo", "-n", "id", "-u") == "0"
    people = board.said("awk", "-F:", r"'$3 >= 1000 && $3 < 65534'", "/etc/passwd")
    assert people == ""


def test_it_has_its_place_in_the_world(board: Board) -> None:
    """2-12"""
    assert "LANG=ko_KR.UTF-8" in board.said("cat", "/etc/default/locale").splitlines()
    assert "ko_KR.utf8" in board.said("locale", "-a").split()
    assert board.said("date", "+%Z") == "KST"


def test_the_card_is_filled_and_the_key_is_forgotten(board: Board) -> None:
    told = board.said("cloud-init status --long || true")
    assert "status: done" in told
    size = int(board.said("df", "-B1", "--output=size", "/").split()[-1])
    assert size > 0.85 * CARD_BYTES - (257 << 20)
    assert "PRIVATE" not in board.said("sudo", "-n", "cat", "/boot/firmware/user-data")
    failed = board.said("systemctl", "list-units", "--failed", "--no-legend", "--plain")
    assert failed == ""
    assert "fsck not present" not in board.console.read_text("utf-8", "replace")
