"""The authority that vouches for the boards' host keys, so that people need one line and a board
that was replaced frightens nobody.

Its private half is in the cluster's own folder on this machine, mode 0600, and on no board. There
is none before somebody asks for the line. wulfling itself does not listen to it: it knows each
board's key (``pins``).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from wulfling import proc
from wulfling.errors import WulflingError
from wulfling.model.cluster import Cluster, Node
from wulfling.transport.pins import held, new_key, state_directory, write_beside

_KIND = "ssh-ed25519 "


def line(cluster: Cluster) -> str:
    """What goes into a person's ~/.ssh/known_hosts (sshd(8), `@cert-authority`).

    The authority is made when it is missing. Raises ``CommandFailed``.
    """
    key = _key(cluster)
    if not key.exists():
        with held(key.parent):
            if not key.exists():
                new_key(key, f"wulfling-hosts-{cluster.name}")
    names = ",".join(name for node in cluster.nodes for name in _names(cluster, node))
    return f"@cert-authority {names} {_public(key)}"


def certificates(cluster: Cluster) -> tuple[tuple[str, str], ...]:
    """For each measured board the certificate of its host key; none while there is no authority.

    Signed once: the same key under the same names has the same one. Raises ``CommandFailed``.
    """
    authority = _key(cluster)
    if not authority.exists():
        return ()
    found = ((node.name, _certificate(cluster, node, authority)) for node in cluster.nodes)
    return tuple((node, text) for node, text in found if text)


def _certificate(cluster: Cluster, node: Node, authority: Path) -> str:
    keys = node.hardware.host_keys if node.hardware else ()
    key = next((key for key in keys if key.startswith(_KIND)), "")
    if not key:
        return ""
    names = ",".join(_names(cluster, node))
    asked = hashlib.sha256(f"{_public(authority)}\n{names}\n{key}\n".encode()).hexdigest()[:16]
    folder = authority.parent / "host_certificates"
    folder.mkdir(mode=0o700, exist_ok=True)
    subject = folder / f"{node.name}.{asked}.pub"
    signed = folder / f"{node.name}.{asked}-cert.pub"
    with held(folder):
        if not signed.exists():
            write_beside(subject, f"{key}\n")
            argv = ["ssh-keygen", "-q", "-s", str(authority), "-I", node.name, "-h", "-n", names]
            proc.run([*argv, str(subject)], timeout=30, hint="sudo apt-get install openssh-client")
    words = signed.read_text(encoding="ascii").split()
    if len(words) < 2:
        raise WulflingError(f"{signed} is no certificate", hint=f"rm {signed}")
    return f"{words[0]} {words[1]} {node.name}\n"


def _names(cluster: Cluster, node: Node) -> tuple[str, ...]:
    """Whatever a person may call a board."""
    return (node.name, f"{node.name}.{cluster.domain}", str(node.address))


def _key(cluster: Cluster) -> Path:
    return state_directory(cluster.name) / "host_ca"


def _public(key: Path) -> str:
    return Path(f"{key}.pub").read_text(encoding="ascii").strip()
