"""The 26 unsafe habits of the guides (S1 to S26): for each the default that wulfling has instead.

One test a habit, named after it, over what every node of every golden cluster is declared to be.
docs/explanation/safe-by-default.md lists the same numbers, and says which are open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from tests.golden.test_golden import ADMIN_KEY, SHAPES, cluster_of
from tests.unit.measured import PI

from wulfling.bringup.adopt_facts import DEFAULTS
from wulfling.components import COMPONENTS, compile_cluster, desktop, farewell
from wulfling.components.backup import ACCOUNT, KEY_FILE
from wulfling.components.slurm_conf import cgroup_conf, slurm_conf
from wulfling.components.sshd import SSHD_FILE
from wulfling.components.upkeep import HELD
from wulfling.converge.checks import diagnose
from wulfling.converge.evidence import Evidence
from wulfling.model.cluster import Cluster, Repository, SlurmBuild
from wulfling.model.health import Health
from wulfling.model.ports import PORTS, Who
from wulfling.model.resource import Resource
from wulfling.model.wheels import WHEELS
from wulfling.node.board import Board
from wulfling.node.resources.account import User
from wulfling.node.resources.block import Block
from wulfling.node.resources.database import Database
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.firewall import Firewall
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import Service
from wulfling.node.resources.sshd import SshServer
from wulfling.node.resources.wheel import Wheel
from wulfling.transport.link import Address
from wulfling.transport.ssh import arguments

Kind = TypeVar("Kind", bound=Resource)

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "safe-by-default.md"
NODES = [
    pytest.param(cluster_of(shape), node, id=f"{shape}:{node}")
    for shape in SHAPES
    for node in compile_cluster(cluster_of(shape))
]
every_node = pytest.mark.parametrize(("cluster", "node"), NODES)
with_slurm = pytest.mark.parametrize(
    "cluster", [found for shape in SHAPES if (found := cluster_of(shape)).slurm]
)
every_cluster = pytest.mark.parametrize("cluster", [cluster_of(shape) for shape in SHAPES])


def declared(cluster: Cluster, node: str, kind: type[Kind]) -> list[Kind]:
    return [r for r in compile_cluster(cluster)[node] if isinstance(r, kind)]


def file(cluster: Cluster, node: str, path: str) -> File | None:
    return next((f for f in declared(cluster, node, File) if f.path == path), None)


def packages(cluster: Cluster, node: str) -> tuple[str, ...]:
    return tuple(name for part in declared(cluster, node, Packages) for name in part.names)


def commands(cluster: Cluster, node: str) -> Iterator[str]:
    """What a person would type, without the text of files."""
    for resource in compile_cluster(cluster)[node]:
        for words in resource.commands():
            yield words.partition("<<'EOF'")[0]


def exports(cluster: Cluster) -> Iterator[str]:
    for node in compile_cluster(cluster):
        found = file(cluster, node, "/etc/exports.d/wulfling.exports")
        yield from found.content.splitlines() if found else ()


@every_cluster
def test_s01_shares_go_to_the_addresses_of_the_boards_one_by_one(cluster: Cluster) -> None:
    own = {str(node.address) for node in cluster.nodes}
    lines = list(exports(cluster))
    assert lines, "every golden cluster shares something"
    for line in lines:
        clients = [word.partition("(")[0] for word in line.split()[1:]]
        assert clients, line
        assert set(clients) <= own, line


@every_cluster
def test_s02_root_is_squashed_and_nothing_shared_is_setuid(cluster: Cluster) -> None:
    for line in exports(cluster):
        for word in line.split()[1:]:
            options = word.partition("(")[2].rstrip(")").split(",")
            assert "root_squash" in options, line
            assert "no_root_squash" not in options, line
    for node in compile_cluster(cluster):
        for table in declared(cluster, node, Block):
            for line in table.text.splitlines() if table.path == "/etc/fstab" else ():
                assert {"nosuid", "nodev"} <= set(line.split()[3].split(",")), line


@every_node
def test_s03_nobody_but_the_owner_writes(cluster: Cluster, node: str) -> None:
    places: tuple[Directory | File, ...] = (
        *declared(cluster, node, Directory),
        *declared(cluster, node, File),
    )
    for place in places:
        others = 0o002 if place.group == cluster.admin else 0o022  # the programs in /nfs/sw
        assert not place.mode & others, f"{place.name} has mode {place.mode:o}"
        assert (place.owner, place.group) != ("nobody", "nogroup"), place.name
        if place.name.startswith("/home/"):
            assert place.mode == 0o700, place.name


@every_node
def test_s04_nothing_is_appended_to_a_file(cluster: Cluster, node: str, tmp_path: Path) -> None:
    for block in declared(cluster, node, Block):
        place = tmp_path / block.path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("theirs\n")
        board = Board(tmp_path)
        (tmp_path / "etc").mkdir(exist_ok=True)
        (tmp_path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
        (tmp_path / "etc/group").write_text("root:x:0:\n")
        block.converge(board, block.observe(board))
        once = place.read_text()
        block.converge(board, block.observe(board))
        assert place.read_text() == once


@every_node
def test_s05_nothing_from_the_internet_is_run_as_it_comes(cluster: Cluster, node: str) -> None:
    for line in commands(cluster, node):
        assert not re.search(r"\|\s*(sudo\s+)?(ba)?sh\b", line), line
    for source in declared(cluster, node, File):
        if source.path.startswith("/etc/apt/sources.list.d/"):
            assert re.search("^Signed-By: (/etc/apt|/usr/share)/keyrings/", source.content, re.M)
        assert "trusted=yes" not in source.content.lower().replace(" ", "")


def test_s05_a_repository_of_ones_own_is_signed(cluster: Cluster) -> None:
    assert cluster.slurm
    own = Repository("bookworm", "arm64", (("slurmd.deb", "f" * 64),), "index", "release")
    build = SlurmBuild("24.11.5", "trixie", key="KEY", repositories=(own,))
    built = replace(cluster, slurm=replace(cluster.slurm, build=build))
    source = file(built, "two", "/etc/apt/sources.list.d/wulfling.sources")
    assert source is not None
    assert "\nSigned-By: /etc/apt/keyrings/wulfling.asc\n" in source.content
    assert "trusted" not in source.content.lower()


@every_node
def test_s06_no_desktop_is_served(cluster: Cluster, node: str) -> None:
    """Or, where the file asks for one, to devices of the tunnel and to whoever came by SSH."""
    asked = cluster.desktop and node == cluster.head
    found = [n for n in packages(cluster, node) if re.search("xrdp|vnc|x11|desktop|lightdm", n)]
    assert bool(found) == asked, found
    assert not [n for n in found if "vnc" in n or "lightdm" in n]
    if asked:
        xrdp = file(cluster, node, desktop.XRDP_FILE)
        assert xrdp is not None and cluster.wireguard is not None
        (where,) = re.findall("^port=(?!-1)(.*)$", xrdp.content, re.MULTILINE)
        assert where == f"tcp://127.0.0.1:3389 tcp://{cluster.wireguard.head}:3389"
    screens = [port for port in PORTS if port.shows or port.number in ("3389", "5900")]
    assert {port.who for port in screens} <= {Who.ITSELF, Who.TUNNEL}


@every_node
def test_s07_no_account_elsewhere_is_a_key_to_the_cluster(cluster: Cluster, node: str) -> None:
    own = "" if cluster.tailscale else "tailscale|"  # for who asks for it, behind rules of ours
    vpn = f"{own}zerotier|ngrok|cloudflared|teamviewer|anydesk"
    assert not [name for name in packages(cluster, node) if re.search(vpn, name)]
    for person in cluster.people:
        keys = file(cluster, node, f"/etc/ssh/authorized_keys.d/{person.name}")
        assert keys is not None
        assert keys.content.splitlines() == list(person.keys), "who the file names, nobody else"


@every_node
def test_s08_nothing_is_built_as_root(cluster: Cluster, node: str) -> None:
    building = r"^sudo (\S*/)?(make|cmake|npm|configure|python3? setup)\b"
    assert not [line for line in commands(cluster, node) if re.search(building, line)]


@every_node
def test_s09_no_default_account_and_no_password_opens_a_board(cluster: Cluster, node: str) -> None:
    (sshd,) = declared(cluster, node, SshServer)
    assert (sshd.path, sshd.owner, sshd.mode) == (SSHD_FILE, "root", 0o644)
    for line in ("PasswordAuthentication no", "KbdInteractiveAuthentication no"):
        assert line in sshd.content.splitlines()
    assert {"PermitRootLogin no", "PermitEmptyPasswords no"} <= set(sshd.content.splitlines())
    assert ("pi", "raspberry") in DEFAULTS, "what adopt tries, and refuses a board for"


@every_node
def test_s10_accounts_are_made_without_a_password(cluster: Cluster, node: str) -> None:
    users = declared(cluster, node, User)
    for_backup = {ACCOUNT} if cluster.backup and cluster.backup.node == node else set()
    people = {person.name for person in cluster.people}
    assert {user.user for user in users} == {cluster.admin, *people, *for_backup}
    for user in users:
        text = " ".join(user.commands())
        assert not re.search(r"passw|chpasswd|--password|\s-p\s", text), text


def test_s11_a_copied_card_is_found(cluster: Cluster) -> None:
    """Host keys that are not the board's own end with exit code 8 before anything is sent; what
    the copy also has, its machine-id, is a cause that doctor names."""
    same = {node.name: replace(PI, machine_id="a" * 32) for node in cluster.nodes}
    evidence = Evidence(
        cluster=cluster, health={name: Health(now=1.0) for name in same}, hardware=same
    )
    found = [finding for finding in diagnose(evidence) if finding.check == "machine-id"]
    assert [finding.subject for finding in found] == ["two", "files"]
    assert "one card was copied" in found[0].words


@every_node
def test_s12_no_private_key_lies_on_a_board(cluster: Cluster, node: str) -> None:
    for found in declared(cluster, node, File):
        assert "PRIVATE KEY" not in found.content, found.path
        assert not re.search(r"/\.ssh/id_", found.path), found.path
        if found.path == KEY_FILE:  # opens the backup, which this board keeps, and nothing else
            assert found.content.startswith('restrict,from="')
            assert ',command="internal-sftp" ' in found.content
        elif found.path.endswith("authorized_keys"):
            assert found.path == f"/var/local/{cluster.admin}/.ssh/authorized_keys"
            assert found.content == f"{ADMIN_KEY}\n"
    keys = file(cluster, node, "/etc/ssh/shosts.equiv")
    assert keys is not None
    assert "*" not in keys.content
    assert "+" not in keys.content


@every_node
def test_s13_what_is_fetched_has_a_hash(cluster: Cluster, node: str) -> None:
    for pin in WHEELS:
        assert re.fullmatch("[0-9a-f]{64}", pin.sha256)
    for wheel in declared(cluster, node, Wheel):
        assert wheel.blob in {pin.sha256 for pin in WHEELS}
    assert not [line for line in commands(cluster, node) if re.search(r"http://|ftp://", line)]


def test_s14_who_answers_is_not_believed() -> None:
    """No host key is accepted because it came first, whatever ~/.ssh/config says."""
    words = " ".join(arguments(Address(node="pi1", host="10.0.0.1", users=("pi",)), "pi"))
    assert "StrictHostKeyChecking=yes" in words
    assert "accept-new" not in words


@with_slurm
def test_s15_the_database_has_no_password_to_read(cluster: Cluster) -> None:
    conf = file(cluster, cluster.head, "/etc/slurm/slurmdbd.conf")
    assert conf is not None
    assert "StoragePass" not in conf.content
    assert (conf.owner, conf.group, conf.mode) == ("slurm", "slurm", 0o600)


@every_cluster
def test_s16_the_socket_says_who_calls(cluster: Cluster) -> None:
    for node in compile_cluster(cluster):
        for database in declared(cluster, node, Database):
            (text,) = database.commands()
            assert "IDENTIFIED VIA unix_socket" in text
            assert not re.search("IDENTIFIED BY|PASSWORD", text, re.IGNORECASE)


@every_cluster
def test_s17_slurm_owns_its_own_database_alone(cluster: Cluster) -> None:
    for node in compile_cluster(cluster):
        for database in declared(cluster, node, Database):
            grants = re.findall(r"GRANT .*", database.commands()[0])
            assert grants == ["GRANT ALL ON slurm_acct_db.* TO 'slurm'@'localhost';"]


@every_node
def test_s18_the_munge_key_is_munges_alone(cluster: Cluster, node: str) -> None:
    assert cluster.secrets
    secret = cluster.secrets.munge_key.decode()
    shared = tuple(share.path for share in cluster.storage)
    for resource in compile_cluster(cluster)[node]:
        told = (*resource.commands(), *resource.undo(), *resource.difference(None if isinstance(
            resource, File) else resource), repr(resource.why))  # fmt: skip
        assert secret not in " ".join(told), resource.key
        if isinstance(resource, File) and secret in resource.content:
            assert resource.secret, resource.path
            assert resource.mode in (0o400, 0o600), resource.path
            assert not resource.path.startswith(shared), resource.path


@every_node
def test_s19_strangers_reach_ssh_and_nothing_else(cluster: Cluster, node: str) -> None:
    (firewall,) = declared(cluster, node, Firewall)
    lines = [line.strip() for line in firewall.rules.splitlines()]
    assert "type filter hook input priority filter; policy drop;" in lines
    open_to_all = [x for x in lines if re.match("(tcp|udp) dport .* accept", x)]
    tunnels = {"WireGuard", "tailscaled"}  # which answer to whom the file admits
    link = {
        f"{p.protocol} dport {p.number}" for p in PORTS if p.who is Who.LINK or p.program in tunnels
    }
    for line in open_to_all:
        rule = " ".join(line.split()[:3])
        assert rule == "tcp dport 22" or rule in link, line
    mariadb = file(cluster, node, "/etc/mysql/mariadb.conf.d/99-wulfling.cnf")
    assert mariadb is None or "\nbind-address = 127.0.0.1\n" in mariadb.content
    assert "3306" not in firewall.rules


@with_slurm
def test_s20_limits_hold_and_the_state_of_a_node_is_slurms(cluster: Cluster) -> None:
    text = slurm_conf(cluster)
    assert "\nAccountingStorageEnforce=associations,limits\n" in text
    states = re.findall(r"^NodeName=.*State=(\S+)", text, re.MULTILINE)
    assert set(states) == {"UNKNOWN"}


@every_cluster
def test_s21_jobs_get_no_raw_disks(cluster: Cluster) -> None:
    """A job is its user, who is in no group that owns a disk; no list of devices says otherwise."""
    for node in compile_cluster(cluster):
        assert file(cluster, node, "/etc/slurm/cgroup_allowed_devices_file.conf") is None
        for line in commands(cluster, node):
            assert not re.search(r"(usermod|adduser|gpasswd).*\bdisk\b", line), line
    if cluster.slurm is not None:
        assert "AllowedDevicesFile" not in cgroup_conf(cluster)


@every_node
def test_s22_slurm_is_never_upgraded_by_the_way(cluster: Cluster, node: str) -> None:
    """Every package whose version the boards have to agree on is held from security updates, which
    come from the security archive alone."""
    conf = file(cluster, node, "/etc/apt/apt.conf.d/52wulfling-updates")
    assert conf is not None
    held = re.findall(r'^    "([^="]*)";$', conf.content, re.MULTILINE)
    assert tuple(held) == HELD
    together = ("slurmd", "slurmctld", "slurmdbd", "slurm-client", "slurm-smd-slurmd")
    for name in (*together, "libslurm38", "munge", "libmunge2", "mpich", "libmpich12"):
        assert any(re.match(beginning, name) for beginning in held), name
    origins = re.findall(r'"(origin=.*)";', conf.content)
    assert origins
    assert all("-security" in origin for origin in origins)
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in conf.content


@every_node
def test_s23_every_board_has_the_heads_time(cluster: Cluster, node: str) -> None:
    assert "chrony" in packages(cluster, node)
    conf = file(cluster, node, "/etc/chrony/conf.d/wulfling.conf")
    assert conf is not None
    follows = f"server {cluster.address(cluster.head)} "
    assert (follows in conf.content) == (node != cluster.head)
    assert any(s.unit == "chrony.service" for s in declared(cluster, node, Service))


@every_node
def test_s24_updates_come_and_logs_have_an_end(cluster: Cluster, node: str) -> None:
    units = {s.unit for s in declared(cluster, node, Service) if s.running and s.enabled}
    assert {"apt-daily.timer", "apt-daily-upgrade.timer", "auditd.service"} <= units
    conf = file(cluster, node, "/etc/apt/apt.conf.d/52wulfling-updates")
    assert conf is not None
    assert '\nAPT::Periodic::Unattended-Upgrade "1";\n' in conf.content
    journal = file(cluster, node, "/etc/systemd/journald.conf.d/wulfling.conf")
    assert journal is not None
    assert re.search(r"^SystemMaxUse=\d+M$", journal.content, re.MULTILINE)
    assert re.search(r"^MaxRetentionSec=\S+$", journal.content, re.MULTILINE)


def test_s25_the_boards_network_can_be_a_private_one() -> None:
    """Behind the head the house reaches ssh alone, also with the head's address inside."""
    rules = file(cluster_of("private-network"), "laptop", "/etc/nftables.d/wulfling-nat.nft")
    assert rules is not None
    guard = rules.content.partition("chain from_outside {")[2].partition("}")[0]
    assert guard.split("\n")[1:-1] == [
        "        ct state established,related accept",
        "        icmp type echo-request accept",
        "        tcp dport 22 accept",
        "        counter drop",
    ]


def test_s26_each_habit_is_answered_by_name_and_its_test_is_here() -> None:
    """A word like "security" answers nothing: the page has a row for each number, and says so
    where the answer is not whole."""
    rows = re.findall(r"^\| S(\d+) \|(.*)\|(.*)\|(.*)\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert [int(number) for number, *_ in rows] == list(range(1, 27))
    for number, _, _, holds in rows:
        assert re.fullmatch(r" (yes|in part: .+|no: .+) ", holds), f"S{number}: {holds}"
        assert [name for name in globals() if name.startswith(f"test_s{int(number):02}_")], number


def test_a_board_that_leaves_keeps_its_door_and_no_rule(cluster: Cluster) -> None:
    """Nobody is locked out of a board by having taken it out of the cluster."""
    kept = farewell(cluster, cluster.node("two"))
    assert not [r for r in kept if isinstance(r, Firewall)]
    assert any(isinstance(r, Service) and r.unit == "ssh.service" for r in kept)


def test_firewall_false_turns_it_off(cluster: Cluster) -> None:
    off = replace(cluster, firewall=None)
    assert not [r for own in compile_cluster(off).values() for r in own if isinstance(r, Firewall)]
    assert [component.name for component in COMPONENTS][-2:] == ["firewall", "quota"]
