"""The SSH server of every board: who may come in, and by which means."""

from __future__ import annotations

from collections.abc import Iterator

from wulfling.model.cluster import Cluster, Node
from wulfling.model.resource import Resource, digest
from wulfling.model.zones import Logins, administrators, logins
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import Service
from wulfling.node.resources.sshd import HostCertificate, SshServer

SSHD_FILE = "/etc/ssh/sshd_config.d/10-wulfling.conf"
KEYS_DIRECTORY = "/etc/ssh/authorized_keys.d"
CERTIFICATE = "/etc/ssh/wulfling_host_key-cert.pub"
CERTIFICATE_FILE = "/etc/ssh/sshd_config.d/11-wulfling-certificate.conf"
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"

# Taken from what each release's sshd has, so that a newer one keeps its newer ones: what is left
# is sntrup761 and ML-KEM, which also hold against a quantum computer, and curve25519 for phones
# and for Windows. NIST's curves and the classic Diffie-Hellman groups go.
ALGORITHMS = """\
KexAlgorithms -ecdh-*,diffie-hellman-*
Ciphers aes256-gcm@openssh.com,aes128-gcm@openssh.com,chacha20-poly1305@openssh.com
MACs hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com
"""

# One kind of host key, the one that wulfling pins.
ONE_HOST_KEY = f"""\
HostKey {HOST_KEY}
HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com,ssh-ed25519
"""

RULES = f"""\
AuthorizedKeysFile {KEYS_DIRECTORY}/%u .ssh/authorized_keys
HostbasedAuthentication yes
IgnoreRhosts yes
# The first value counts, and ours is read before cloud-init's 50-cloud-init.conf.
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin @ROOT@
PermitEmptyPasswords no
PermitUserEnvironment no
# Each key of an agent is a try, and so is the host key of another board that vouches.
MaxAuthTries 3
LoginGraceTime 30
# Which of somebody's keys came in stands in the journal, so that a lost one can be looked for.
LogLevel VERBOSE
# A forwarded agent is a key in the hands of the board's root, a forwarded screen the other way.
AllowAgentForwarding no
X11Forwarding no
PermitTunnel no
# A laptop that falls asleep in an apply must not hold a board's lock for hours: 21 s of silence end
# it. Asked within the encryption; TCP's own question can be answered by anybody, and comes after
# two hours.
ClientAliveInterval 7
ClientAliveCountMax 2
TCPKeepAlive no
# How well something packs says what it is, and a small CPU packs more slowly than a cable sends.
Compression no
"""


def resources(cluster: Cluster, node: Node) -> Iterator[Resource]:
    """sshd's rules in a file of their own that root owns, and the daemon that reads them."""
    yield Packages(names=("openssh-server",), why="the way in")
    text = rules(cluster, node)
    file = SshServer(
        path=SSHD_FILE,
        content=text,
        why="sshd_config(5): keys and trusted boards, and nothing that ssh-audit warns of; written"
        " so that a mistake takes itself back",
    )
    yield file
    certificate = dict(cluster.certificates).get(node.name, "")
    watches: tuple[str, ...] = (file.key,)
    if certificate:
        vouched = _certificate(certificate)
        yield from vouched
        watches = (file.key, *(part.key for part in vouched))
    yield Service(
        unit="ssh.service",
        configured=digest(text, *((certificate,) if certificate else ())),
        watches=watches,
        why="the way in",
    )


def rules(cluster: Cluster, node: Node) -> str:
    """The file of one board. A board without a host key of our kind keeps what it has."""
    keys = node.hardware.host_keys if node.hardware else ()
    pinned = any(key.startswith("ssh-ed25519 ") for key in keys)
    text = RULES.replace("@ROOT@", _root(cluster)) + (ONE_HOST_KEY if pinned else "") + ALGORITHMS
    if logins(cluster, node) is Logins.NOBODY:
        text += f"# profile: shared\nAllowUsers {' '.join(administrators(cluster, node))}\n"
    return text


def _certificate(text: str) -> tuple[Resource, ...]:
    """Of its own path: beside the host key the board's own ssh would try it first."""
    shown = HostCertificate(
        path=CERTIFICATE,
        content=text,
        why="people who have the line of `wulfling export known-hosts` know this board by it",
    )
    line = f"HostCertificate {CERTIFICATE}\n"
    return (shown, SshServer(path=CERTIFICATE_FILE, content=line, why="sshd shows it"))


def _root(cluster: Cluster) -> str:
    """Nobody logs in as root, unless root is the account that answers before ours is there."""
    return "prohibit-password" if cluster.login == "root" else "no"
