"""The same cluster in two other hands: a shell script for each node, and an Ansible playbook.

Both are made from the resources that wulfling declares, so all three do the same work. The
scripts are the plain commands of `wulfling explain`, with one apt-get for each node and a
loop wherever a person would have to wait for another daemon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from wulfling.model.resource import Resource
from wulfling.node.resources.account import Group, User
from wulfling.node.resources.block import Block
from wulfling.node.resources.database import Database
from wulfling.node.resources.directory import Directory
from wulfling.node.resources.file import File
from wulfling.node.resources.hostname import Hostname
from wulfling.node.resources.link import Link
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import Service
from wulfling.node.resources.slurm import Account, AccountingCluster, Association
from wulfling.node.resources.wheel import Wheel

Task = dict[str, Any]


def shell_script(resources: Iterable[Resource], wheel: str) -> str:
    """One node's script for ``sudo bash``; ``wheel`` is where the mpi4py wheel lies there."""
    lines = ["set -eu", "export DEBIAN_FRONTEND=noninteractive"]
    for resource in resources:
        match resource:
            case File(secret=True):
                lines.append(f"printf %s {resource.content} > {resource.path}")
                lines.append(f"chown {resource.owner}:{resource.group} {resource.path}")
                lines.append(f"chmod {resource.mode:o} {resource.path}")
            case Wheel():
                lines.append(f"mkdir -p {resource.into}")
                lines.append(f"python3 -m zipfile -e {wheel} {resource.into}")
            case Group() | User():  # a virtual board has its administrator already
                table = "group" if isinstance(resource, Group) else "passwd"
                known = f"getent {table} {resource.name} > /dev/null"
                lines += [f"{known} || {command}" for command in resource.commands()]
            case Packages():
                lines += ["apt-get -q update", f"apt-get -qy install {_apt(resource)}"]
            case Service():
                lines += resource.commands()
                lines += [f"until {_words(resource.ready)}; do sleep 0.25; done"]
            case _:  # the verbs of wulfling among them are for who finds a hole, or a lost disk
                lines += [line for line in resource.commands() if not line.startswith("wulfling ")]
    return "\n".join(line.replace("sudo ", "") for line in lines) + "\n"


def _words(ready: tuple[str, ...]) -> str:
    import shlex

    return f"{shlex.join(ready)} > /dev/null 2>&1" if ready else "true"


def _apt(packages: Packages) -> str:
    keep = "-o Dpkg::Options::=--force-confold --no-install-recommends"
    return f"{keep} {' '.join(packages.names)}"


# Plays run one after the other, and so would nodes with a play each.
PLAYBOOK = [
    {
        "hosts": "all",
        "become": True,
        "gather_facts": False,
        "tasks": [{"ansible.builtin.include_tasks": "{{ inventory_hostname }}.json"}],
    }
]


def tasks(resources: Iterable[Resource]) -> list[Task]:
    """What one node's file of tasks holds: a task for each resource."""
    return [task for resource in resources for task in _tasks(resource)]


def _tasks(resource: Resource) -> list[Task]:
    for kind, make in MODULES.items():
        if isinstance(resource, kind):
            return [make(resource)]
    raise TypeError(f"no Ansible module for {resource.key}")


def _file(r: Any) -> Task:
    where = {"dest": r.path, "owner": r.owner, "group": r.group, "mode": f"{r.mode:04o}"}
    return {"ansible.builtin.copy": {"content": r.content, **where}, "no_log": r.secret}


def _directory(r: Any) -> Task:
    where = {"path": r.path, "owner": r.owner, "group": r.group, "mode": f"{r.mode:04o}"}
    return {"ansible.builtin.file": {"state": "directory", **where}}


def _user(r: Any) -> Task:
    account = {"name": r.user, "uid": r.uid, "group": r.user, "home": r.home, "shell": r.shell}
    return {"ansible.builtin.user": {**account, "create_home": False}}


def _block(r: Any) -> Task:
    marker = {"marker": "# {mark}", "marker_begin": "BEGIN wulfling", "marker_end": "END wulfling"}
    return {"ansible.builtin.blockinfile": {"path": r.path, "block": r.text, **marker}}


def _service(r: Any) -> Task:
    state = "started" if r.running else "stopped"
    unit = {"name": r.unit, "state": state}
    return {"ansible.builtin.systemd_service": unit}


def _probe(command: str) -> Task:
    return {"ansible.builtin.command": {"argv": ["sh", "-c", command]}, "changed_when": False}


MODULES: dict[type[Resource], Callable[[Any], Task]] = {
    File: _file,
    Directory: _directory,
    User: _user,
    Block: _block,
    Service: _service,
    Group: lambda r: {"ansible.builtin.group": {"name": r.group, "gid": r.gid}},
    Hostname: lambda r: {"ansible.builtin.hostname": {"name": r.value, "use": "debian"}},
    Link: lambda r: {"ansible.builtin.file": {"src": r.target, "dest": r.path, "state": "link"}},
    Packages: lambda r: {"ansible.builtin.apt": {"name": list(r.names), "state": "present"}},
    Database: lambda r: _probe(f"mysql -Ne 'show databases' | grep -qx {r.database}"),
    AccountingCluster: lambda r: _probe(f"sacctmgr -nP show cluster | grep -q '^{r.cluster}|'"),
    Account: lambda r: _probe(f"sacctmgr -nP show account | grep -q '^{r.account}|'"),
    Association: lambda r: _probe(f"sacctmgr -nP show assoc user={r.user} | grep -q ."),
    Wheel: lambda r: _probe(f"test -e {r.into}/{r.distribution}-{r.version}.dist-info/RECORD"),
}
