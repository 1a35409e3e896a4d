"""People and classes (2-59, 2-60): accounts, homes, limits and quotas that hold on real boards."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import pytest
from boards import Cluster

CLASS = ("han", "jang", "lim", "seo", "yoon")
WHOLE_CLASS = tuple(f"student{number:02}" for number in range(1, 26))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key for everybody, and lists that name it."""
    folder = tmp_path_factory.mktemp("class")
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True
    )
    return folder


def class_list(folder: Path, names: tuple[str, ...]) -> str:
    """A list as a spreadsheet writes it: two CPUs, a quota of 8 MiB, the account class26."""
    rows = [f'{name},key.pub,"cpu=2,mem=256M",8M' for name in names]
    place = folder / f"{names[0]}.csv"
    place.write_text("\ufeffName,Key,Limits,Quota\r\n" + "\r\n".join(rows) + "\r\n")
    return str(place)


def login(cluster: Cluster, folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    """What happens to somebody who comes from outside with the key."""
    config = folder / "ssh-config"
    config.write_text(cluster.wulfling("export", "ssh-config"))
    own = ["-o", "IdentitiesOnly=yes", "-o", f"IdentityFile={folder / 'key'}", "-l", name]
    return subprocess.run(
        ["ssh", "-F", config, *own, "-o", "BatchMode=yes", "rpnode02", "id", "-un"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def pending_reason(cluster: Cluster, name: str) -> str:
    """Why a second job of two CPUs does not start beside the first. Both stay."""
    sleeper = "sbatch -Q --output=/dev/null --mem=32M -n 2 --wrap 'sleep 900'"
    cluster.on("rpnode01", f"cd /tmp; {sleeper}", person=name)
    for _ in range(30):
        if cluster.on("rpnode01", "squeue -h -t R -u $USER -o %i", person=name).strip():
            break
        time.sleep(1)
    cluster.on("rpnode01", f"cd /tmp; {sleeper}", person=name)
    for _ in range(30):
        reason = cluster.on("rpnode01", "squeue -h -t PD -u $USER -o %r", person=name).strip()
        if reason not in ("", "None"):
            break
        time.sleep(1)
    return reason


def used(cluster: Cluster, name: str) -> dict[str, float]:
    """What somebody of the class has used so far."""
    told = json.loads(cluster.wulfling("usage", "-o", "json"))["people"]
    (row,) = [row for row in told if (row["account"], row["user"]) == ("class26", name)]
    return dict(row)


@pytest.mark.crash
def test_2_59_a_class_from_a_list_in_one_command(cluster: Cluster, folder: Path) -> None:
    said = cluster.wulfling(
        "user", "import", class_list(folder, CLASS), "--account", "class26"
    ).splitlines()
    assert [line.split(":")[0] for line in said] == [f"ok   {name}" for name in CLASS]
    for node in ("rpnode01", "rpnode02", "filenode01"):
        numbers = cluster.on(node, f"id -u {' '.join(CLASS)}")
        assert numbers == cluster.on("rpnode01", f"id -u {' '.join(CLASS)}")
    assert login(cluster, folder, "han").stdout == "han\n"
    assert cluster.wulfling("plan", code=0).startswith("0 changes")


@pytest.mark.crash
def test_nobody_reads_the_home_of_another(cluster: Cluster) -> None:
    said = cluster.on("filenode01", "cd /home; stat -c '%n %U %a' han jang lim seo yoon")
    assert said.splitlines() == [f"{name} {name} 700" for name in CLASS]
    cluster.on("rpnode02", "echo mine > ~/secret; chmod 666 ~/secret", person="han")
    look = "cat /home/han/secret 2>&1 || true"
    assert "Permission denied" in cluster.on("rpnode02", look, person="jang")
    # Not even root of another board: the server takes it for nobody (exports(5), root_squash).
    assert "Permission denied" in cluster.on("rpnode02", look)


@pytest.mark.crash
def test_2_60_a_quota_holds_through_nfs(cluster: Cluster) -> None:
    fill = "cd ~; dd if=/dev/zero of=big bs=1M count=20 conv=fsync 2>&1 || true"
    # Kept boards may have files of an earlier run there, and those count.
    said = cluster.on("rpnode02", f"rm -f ~/*; {fill}; {fill}", person="lim")
    assert "quota exceeded" in said
    # Asked of the server: a client goes on believing for a while in what it could not write. Its
    # blocks, not its length: what was refused before the last that was written is a hole.
    taken = int(cluster.on("filenode01", "du -B1 /home/lim/big | cut -f1"))
    assert 6 << 20 <= taken <= 8 << 20
    people = {p["name"]: p for p in json.loads(cluster.wulfling("user", "list", "-o", "json"))}
    assert (people["lim"]["quota_mb"], people["lim"]["used_mb"]) in ((8, 7), (8, 8))
    cluster.on("rpnode02", "rm ~/big; echo room > ~/again; sync", person="lim")
    # And the count is right after the server has begun anew.
    cluster.on("filenode01", "systemctl restart wulfling-quota.service")
    limit = cluster.on("filenode01", "repquota -u -O csv / | grep ^lim,").split(",")
    assert int(limit[3]) < 100 and limit[5] == "8192"


@pytest.mark.crash
def test_what_was_stored_while_nobody_counted_counts(cluster: Cluster) -> None:
    """As after an apply that took the last quota out of the file, and another one weeks later."""
    unseen = "head -c 3M /dev/zero > /home/lim/unseen; chown lim /home/lim/unseen"
    service = "wulfling-quota.service"
    cluster.on("filenode01", f"systemctl stop {service}; {unseen}; systemctl start {service}")
    row = cluster.on("filenode01", "repquota -u -O csv / | grep ^lim,").split(",")
    cluster.on("filenode01", "rm /home/lim/unseen")
    assert int(row[3]) >= 3072, row


@pytest.mark.crash
def test_2_50_limits_hold(cluster: Cluster) -> None:
    assert pending_reason(cluster, "seo") == "AssocGrpCpuLimit"
    assert used(cluster, "seo")["running"] == 1
    assert (used(cluster, "han")["jobs"] >= 1, used(cluster, "han")["failed"]) == (True, 0)


@pytest.mark.crash
def test_somebody_with_jobs_is_not_removed_unless_told(cluster: Cluster, folder: Path) -> None:
    everybody = ("user", "import", class_list(folder, CLASS), "--account", "class26")
    cluster.wulfling(*everybody, "--no-job")
    pending_reason(cluster, "seo")
    assert "2 jobs" not in cluster.wulfling("user", "remove", "seo", code=4)
    said = cluster.wulfling("user", "remove", "seo", "--cancel-jobs", "--archive")
    place = re.search(r"/home/\.archive/seo-\S+\.tar\.gz", said)
    assert place
    assert cluster.on("filenode01", f"tar -tzf {place[0]}").splitlines()[0] == "seo/"
    assert "denied" in cluster.on("rpnode02", "ls /home/.archive 2>&1 || true")
    assert "gone" in cluster.on("filenode01", "[ -e /home/seo ] || echo gone")
    assert login(cluster, folder, "seo").returncode == 255
    refused = "runuser -u seo -- sbatch --wrap true 2>&1 || true"
    assert "Invalid account" in cluster.on("rpnode01", f"cd /tmp; {refused}")
    assert used(cluster, "seo")["jobs"] >= 2, "what somebody used is known afterwards"
    assert cluster.wulfling("plan", code=0).startswith("0 changes")


@pytest.mark.crash
def test_a_key_in_the_home_opens_no_account_that_was_shut(cluster: Cluster, folder: Path) -> None:
    """The home of somebody who leaves stays, and with it what the person wrote into ~/.ssh."""
    key = (folder / "key.pub").read_text().strip()
    own = f"mkdir -p -m 700 ~/.ssh; echo '{key}' > ~/.ssh/authorized_keys"
    cluster.on("rpnode02", own, person="yoon")
    cluster.wulfling("user", "remove", "yoon")
    assert login(cluster, folder, "yoon").returncode == 255
    add = ("user", "add", "yoon", "--account", "class26", "--key", str(folder / "key.pub"))
    assert cluster.wulfling(*add).startswith("ok   yoon: first job")
    assert login(cluster, folder, "yoon").stdout == "yoon\n"


@pytest.mark.crash
def test_a_class_of_25_from_one_list(cluster: Cluster, folder: Path) -> None:
    """And an apply that a person's line has left by hand shuts the account, with jobs that go
    on to their end."""
    text = cluster.file.read_text(encoding="utf-8")
    said = cluster.wulfling("user", "import", class_list(folder, WHOLE_CLASS))
    assert [line.split(":")[0] for line in said.splitlines()] == [
        f"ok   {name}" for name in WHOLE_CLASS
    ]
    for name, other in zip(WHOLE_CLASS, (*WHOLE_CLASS[1:], WHOLE_CLASS[0]), strict=True):
        denied = f"ls /home/{other} 2>&1 || true"
        assert "denied" in cluster.on("rpnode02", denied, person=name)
    fill = "cd ~; dd if=/dev/zero of=big bs=1M count=20 conv=fsync 2>&1 || true"
    assert "quota exceeded" in cluster.on("rpnode02", f"{fill}; {fill}", person=WHOLE_CLASS[7])
    assert pending_reason(cluster, WHOLE_CLASS[8]) == "AssocGrpCpuLimit"

    cluster.file.write_text(text, encoding="utf-8")
    cluster.wulfling("apply", "-y")
    shut = cluster.on("rpnode02", "getent passwd | grep -c '^student.*nologin$'")
    assert int(shut) == len(WHOLE_CLASS)
    mine = f"squeue -h -u {WHOLE_CLASS[8]} -t R"
    assert cluster.on("rpnode01", f"{mine} | wc -l").strip() == "1", "its job goes on"
    refused = f"runuser -u {WHOLE_CLASS[8]} -- sbatch --wrap true 2>&1 || true"
    assert "error" in cluster.on("rpnode01", f"cd /tmp; {refused}")
    cluster.on("rpnode01", f"scancel -u {WHOLE_CLASS[8]}")
    assert cluster.wulfling("plan", code=0).startswith("0 changes")
