"""How hard the boards are: what lynis and ssh-audit say of each of them, and who may read what
(issue 5, item 3; `docs/explanation/safe-by-default.md` has the figures)."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from boards import Cluster

from wulfling.components.hardening import MODULES, SYSCTL_FILE
from wulfling.lab.lab import inside

pytestmark = pytest.mark.crash

NODES = ("rpnode01", "rpnode02", "filenode01")
LEAST = 80  # lynis's index of 100, without a test skipped.

AUDIT = (sys.executable, "-m", "ssh_audit.ssh_audit", "--skip-rate-test")

# In a unit of its own, so that it goes on when the connection does not. It forks some ten thousand
# times, and takes minutes.
START = """
command -v lynis > /dev/null || apt-get install -qq --no-install-recommends lynis > /dev/null 2>&1
rm -f /var/log/lynis-report.dat
systemctl stop lynis-audit 2> /dev/null || true
systemd-run --quiet --collect --unit=lynis-audit -E PATH="$PATH" -E HOME=/root \\
    lynis audit system --quick --no-colors --quiet
"""
ENDED = "systemctl is-active --quiet lynis-audit || cat /var/log/lynis-report.dat"


def report(cluster: Cluster, node: str, seconds: int = 3600) -> dict[str, list[str]]:
    """What lynis writes at its end, by key."""
    deadline = time.monotonic() + seconds
    while not (said := cluster.on(node, ENDED)):
        assert time.monotonic() < deadline, f"lynis on {node} has not ended"
        time.sleep(10)
    found: dict[str, list[str]] = {}
    for line in said.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            found.setdefault(key.removesuffix("[]"), []).append(value)
    return found


@pytest.fixture(scope="module")
def audited(cluster: Cluster) -> dict[str, dict[str, list[str]]]:
    """lynis's report on each board."""
    for node in NODES:
        cluster.on(node, START)
    return {node: report(cluster, node) for node in NODES}


@pytest.mark.parametrize("node", NODES)
def test_5_lynis_gives_every_board_80(audited: dict[str, dict[str, list[str]]], node: str) -> None:
    (index,) = audited[node]["hardening_index"]
    assert int(index) >= LEAST, audited[node].get("suggestion")


@pytest.mark.parametrize("node", NODES)
def test_5_ssh_audit_has_nothing_to_say(cluster: Cluster, node: str) -> None:
    """Exit 0 of ssh-audit 3.3, in the boards' network, is neither a warning nor a failure. Debian
    12's 2.5 knows less than its sshd, and exits with 2."""
    address = cluster.on("rpnode01", f"getent ahostsv4 {node}").split()[0]
    words = (*inside("test-guide"), *AUDIT, address)
    said = subprocess.run(words, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def test_5_a_board_that_is_not_believed_leaves_tries_for_keys(cluster: Cluster) -> None:
    """pi is not wulfling, whatever rpnode01 says. That is one try, and not one for each of its
    host keys: three are all there are."""
    ssh = "ssh -v -o BatchMode=yes wulfling@rpnode02 true 2>&1 || true"
    said = cluster.pi(f"rm -f .ssh/id_*; {ssh}")
    assert said.count("trying hostkey") == 1, said
    assert "Too many authentication failures" not in said
    cluster.on("rpnode02", "sshd -T | grep -x 'maxauthtries 3'")


@pytest.mark.parametrize("node", NODES)
def test_5_the_kernel_has_what_the_file_says(cluster: Cluster, node: str) -> None:
    """All that this kernel knows of; a setting that another file takes back would show here."""
    said = cluster.on(
        node,
        f"""
        sed -n 's/^\\([a-z][^ ]*\\) = /\\1 /p' {SYSCTL_FILE} | while read -r key want; do
            have=$(sysctl -n "$key" 2> /dev/null) || continue
            test "$have" = "$want" && echo right || echo "$key: $have, not $want"
        done
        """,
    )
    assert set(said.splitlines()) == {"right"}
    assert len(said.splitlines()) >= 20


def test_5_modules_that_nobody_needs_are_not_loaded(cluster: Cluster) -> None:
    names = " ".join(name for group in MODULES.values() for name in group)
    asked = f"for name in {names}; do ! modprobe $name 2> /dev/null || echo $name; done"
    assert cluster.on("rpnode02", asked) == ""


def test_5_who_touches_a_key_is_written_down_and_a_job_is_not_looked_at(cluster: Cluster) -> None:
    cluster.on("rpnode02", "touch /etc/munge/by-login")
    cluster.on("rpnode01", "srun -w rpnode02 touch /etc/munge/by-job")
    cluster.on("rpnode02", "rm /etc/munge/by-login /etc/munge/by-job")
    kept = cluster.on("rpnode02", "ausearch --input-logs -k keys --raw")
    admin = cluster.on("rpnode02", "id -u wulfling").strip()
    assert f" auid={admin} " in kept
    assert 'name="/etc/munge/by-login"' in kept
    written_by_touch = kept.partition('comm="rm"')[0]
    assert "by-job" not in written_by_touch


def test_5_what_no_package_brought_is_looked_at_each_week(cluster: Cluster) -> None:
    """By aide, which tells a change once; the unit fails for a program that debsums misses."""
    told = "journalctl -u wulfling-debsums -o cat -n 60"
    cluster.on("filenode01", "systemctl start wulfling-debsums; touch /etc/by-nobody")
    cluster.on("filenode01", "systemctl start wulfling-debsums")
    assert "/etc/by-nobody" in cluster.on("filenode01", told)
    cluster.on("filenode01", "rm /etc/by-nobody")


# slurm.conf(5), "FILE AND DIRECTORY PERMISSIONS", and what is secret on a board. Owner and mode
# of each that is there.
MODES = {
    "/etc/slurm/slurm.conf": "root 644",
    "/etc/slurm/cgroup.conf": "root 644",
    "/etc/slurm/slurmdbd.conf": "slurm 600",
    "/etc/slurm/task-prolog": "root 755",
    "/var/lib/slurm/slurmctld": "slurm 700",
    "/var/lib/slurm/slurmd": "slurm 755",
    "/var/log/slurm": "slurm 755",
    "/etc/munge": "munge 700",
    "/etc/munge/munge.key": "munge 400",
    "/var/lib/munge": "munge 711",
    "/var/log/munge": "munge 700",
    "/var/lib/wulfling/secrets": "root 700",
    "/var/lib/wulfling/secrets/munge_key": "root 600",
    "/var/lib/wulfling/cluster": "root 700",
    "/var/lib/mysql": "mysql 755",
    "/etc/ssh/ssh_host_ed25519_key": "root 600",
    "/etc/ssh/authorized_keys.d": "root 755",
    "/etc/sudoers.d/wulfling": "root 440",
    "/etc/shadow": "root 640",
}


@pytest.mark.parametrize("node", NODES)
def test_5_files_have_the_modes_that_slurm_conf_5_asks_for(cluster: Cluster, node: str) -> None:
    said = cluster.on(node, f"stat -c '%n %U %a' {' '.join(MODES)} 2> /dev/null || true")
    found = dict(line.split(" ", 1) for line in said.splitlines())
    assert found == {path: MODES[path] for path in found}
    assert "/etc/munge/munge.key" in found


@pytest.mark.parametrize("node", NODES)
def test_5_nothing_on_a_board_is_everybodys_to_write(cluster: Cluster, node: str) -> None:
    """Save for folders whose files stay their owners' (the sticky bit, /tmp)."""
    asked = "find / -xdev \\( -type f -perm -2 -o -type d -perm -2 ! -perm -1000 \\) -print"
    assert cluster.on(node, asked) == ""
