"""The reference page of `-o json`: every key, and an example that the verb's own code made."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timezone
from ipaddress import IPv4Address
from typing import Any

import click

from wulfling.bringup.adopt import Adopted
from wulfling.bringup.discover import Found, Machine
from wulfling.cli import backup, causes, discover, explain, jobs, remote, show, usage, user
from wulfling.cli.markdown import Lines, code, table
from wulfling.converge.status import NodeStatus, Queued, Served
from wulfling.day2.backup import Done
from wulfling.day2.people import Standing
from wulfling.day2.usage import summed
from wulfling.day2.wireguard import Sighting
from wulfling.jobs.queue import Listed
from wulfling.model.cluster import Device
from wulfling.model.finding import Finding, Verdict
from wulfling.model.plan import Plan, Status, Step
from wulfling.node.backup import STAGE
from wulfling.node.backup.repository import Snapshot
from wulfling.node.resources.directory import Directory

_STEP = {
    "node": "The node's name",
    "key": "The [resource](resources.md), `kind:name`",
    "status": ", ".join(code(status.value) for status in Status),
    "diff": "Lines for people; a secret is shown by the beginning of its hash",
    "ms": "Milliseconds that the step took on the board",
    "message": "Why it is pending, or how it failed",
}
_PLAN = {
    "fingerprint": "Equal when two plans would change the same things",
    "changes": "How many steps are `change`, `changed` or `pending`",
    "unreachable": "Node to the reason why it does not answer",
    "errors": "Node to what went wrong there, if it answered and failed as a whole",
    "steps": "Every resource of every node that answered, also those that are `ok`",
}
_FINDING = {
    "subject": "A node, or the cluster",
    "check": "What was asked: `clock`, `mount`, `nodes`, `mpi`, or a [cause](causes.md)",
    "verdict": ", ".join(code(verdict.value) for verdict in Verdict),
    "words": "What came out",
    "hint": "What to do about it",
}
_STATUS = {
    "node": "The node's name",
    "address": "Its address",
    "roles": "Its roles",
    "reachable": "Whether it answered",
    "state": "Slurm's word for it; `-` when Slurm has none",
    "reason": "Slurm's reason, or why the node does not answer",
    "load": "Load average of the last minute",
    "memory_mb": "Memory in MiB",
    "free_mb": "Memory that is available, in MiB",
    "up_seconds": "Seconds since it was switched on",
    **causes.STATUS,
    "backups": "Pairs of `head`, `homes` or `drill`, and seconds since that last went well",
}
_EXPLAIN = {
    "key": "The [resource](resources.md), `kind:name`",
    "why": "The reason in a sentence",
    "commands": "What a person would type",
    "undo": "What takes it back",
}
_IMAGE = {
    "target": "the image file",
    "release": "`bookworm`, which is Debian 12",
    "architecture": "`arm64`",
    "bytes": "its size",
    "bytes_used": "what it takes of the disk: most of it is empty",
    "sha256": "of all of it",
}
_IMAGE_ROW = {
    "target": "debian.img",
    "release": "bookworm",
    "architecture": "arm64",
    "bytes": 1880096768,
    "bytes_used": 900000000,
    "sha256": "0" * 64,
}
_CARD = {
    "node": "The node's name",
    "address": "Its address",
    "target": "What was written",
    "mechanism": "`cloud-init`, `firstrun` or `custom.toml`",
    "files": "What was written into the boot folder",
    "bytes": "The length of the image; 0 for a boot folder",
    "sha256": "Of the image as it was read back; empty for a boot folder",
    "host_key": "Fingerprint that is pinned now; empty when the board makes its own",
    "remaining": "Sentences that say what is left to do",
}
_LAB = {
    "lab": "The lab's name, which is the cluster's",
    "board": "The board's name",
    "address": "Its address inside the lab",
    "state": "`on` (it answers), `starting`, `off`",
    "memory_mb": "Its memory in MiB",
    "disk_mb": "What its disk takes on this PC, in MiB",
}
_CARD_ROW = {
    "node": "rpnode02",
    "address": "10.0.0.2",
    "target": "/dev/sdb",
    "mechanism": "cloud-init",
    "files": ["user-data", "network-config", "meta-data", "cmdline.txt"],
    "bytes": 2927624192,
    "sha256": "20b416990a6d303eedb6ad1dc09d4713a321821eaeffbc6842479aac3799438c",
    "host_key": "SHA256:aRE8X86faxsoUIRjRg5nXbyFslrkQwa0e989byiOYyg",
    "remaining": [],
}
_ADOPT = {
    "node": "The node's name",
    "address": "Its address",
    "adopted": "Whether it is a node now",
    "changed": "What this run did there, in that order; empty when nothing was left to do",
    "fingerprint": "Of the host key that is pinned for it",
    "error": "Why it is not adopted",
}
_BANNER = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3"
_LAB_ROW = {
    "lab": "raspi-hpc",
    "board": "rpnode02",
    "address": "10.0.0.2",
    "state": "on",
    "memory_mb": 256,
    "disk_mb": 120,
}


def lines() -> Lines:
    """Every example is made by the code that the verb uses, and the tables have to agree."""
    step = Step("rpnode02", "hostname:rpnode02", Status.CHANGE, ("  value: pi -> rpnode02",), 1)
    finding = Finding("raspi-hpc", "nodes", Verdict.GOOD, "2 nodes are ready")
    node = NodeStatus(
        *("rpnode01", "10.0.0.1", ("head", "compute"), True, "idle", "", 0.1, 613, 450, 600),
        serves=(Served("/nfs", 29000, 21000),),
        queue=(Queued("PENDING", "Priority", 3), Queued("RUNNING", "None", 2)),
    )
    resource = Directory(path="/nfs", why="what the others mount")
    machine = Machine(IPv4Address("10.0.0.2"), "open", _BANNER, "dc:a6:32:01:02:03")
    found = discover.row(Found(machine, new=True, name="node02"), {}, (), {})
    account = Step("rpnode02", "admin account", Status.CHANGED)
    adopted = Adopted("rpnode02", "10.0.0.2", f"SHA256:{'A' * 43}", (account,), None)
    person = Standing("kim", 34817, "school", {"cpu": 4, "mem": 1024}, 10240, 1, 3, 1, 0)
    month = [datetime(2026, number, 1, tzinfo=timezone.utc) for number in (3, 4)]
    used = summed("school|kim|COMPLETED|3600|14400|cpu=4,mem=1G", *month).as_json()
    saved = Snapshot("bdfb8bef", "2026-01-02T03:00:00Z", "rpnode01", "head", (STAGE,))
    facts = {"moment": saved.time, "files": 12, "rows": {"job_table": 41}}
    done = dataclasses.asdict(Done("rpnode01", "head", 4.2, facts))
    listed = Listed("42", "wave", "RUNNING", "0:07", "rpnode02", "", "2026-01-02T03:04:05", "")
    yield "These names are a promise: within this format they stay, and new ones may join them."
    yield "The text goes to stdout, all that is said to people goes to stderr."
    yield ""
    plan = show.plan_json(Plan((step,), {}))
    yield from _told("plan and apply", "`plan -o json`, `apply -y -o json`:", _PLAN, plan)
    yield from ("### A step", "")
    yield from _keys(_STEP, step.as_json())
    yield from _told("doctor", "`doctor -o json`:", causes.DIAGNOSIS, causes.example_json())
    yield from _keys(causes.CAUSE, show.cause_json(causes.example()))
    watched = "a list, the nodes in the file's order; with `--watch` such a list a line"
    of_each: tuple[tuple[str, str, Mapping[str, str], Mapping[str, Any]], ...] = (
        ("verify", "a list, one finding for each check", _FINDING, show.finding_json(finding)),
        ("status", watched, _STATUS, node.as_json()),
        ("explain", "a list, the resources in their order", _EXPLAIN, explain._as_json(resource)),
        ("jobs", "a list, the oldest first", jobs.KEYS, dataclasses.asdict(listed)),
        ("discover", "a list, all machines by their addresses", discover.KEYS, found),
        ("adopt", "a list, the boards in the file's order", _ADOPT, adopted.as_json()),
        ("backup list", "a list, the oldest first", backup.LISTED_KEYS, dataclasses.asdict(saved)),
        ("backup now", "a list; `backup drill` has the same", backup.DONE_KEYS, done),
        ("user list", "a list, people in the file's order", user.KEYS, person.as_json()),
        ("remote list", "a list, devices in the file's order", remote.KEYS, _seen().as_json()),
        ("lab list", "a list, every board of every lab", _LAB, _LAB_ROW),
    )
    yield from _told("usage", "`usage -o json`:", usage.KEYS, used)
    yield from _keys(usage.ROW_KEYS, used["people"][0])
    yield from _told("card build", "`card build -y -o json`:", _IMAGE, _IMAGE_ROW)
    yield from _told("card write", "`card write -y -o json`:", _CARD, _CARD_ROW)
    for verb, what, keys, example in of_each:
        yield from _told(verb, f"`{verb} -o json`: {what}.", keys, example)


def _seen() -> Sighting:
    key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
    last = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    laptop = Device("laptop", IPv4Address("10.88.0.2"), key)
    return Sighting(laptop, True, last, "203.0.113.9:41820", 18244, 9420)


def _told(title: str, what: str, keys: Mapping[str, str], example: Mapping[str, Any]) -> Lines:
    yield from (f"## {title}", "", what, "")
    yield from _keys(keys, example)
    text = example if what.endswith("json`:") else [example]
    yield from ("```json", show.as_json(text), "```", "")


def _keys(keys: Mapping[str, str], example: Mapping[str, Any]) -> Lines:
    if keys.keys() != example.keys():
        odd = sorted(keys.keys() ^ example.keys())
        raise click.ClickException(f"lines() and the program differ in {', '.join(odd)}")
    yield from table(("key", "value"), [(code(key), words) for key, words in keys.items()])
