"""A board's identity: a small tar archive that it reads at boot from its second disk."""

from __future__ import annotations

import hashlib
import io
import tarfile

from wulfling.lab.needs import program
from wulfling.lab.network import PACKAGE_PORT, hardware_address
from wulfling.lab.places import BoardFiles, write_beside
from wulfling.lab.record import BoardSpec, Record
from wulfling.proc import run

ADMIN_UID = 970
_HOST_KEY = "etc/ssh/ssh_host_ed25519_key"

APPLY = """\
# "once" is what an installer writes and what is the board's from then on; "always" is the lab's.
set -eu
take() {{
    tar -x -p --numeric-owner --no-overwrite-dir -f /dev/ubdb -C / --strip-components=1 "$1"
}}
take always
if [ ! -e /etc/systemd/system/lab-seed.service.d/taken.conf ]; then
    take once
    hostname -F /etc/hostname
fi
systemd-sysusers /etc/sysusers.d/lab-admin.conf
chown -R {admin}: {home}
"""


def home(admin: str) -> str:
    """The administrator's home: outside /home, which a cluster mounts over."""
    return f"/var/local/{admin}"


def machine_id(record: Record, board: BoardSpec, born: str = "") -> str:
    """The board's machine-id: its own, and another one in another lab of the same name.
    ``born`` tells it from the boards that had its place before."""
    return hashlib.sha256(f"{record.token} {board.name}{born}".encode()).hexdigest()[:32]


def host_key(files: BoardFiles) -> tuple[bytes, str]:
    """The board's SSH host key, made when missing: private file and public line."""
    public = files.host_key.with_suffix(".pub")
    if not (files.host_key.is_file() and public.is_file()):
        files.host_key.unlink(missing_ok=True)
        fresh = files.host_key.with_name(".host_key.new")
        fresh.unlink(missing_ok=True)
        name = files.folder.name
        keygen = (program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", name)
        run((*keygen, "-f", str(fresh)))
        fresh.with_name(f"{fresh.name}.pub").rename(public)
        fresh.rename(files.host_key)
    return files.host_key.read_bytes(), public.read_text().strip()


def make(record: Record, board: BoardSpec, key: tuple[bytes, str]) -> bytes:
    """The archive for one board; equal input makes equal bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        admin = record.spec.admin
        folder = home(admin)
        _add(tar, "apply", APPLY.format(admin=admin, home=folder).encode(), 0o600)
        _add_folder(tar, f"always{folder}", 0o755)
        _add_folder(tar, f"always{folder}/.ssh", 0o700)
        for path, text, mode in _always(record, board):
            _add(tar, f"always/{path}", text.encode(), mode)
        # Once: `rotate ssh` gives a board another, and its old one is not to come back at a boot.
        _add(tar, f"once/{_HOST_KEY}", key[0], 0o600)
        _add(tar, f"once/{_HOST_KEY}.pub", f"{key[1]}\n".encode(), 0o644)
        for path, text in _once(board):
            _add(tar, f"once/{path}", text.encode(), 0o644)
    return buffer.getvalue()


def write(files: BoardFiles, record: Record, board: BoardSpec) -> None:
    """Put the board's archive where its next boot finds it."""
    content = make(record, board, host_key(files))
    if not files.seed.is_file() or files.seed.read_bytes() != content:
        write_beside(files.seed, content)


def _always(record: Record, board: BoardSpec) -> list[tuple[str, str, int]]:
    """What the lab decides, also when the spec changed since the board's first boot."""
    spec = record.spec
    admin, gateway = spec.admin, spec.bridge_address
    proxy = f'Acquire::http::Proxy "http://{gateway}:{PACKAGE_PORT}"'
    apt = "".join(f"{option};\n" for option in (proxy, *record.apt_options))
    network = (
        f"[Match]\nName=vec0\nMACAddress={hardware_address(board.address)}\n\n"
        f"[Network]\nAddress={board.address}/{spec.network.prefixlen}\nGateway={gateway}\n"
        "LinkLocalAddressing=no\nIPv6AcceptRA=no\n"
    )
    keys = "".join(f"{key.strip()}\n" for key in spec.admin_keys)
    account = f'u {admin} {ADMIN_UID} "lab administrator" {home(admin)} /bin/bash\n'
    return [
        ("etc/apt/apt.conf.d/30lab-mirror", apt, 0o644),
        ("etc/sudoers.d/lab-admin", f"{admin} ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440),
        ("etc/systemd/network/10-lab.network", network, 0o644),
        ("etc/sysusers.d/lab-admin.conf", account, 0o644),
        (f"{home(admin)[1:]}/.ssh/authorized_keys", keys, 0o600),
    ]


def _once(board: BoardSpec) -> list[tuple[str, str]]:
    """What Debian's installer would have written; from then on it is the board's own."""
    hosts = (
        f"127.0.0.1\tlocalhost\n127.0.1.1\t{board.name}\n\n"
        "::1\tlocalhost ip6-localhost ip6-loopback\n"
        "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
    )
    return [("etc/hostname", f"{board.name}\n"), ("etc/hosts", hosts)]


def _add(tar: tarfile.TarFile, path: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(path)
    entry.mode, entry.size = mode, len(content)
    tar.addfile(entry, io.BytesIO(content))


def _add_folder(tar: tarfile.TarFile, path: str, mode: int) -> None:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    tar.addfile(entry)


def digest(files: BoardFiles) -> str:
    """Names the content of the archive, so that a board knows whether it took it already."""
    return hashlib.sha256(files.seed.read_bytes()).hexdigest()[:16]
