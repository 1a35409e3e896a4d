"""The head's disk is lost, with the homes on it: `restore head` brings everything back onto a blank
board (issue 4, item 8; N18). The backup lies on the file server, encrypted."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from boards import Cluster, cluster_file, own_lab

pytestmark = pytest.mark.crash

NAME = "test-backup"
BACKUP = "backup: {to: filenode01:/srv/backup, minutes: 120}\n"
KIM = "  kim: {uid: 2002, account: school, limits: {cpu: 2}}\n"
SHARES = "storage: {/home: filenode01, /nfs: filenode01}"
HEADS_HOMES = "storage: {/home: rpnode01, /nfs: filenode01}"

FILES = """
mkdir -p deep/er; head -c 3000000 /dev/urandom > deep/er/random; echo hello > 'a file, with words'
ln -sf deep/er/random link; chmod 640 deep/er/random; touch -d '2001-02-03 04:05:06' deep/er/random
"""
# Its node's part ends it, so that it outlives the head.
UNTIL_GO = "until test -e /tmp/go; do sleep 1; done"
ROWS = "sacct -aXnP -D -S 1970-01-02 -o JobID,JobName,User,Account,State,Submit,Start,End,NodeList"
LIMITS = "sacctmgr -nP show assoc format=cluster,account,user,grptres | sort"
QUEUE = "squeue -ah -o '%i %j %u %T' | sort"
HOMES = """
cd /home; find . -type f -print0 | sort -z | xargs -0 sha256sum
find . -not -name aquota.user -printf '%p %y %U %G %m %l\\n' | sort
"""


@dataclass(frozen=True)
class Before:
    """What the head had when it was saved."""

    queue: str
    rows: str
    limits: str
    homes: str
    munge: str
    jobs: dict[str, str]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Boards of their own, whose head serves the homes."""
    file = cluster_file(tmp_path_factory.mktemp("backup"), NAME)
    text = file.read_text(encoding="utf-8")
    assert SHARES in text
    file.write_text(f"{text.replace(SHARES, HEADS_HOMES)}{KIM}{BACKUP}", encoding="utf-8")
    with own_lab(file) as cluster:
        cluster.wulfling("apply", "-y")
        cluster.wait_idle()
        yield cluster


@pytest.fixture(scope="module")
def before(kept: Cluster) -> Before:
    """Jobs that have ended, run and wait; files; and a backup of all that."""
    kept.on("rpnode02", "rm -f /tmp/go")
    kept.pi(FILES)
    kept.on("rpnode01", f"cd ~; {FILES}", person="kim")
    ended = [
        kept.pi("sbatch --parsable --mem=20 -o /dev/null --wrap true").strip() for _ in range(3)
    ]
    ended.append(kept.pi("sbatch --parsable --mem=20 -o /dev/null --wrap 'exit 3'").strip())
    assert [kept.state(job) for job in ended] == ["COMPLETED"] * 3 + ["FAILED"]
    there = "--parsable --mem=20 -D /tmp -o /dev/null"
    running = kept.pi(f"sbatch {there} -w rpnode02 -J runs --wrap '{UNTIL_GO}'").strip()
    lost = kept.pi(f"sbatch {there} -w rpnode01 -J lost --wrap 'sleep 5000'").strip()
    held = kept.pi(f"sbatch {there} -H -J held --wrap true").strip()
    after = kept.pi(f"sbatch {there} -J after -d afterok:{running} --wrap true").strip()
    kept.on(
        "rpnode01",
        f"until test $(squeue -h -t running -j {running},{lost} | wc -l) = 2; do sleep 0.5; done",
    )
    time.sleep(15)  # slurmctld saves the queue some seconds after it has changed
    said = kept.wulfling("backup", "now")
    assert "rpnode01: head saved" in said
    assert "rpnode01: homes saved" in said
    return Before(
        queue=kept.on("rpnode01", QUEUE),
        rows=kept.on("rpnode01", ROWS),
        limits=kept.on("rpnode01", LIMITS),
        homes=kept.on("rpnode01", HOMES),
        munge=kept.on("rpnode01", "sha256sum < /etc/munge/munge.key"),
        jobs={"runs": running, "lost": lost, "held": held, "after": after},
    )


def test_a_second_apply_changes_nothing(kept: Cluster) -> None:
    assert "0 changes on 3 nodes" in kept.wulfling("plan")
    said = kept.wulfling("apply", "-y")
    assert [line.split(",")[0].split(": ")[1] for line in said.splitlines()] == ["0 changed"] * 3


def test_what_is_saved_is_listed_and_encrypted(kept: Cluster, before: Before) -> None:
    found = json.loads(kept.wulfling("backup", "list", "-o", "json"))
    assert {(one["host"], one["tag"]) for one in found} == {
        ("rpnode01", "head"),
        ("rpnode01", "accounts"),
        ("rpnode01", "homes"),
    }
    words = "ls /srv/backup/test-backup; stat -c '%a %U' /srv/backup/test-backup"
    assert kept.on("filenode01", words).split()[-2:] == ["700", "wulfling-backup"]
    found_in_clear = "grep -rl hello /srv/backup/test-backup || true"
    assert kept.on("filenode01", found_in_clear) == ""


def test_the_key_of_the_backup_opens_nothing_else(kept: Cluster) -> None:
    key = "/var/lib/wulfling/secrets/backup_key"
    ssh = f"ssh -i {key} -o IdentitiesOnly=yes -o HostbasedAuthentication=no -o BatchMode=yes"
    script = f"timeout 20 {ssh} wulfling-backup@filenode01 id 2>&1 < /dev/null || true"
    assert "uid=" not in kept.on("rpnode01", script)
    assert "drwx" in kept.on(
        "rpnode01", f"echo ls -la | sftp -q -b - -o IdentityFile={key} wulfling-backup@filenode01"
    )


def test_the_password_is_in_no_argument_and_no_log(kept: Cluster, before: Before) -> None:
    password = kept.on("rpnode01", "cat /var/lib/wulfling/secrets/backup_password").strip()
    assert len(password) == 64
    for node in ("rpnode01", "filenode01"):
        seen = f"journalctl --no-pager | grep -c {password[:20]}'{password[20:40]}' || true"
        assert kept.on(node, seen).strip() == "0"
    mode = kept.on("rpnode01", "stat -c '%a %U' /var/lib/wulfling/secrets/backup_password")
    assert mode.split() == ["600", "root"]
    here = Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local" / "state"))
    mine = here / "wulfling" / "clusters" / NAME / "backup_password"
    assert mine.read_text().strip() == password
    assert mine.stat().st_mode & 0o777 == 0o600


def test_a_drill_restores_and_compares(kept: Cluster, before: Before) -> None:
    (found,) = json.loads(kept.wulfling("backup", "drill", "-o", "json"))
    jobs = len(before.rows.splitlines())
    assert found["facts"]["rows"]["job_table"] >= jobs
    assert found["facts"]["home_files"] == found["facts"]["home_compared"] > 3
    assert kept.on("rpnode01", "mariadb -e 'show databases' | grep drill || true") == ""


def test_a_drill_finds_a_file_that_has_rotted(kept: Cluster, before: Before) -> None:
    rot = "printf x | dd of=random bs=1 conv=notrunc status=none; touch -r old random"
    kept.pi(f"cd deep/er; cp -p random old; {rot}")
    process = kept.start("backup", "drill")
    _, said = process.communicate(timeout=600)
    assert process.returncode == 4
    assert "/home/pi/deep/er/random is not what the backup has" in said
    assert "is not what the backup has" in kept.wulfling("doctor", code=4)
    kept.pi("cd deep/er; mv old random")
    kept.wulfling("backup", "drill")
    assert "backup" not in kept.wulfling("doctor")


def test_a_blank_head_begins_no_new_queue(kept: Cluster, before: Before) -> None:
    """Plain `apply` does not paper over the loss, and a reboot in between starts nothing."""
    kept.wulfling("lab", "cut", "rpnode01")
    kept.wulfling("lab", "replace", "rpnode01")
    kept.wulfling("lab", "up")
    process = kept.start("apply", "-y")
    said = "".join(process.communicate(timeout=3600))
    assert process.returncode == 4, said
    assert "wulfling restore head" in said
    kept.wulfling("lab", "cut", "rpnode01")
    kept.wulfling("lab", "up")
    state = "systemctl is-active slurmctld slurmdbd || true; ls /var/lib/slurm/slurmctld"
    told = kept.on("rpnode01", f"{state} 2> /dev/null || true").split()
    assert told == ["inactive", "inactive"]


def test_a_restore_that_is_killed_goes_on(kept: Cluster, before: Before) -> None:
    process = kept.start("restore", "head", "-y")
    time.sleep(25)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    said = kept.wulfling("restore", "head", "-y")
    assert "is back" in said or "nothing is brought back" in said
    assert kept.on("rpnode01", "systemctl is-active slurmctld slurmdbd").split() == ["active"] * 2


def test_everything_is_back(kept: Cluster, before: Before) -> None:
    ended = ("|COMPLETED|", "|FAILED|")
    rows = kept.on("rpnode01", ROWS).splitlines()
    was = before.rows.splitlines()
    finished = [row for row in was if any(word in row for word in ended)]
    assert len(finished) == 4
    assert [row for row in rows if row in finished] == finished
    assert {row.split("|")[0] for row in rows} == {row.split("|")[0] for row in was}
    assert kept.on("rpnode01", LIMITS) == before.limits
    assert kept.on("rpnode01", HOMES) == before.homes
    assert kept.on("rpnode02", HOMES.replace("/home;", "/home/pi;"), person="pi")
    for node in ("rpnode01", "rpnode02"):
        assert kept.on(node, "sha256sum < /etc/munge/munge.key") == before.munge


def test_the_queue_goes_on(kept: Cluster, before: Before) -> None:
    queue = {line.split()[1]: line.split()[3] for line in kept.on("rpnode01", QUEUE).splitlines()}
    assert queue.keys() == before.jobs.keys()
    assert queue["held"] == queue["after"] == "PENDING"
    assert queue["runs"] == "RUNNING"
    assert "Restarts=0 " in kept.on("rpnode01", f"scontrol show job {before.jobs['runs']}")
    kept.on("rpnode02", "touch /tmp/go")
    kept.pi(f"scontrol release {before.jobs['held']}")
    assert [kept.state(before.jobs[job]) for job in ("runs", "after", "held")] == ["COMPLETED"] * 3
    new = kept.on("rpnode01", "cd ~; sbatch --parsable -o /dev/null --wrap true", person="kim")
    assert int(new) > max(map(int, before.jobs.values()))
    assert kept.state(new.strip()) == "COMPLETED"
    kept.pi(f"scancel {before.jobs['lost']}")


def test_a_second_restore_changes_nothing(kept: Cluster, before: Before) -> None:
    said = kept.wulfling("restore", "head", "-y")
    assert "nothing is brought back" in said
    assert "0 changes on 3 nodes" in kept.wulfling("plan")
    kept.wulfling("backup", "now")
    kept.wulfling("backup", "drill")
    kept.wait_idle()
    kept.wulfling("verify")
