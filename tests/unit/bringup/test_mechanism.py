"""What a boot folder gets, held to the letter, and which folders are refused.

After a change that is meant, run this with ``WULFLING_UPDATE_GOLDEN=1`` and read the difference.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.unit.bringup.conftest import BOOKWORM, TRIXIE

from wulfling.bringup import mechanism
from wulfling.bringup.host_key import HostKey
from wulfling.bringup.mechanism import Mechanism
from wulfling.errors import WulflingError
from wulfling.model.cluster import Cluster

GOLDEN = Path(__file__).parent / "golden"
PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nbm90IGEga2V5\n-----END OPENSSH PRIVATE KEY-----\n"
HOST_KEY = HostKey("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAHOSTHOSTHOSTHOSTHOSTHOST", PRIVATE)
CLOUD, RUN, TOML = Mechanism.CLOUD_INIT, Mechanism.FIRSTRUN, Mechanism.CUSTOM_TOML


class Folder:
    """A boot folder that is a table."""

    where = "raspios.img"

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = dict(files)

    def names(self) -> frozenset[str]:
        return frozenset(self.files)

    def read(self, name: str) -> str:
        return self.files[name]

    def write(self, name: str, text: str) -> None:
        self.files[name] = text


def written(way: Mechanism, cluster: Cluster, node: str = "rpnode02") -> dict[str, str]:
    """Everything that the boot folder of a new image gets."""
    image = TRIXIE if way is CLOUD else BOOKWORM
    files = dict(mechanism.files(way, cluster, cluster.node(node), HOST_KEY))
    return {**files, "cmdline.txt": mechanism.cmdline(way, cluster, image["cmdline.txt"])}


@pytest.mark.parametrize(
    ("way", "shape"),
    [(CLOUD, "cluster"), (CLOUD, "plain"), (RUN, "cluster"), (RUN, "plain"), (TOML, "by_dhcp")],
)
def test_golden(way: Mechanism, shape: str, request: pytest.FixtureRequest) -> None:
    folder = GOLDEN / f"{way.value}-{shape}"
    found = written(way, request.getfixturevalue(shape))
    if os.environ.get("WULFLING_UPDATE_GOLDEN"):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in found.items():
            (folder / name).write_text(text, encoding="utf-8")
    assert found == {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}


@pytest.mark.parametrize("way", [CLOUD, RUN])
def test_three_nodes_differ_in_name_and_address_alone(way: Mechanism, cluster: Cluster) -> None:
    """The host key differs too; here it is the same for all."""
    one, *others = (written(way, cluster, node.name) for node in cluster.nodes)
    first = cluster.nodes[0]
    for node, other in zip(cluster.nodes[1:], others, strict=True):
        assert other.keys() == one.keys()
        for name in one:
            mine, its = one[name].splitlines(), other[name].splitlines()
            changed = [line for line in difflib.ndiff(mine, its) if line[0] in "-+"]
            for line in changed:
                own = first if line[0] == "-" else node
                assert own.name in line or f"{own.address}/24" in line or "instance-id" in line


def test_other_content_is_another_instance(cluster: Cluster, by_dhcp: Cluster) -> None:
    """cloud-init does its work once for each instance-id (pi-gen's meta-data says so too)."""

    def instance(of: Cluster, key: HostKey) -> str:
        return mechanism.files(CLOUD, of, of.node("rpnode01"), key)["meta-data"]

    other = HostKey(HOST_KEY.public, PRIVATE.replace("bm90", "YWxs"))
    assert instance(cluster, HOST_KEY) == instance(cluster, HOST_KEY)
    texts = {instance(c, k) for c in (cluster, by_dhcp) for k in (HOST_KEY, other)}
    assert len(texts) == 4


def test_the_private_key_is_shown_by_nothing(cluster: Cluster) -> None:
    assert "bm90IGEga2V5" not in repr(HOST_KEY)


@pytest.mark.parametrize("way", list(Mechanism))
def test_cmdline_stays_one_line_and_twice_is_once(
    way: Mechanism, cluster: Cluster, by_dhcp: Cluster
) -> None:
    of = by_dhcp if way is TOML else cluster
    once = written(way, of)["cmdline.txt"]
    assert mechanism.cmdline(way, of, once) == once
    assert once.count("\n") == 1
    assert "cgroup_enable=memory" in once.split()


def test_another_country_takes_the_place_of_the_first(cluster: Cluster) -> None:
    line = "console=tty1 cfg80211.ieee80211_regdom=GB rootwait"
    told = mechanism.cmdline(CLOUD, cluster, line)
    assert told == "console=tty1 rootwait cgroup_enable=memory cfg80211.ieee80211_regdom=KR\n"


@pytest.mark.parametrize("text", ["", "\n", "a=1\nb=2\n"])
def test_a_command_line_of_no_or_two_lines_is_refused(text: str, cluster: Cluster) -> None:
    with pytest.raises(WulflingError, match="is to be one line"):
        mechanism.cmdline(CLOUD, cluster, text)


@pytest.mark.parametrize(
    ("files", "asked", "found"),
    [(TRIXIE, None, CLOUD), (TRIXIE, CLOUD, CLOUD), (BOOKWORM, None, RUN), (BOOKWORM, TOML, TOML)],
)
def test_the_image_says_how(
    files: Mapping[str, str], asked: Mechanism | None, found: Mechanism
) -> None:
    assert mechanism.detect(Folder(files), asked) is found


@pytest.mark.parametrize(("files", "way"), [(TRIXIE, CLOUD), (BOOKWORM, RUN), (BOOKWORM, TOML)])
def test_what_we_wrote_can_be_written_again(
    files: Mapping[str, str], way: Mechanism, by_dhcp: Cluster
) -> None:
    folder = Folder({**files, **written(way, by_dhcp)})
    assert mechanism.detect(folder, way) is way


BOOTED = {**BOOKWORM, "cmdline.txt": "console=tty1 root=PARTUUID=1-02 rootwait\n"}
BULLSEYE = {**BOOKWORM, "config.txt": "dtparam=audio=on\n"}
IMAGER = {
    **BOOKWORM,
    "firstrun.sh": "#!/bin/sh\nset +e\n",
    "cmdline.txt": BOOKWORM["cmdline.txt"].strip() + " systemd.run=/boot/firstrun.sh\n",
}


@pytest.mark.parametrize(
    ("files", "asked", "said"),
    [
        ({"kernel.img": ""}, None, "there is no cmdline.txt in the boot partition of raspios.img"),
        (BOOTED, None, "neither user-data nor .* firstboot, or it has booted before"),
        ({**BOOKWORM, "user-data": ""}, None, "which of them would run cannot be told"),
        (BULLSEYE, None, "older than Raspberry Pi OS bookworm"),
        (TRIXIE, TOML, "customised by cloud-init and knows nothing of custom.toml"),
        (TRIXIE, RUN, "customised by cloud-init and knows nothing of firstrun"),
        (BOOKWORM, CLOUD, "customised by firstrun and knows nothing of cloud-init"),
        ({**TRIXIE, "custom.toml": ""}, None, "customised already, by custom.toml"),
        ({**TRIXIE, "firstrun.sh": ""}, None, "customised already, by firstrun.sh"),
        ({**TRIXIE, "userconf.txt": ""}, None, "customised already, by userconf.txt"),
        ({**BOOKWORM, "custom.toml": ""}, None, "customised already, by custom.toml"),
        ({**BOOKWORM, "firstrun.sh": ""}, TOML, "customised already, by firstrun.sh"),
        (IMAGER, None, "a firstrun.sh that wulfling did not write"),
        (
            {**TRIXIE, "cmdline.txt": "systemd.run=/boot/x.sh"},
            None,
            "starts /boot/x.sh at its first boot",
        ),
    ],
)
def test_two_ways_or_none_are_refused(
    files: Mapping[str, str], asked: Mechanism | None, said: str
) -> None:
    with pytest.raises(WulflingError, match=said) as caught:
        mechanism.detect(Folder(files), asked)
    assert caught.value.hint


def test_custom_toml_takes_no_static_address(cluster: Cluster) -> None:
    with pytest.raises(WulflingError, match="no place for a static address") as caught:
        written(TOML, cluster)
    assert "--mechanism" in caught.value.hint


def test_what_is_left_to_do_is_said(cluster: Cluster, by_dhcp: Cluster) -> None:
    assert mechanism.remaining(CLOUD, cluster, cluster.nodes[0]) == ()
    (router,) = mechanism.remaining(RUN, by_dhcp, by_dhcp.nodes[0])
    assert "10.0.0.1" in router
    left = " ".join(mechanism.remaining(TOML, by_dhcp, by_dhcp.nodes[0]))
    assert "pin the host key" in left
    assert "do_change_locale ko_KR.UTF-8" in left
