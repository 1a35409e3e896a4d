"""New keys while jobs run, killed in the middle and run again; and boards with known holes
(issue 5, item 4; S18, S22)."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from boards import Cluster

from wulfling.transport import pins

pytestmark = pytest.mark.crash

BOARDS = ("rpnode01", "rpnode02", "filenode01")
COMPUTING = BOARDS[:2]
KEY = "sha256sum /etc/munge/munge.key | cut -c-64"
UNTIL_GO = "until test -e go-{name}; do sleep 1; done"
# A package of a lower version than it has: the files are the same, and its name says an older one.
PLANT = """
mkdir -p /root/planted; cd /root/planted; rm -rf *
for name in {names}; do
    apt-get -qq download $name
    dpkg-deb -R ${{name}}_*.deb tree
    sed -i 's/^Version: .*/Version: {version}/; s/ (= [^)]*)//g' tree/DEBIAN/control
    dpkg-deb -Znone -b tree old-$name.deb > /dev/null
    rm -r tree
done
dpkg -i --force-downgrade old-*.deb > /dev/null 2>&1
"""


@pytest.fixture(autouse=True)
def nothing_else_runs(cluster: Cluster) -> None:
    cluster.on("rpnode01", "scancel -u pi; sleep 1")
    cluster.pi("rm -f go-*")
    cluster.wait_idle()


def keys(cluster: Cluster) -> set[str]:
    """The hashes of the munge keys of all boards."""
    return {cluster.on(name, KEY).strip() for name in BOARDS}


def waiting_and_running(cluster: Cluster, name: str) -> dict[str, str]:
    """A job on each board, one that waits for both, and one that is held."""
    there = "sbatch --parsable --mem=20 -n1 -o /dev/null"
    until = UNTIL_GO.format(name=name)
    on = {node: cluster.pi(f"{there} -w {node} --wrap '{until}'").strip() for node in COMPUTING}
    after = ":".join(on.values())
    on["after"] = cluster.pi(f"{there} -d afterok:{after} --wrap true").strip()
    on["held"] = cluster.pi(f"{there} -H --wrap true").strip()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if len(cluster.on("rpnode01", "squeue -h -t running -o %i").split()) == len(COMPUTING):
            return on
        time.sleep(1)
    pytest.fail("the jobs do not run")


def all_ended_well(cluster: Cluster, jobs: dict[str, str], name: str) -> None:
    """Those that ran are told to end, those that wait get their turn, and none began twice."""
    queue = cluster.on("rpnode01", "squeue -h -o %i").split()
    assert sorted(queue) == sorted(jobs.values())
    cluster.pi(f"touch go-{name}; scontrol release {jobs['held']}")
    for job in jobs.values():
        assert cluster.state(job) == "COMPLETED"
    told = cluster.pi(f"sacct -nXPD -j {','.join(jobs.values())} -o JobID,State").split()
    assert sorted(told) == sorted(f"{job}|COMPLETED" for job in jobs.values())


def test_s18_munge_gets_a_new_key_while_jobs_run(cluster: Cluster) -> None:
    before = keys(cluster)
    jobs = waiting_and_running(cluster, "munge")
    old = cluster.on("rpnode02", "munge -s hello")
    assert "hello" in cluster.on("rpnode01", f"unmunge <<'X'\n{old}\nX")
    for seconds in (4.0, 9.0):  # before the controller rests, and while boards get the key
        cluster.killed("rotate", "munge", "-y", after=seconds)
    cluster.wulfling("rotate", "munge", "-y")
    new = keys(cluster)
    assert len(new) == 1
    assert not new & before
    for name in BOARDS:
        assert "Invalid credential" in cluster.on(name, f"unmunge <<'X' 2>&1 || :\n{old}\nX")
    all_ended_well(cluster, jobs, "munge")
    cluster.wulfling("plan")
    cluster.wait_idle()


def test_a_job_that_ends_while_the_controller_rests_is_not_lost(cluster: Cluster) -> None:
    """The end of a job is a message that munge signs; it comes when both have the new key."""
    jobs = waiting_and_running(cluster, "rest")
    process = cluster.start("rotate", "munge", "-y")
    while process.poll() is None:
        if cluster.on("rpnode01", "systemctl is-active slurmctld || :").strip() != "active":
            cluster.on("filenode01", "touch /home/pi/go-rest")
            break
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, out + err
    cluster.pi(f"scontrol release {jobs['held']}")
    for job in jobs.values():
        assert cluster.state(job) == "COMPLETED"
    cluster.wulfling("plan")


def test_a_second_one_is_told_who_is_at_work(cluster: Cluster) -> None:
    with pins.state_directory("test-guide").joinpath("turn").open("a+") as turn:
        import fcntl

        fcntl.flock(turn, fcntl.LOCK_EX)
        cluster.wulfling("rotate", "munge", "-y", code=5)
        cluster.wulfling("rotate", "ssh", "-y", code=5)


def test_s12_boards_get_new_host_keys_while_jobs_run(cluster: Cluster) -> None:
    ask = "cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub"
    before = {name: cluster.on(name, ask).strip() for name in BOARDS}
    own = pins.public_key("test-guide")
    jobs = waiting_and_running(cluster, "ssh")
    for seconds in (8.0, 14.0):
        cluster.killed("rotate", "ssh", "-y", after=seconds)
    cluster.wulfling("rotate", "ssh", "-y")
    after = {name: cluster.on(name, ask).strip() for name in BOARDS}
    assert not set(after.values()) & set(before.values())
    for address, name in (("10.0.0.1", "rpnode01"), ("10.0.0.3", "filenode01")):
        assert [key.split()[1] for key in pins.pinned("test-guide", address)] == [after[name]]
    assert pins.public_key("test-guide") != own
    data = own.split()[1]
    for name in BOARDS:
        found = f"grep -rlF {data} /var/local /home/*/.ssh /root/.ssh /etc/ssh 2>/dev/null || :"
        assert cluster.on(name, found).strip() == ""
    assert cluster.pi("ssh rpnode02 hostname").strip() == "rpnode02"  # boards know each other's
    all_ended_well(cluster, jobs, "ssh")
    cluster.wulfling("plan")


def test_s22_a_munge_with_a_hole_is_named_mended_and_its_key_as_well(cluster: Cluster) -> None:
    cluster.on("rpnode02", PLANT.format(names="munge libmunge2", version="0.5.15-2"))
    cluster.on("rpnode02", "systemctl restart munge")
    said = cluster.wulfling("plan", code=2)
    assert re.search(r"munge 0\.5\.15-2 -> \S+ or newer \(CVE-2026-25506\)", said)
    assert "patches" in cluster.wulfling("doctor", "-o", "json", code=4)
    cluster.wulfling("apply", "-y")
    cluster.wulfling("plan")
    said = cluster.wulfling("doctor", code=4)
    assert "wulfling rotate munge" in said
    assert "rpnode01" not in said
    cluster.wulfling("rotate", "munge", "-y")
    cluster.wulfling("doctor")


def test_s22_a_slurm_with_a_hole_is_refused_and_upgraded_in_turn(cluster: Cluster) -> None:
    names = "slurm-client slurm-wlm-basic-plugins slurmd"
    cluster.on("rpnode02", PLANT.format(names=names, version="22.05.8-4+deb12u2"))
    said = cluster.wulfling("plan", code=4)
    assert "CVE-2025-43904" in said
    assert "wulfling upgrade" in said
    cluster.wulfling("apply", "-y", code=4)
    cluster.wulfling("upgrade", "-y")
    cluster.wulfling("plan")
    cluster.wait_idle()


def test_exported_keys_come_back(cluster: Cluster, tmp_path: Path) -> None:
    pins.new_key(tmp_path / "key", "test")
    out = tmp_path / "cluster.age"
    cluster.wulfling("backup", "keys", str(out), "--to", f"{tmp_path / 'key'}.pub")
    known = pins.known_hosts("test-guide")
    text = known.read_text(encoding="utf-8")
    known.unlink()
    cluster.wulfling("restore", "keys", str(out), "--identity", str(tmp_path / "key"))
    assert known.read_text(encoding="utf-8") == text
    before = keys(cluster)
    cluster.on(
        "rpnode01", "echo 0123456789012345678901234567890123 > /var/lib/wulfling/secrets/munge_key"
    )
    restore = ("restore", "keys", str(out), "--identity", str(tmp_path / "key"), "--head", "-y")
    cluster.wulfling(*restore)
    cluster.wulfling("apply", "-y")
    assert keys(cluster) == before
    cluster.wulfling("plan")
