"""The password of a person's desktop: made on the head by its owner over SSH, asked for by xrdp.

Accounts have no password. The one that is made here opens the desktop and nothing else: not SSH,
not sudo, not the screen in the rack. It is made and not chosen, so that nobody guesses it, and its
hash is in the owner's home, so that the owner alone sets it, as with the keys of SSH.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import pwd
import secrets
import ssl
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

PROGRAM = "/usr/local/bin/desktop-password"
CERTIFICATE = "/etc/xrdp/wulfling-certificate.pem"
PLACE = ".desktop-password"  # in the home
PEOPLE_FROM = 1000  # the first uid of a person: root and daemons get no desktop

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that looks like another
_GROUPS, _IN_GROUP = 4, 5  # 99 bits
_PATIENCE = 10  # seconds for a home whose file server is away


def main(words: Sequence[str]) -> int:
    """Without words, make and print a new password; with ``--check``, as pam_exec(8) runs it,
    succeed when the one that is read is that of $PAM_USER."""
    if list(words) == ["--check"]:
        return _check(os.environ.get("PAM_USER", ""), sys.stdin.buffer.read())
    if words:
        sys.stderr.write("desktop-password takes no words: it makes a new password\n")
        return 64
    return _make()


def made(password: str, salt: bytes) -> str:
    """The line that is kept of a password."""
    found = hashlib.scrypt(password.encode(), salt=salt, n=2**13, r=8, p=1)
    return ":".join(base64.b64encode(part).decode() for part in (salt, found)) + "\n"


def fits(password: str, kept: str) -> bool:
    """Whether it is the password that ``kept`` was made of."""
    try:
        salt = base64.b64decode(kept.partition(":")[0], validate=True)
    except ValueError:
        return False
    return bool(salt) and hmac.compare_digest(made(password, salt), kept)


def new_password() -> str:
    """Four groups of letters, to be typed off a phone's screen."""
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(_IN_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)


def write(home: Path, password: str) -> None:
    """Keep the hash in ``home``, for its owner alone, whole or not at all."""
    fresh = home / f"{PLACE}.new"
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(made(password, secrets.token_bytes(16)))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(home / PLACE)


def kept(home: Path) -> str:
    """What ``write`` has left there; "" when nothing is, or others could have written it."""
    try:
        handle = os.open(home / PLACE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    with os.fdopen(handle, encoding="ascii", errors="replace") as file:
        status = os.fstat(file.fileno())
        own = status.st_uid == os.geteuid() and not status.st_mode & 0o077
        return file.read(1000) if own and stat.S_ISREG(status.st_mode) else ""


def _make() -> int:
    who = pwd.getpwuid(os.getuid())
    if who.pw_uid < PEOPLE_FROM:
        sys.stderr.write(f"the desktop is for people, and not for {who.pw_name}\n")
        return 1
    password = new_password()
    try:
        write(Path(who.pw_dir), password)
    except OSError as error:
        sys.stderr.write(f"{who.pw_dir}/{PLACE}: {error.strerror}\n")
        return 1
    rows = (("name", who.pw_name), ("password", password), *_certificate())
    sys.stdout.writelines(f"{name:8}  {value}\n" for name, value in rows)
    return 0


def _certificate() -> Sequence[tuple[str, str]]:
    """The fingerprints that clients show: SHA-1 is the "thumbprint" of Windows."""
    try:
        raw = ssl.PEM_cert_to_DER_cert(Path(CERTIFICATE).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return ()
    found = ((name, hashlib.new(name, raw)) for name in ("sha256", "sha1"))
    return [(name, digest.digest().hex(":")) for name, digest in found]


def _check(user: str, said: bytes) -> int:
    """As the person, who reads a home on a file server that squashes root."""
    import signal

    try:
        who = pwd.getpwnam(user)
    except KeyError:
        return 1
    if who.pw_uid < PEOPLE_FROM:
        return 1
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(who.pw_gid)
        os.setuid(who.pw_uid)
    password = said.rstrip(b"\0\n").decode(errors="replace")
    signal.alarm(_PATIENCE)  # which ends us, and lets nobody in
    try:
        return 0 if fits(password, kept(Path(who.pw_dir))) else 1
    finally:
        signal.alarm(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
