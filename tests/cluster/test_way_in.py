"""The way into a board: sshd, what it reads, and who comes in."""

from __future__ import annotations

import shlex

import pytest
from boards import Cluster

from wulfling.node.resources.sshd import RESTART

pytestmark = pytest.mark.lab

# From the board itself, where nothing comes between the daemon's word and whoever knocks.
KNOCK = f"""
for turn in 1 2 3 4 5; do
    {shlex.join(RESTART)}
    timeout 5 bash -c 'read -r greeting < /dev/tcp/127.0.0.1/22; echo "$greeting"'
done
"""


def test_nobody_is_refused_when_sshd_has_been_told_of_its_rules(cluster: Cluster) -> None:
    """systemd calls a reload done when the signal is sent; whoever came then found no sshd, and
    the new rules were taken back for that on every board."""
    said = cluster.on("rpnode02", KNOCK).splitlines()
    assert [line[:8] for line in said] == ["SSH-2.0-"] * 5


def test_one_line_vouches_for_every_board(cluster: Cluster) -> None:
    """A person who knows nobody's key but has the line of `export known-hosts` is asked nothing;
    who has another authority's is let in nowhere."""
    line = cluster.wulfling("export", "known-hosts").strip()
    cluster.wulfling("apply", "-y")
    cluster.wulfling("plan")
    cluster.pi("rm -f other; ssh-keygen -q -t ed25519 -N '' -f other")
    other = f"{line.rsplit(' ', 3)[0]} $(cut -d' ' -f1,2 other.pub)"
    for known, answer in ((f"'{line}'", "rpnode02 filenode01"), (f'"{other}"', "")):
        said = cluster.pi(
            f"echo {known} > vouched;"
            " for node in rpnode02 filenode01; do"
            " ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=vouched"
            " -o GlobalKnownHostsFile=/dev/null $node hostname 2> /dev/null || true; done"
        )
        assert " ".join(said.split()) == answer
