"""`./dev bench`: how fast wulfling is, as ratios against others in the same run, same boards."""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from bench.peers import PLAYBOOK, shell_script, tasks
from wulfling.cli.river import talk
from wulfling.cli.setting import Setting, setting
from wulfling.components import compile_cluster
from wulfling.converge.observe import plan
from wulfling.model.cluster import Secrets
from wulfling.model.wheels import pinned
from wulfling.transport.blobs import blob
from wulfling.transport.ssh import arguments

ROOT = Path(__file__).parents[1]
WULFLING = [sys.executable, "-m", "wulfling"]
ROUNDS = 7
PATIENCE = 300  # seconds


class Bench:
    """One cluster file and the measurements made with it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.report: dict[str, object] = {}

    def wulfling(self, *words: str, codes: Sequence[int] = (0,)) -> float:
        """Seconds that one verb took."""
        return timed([*WULFLING, "-f", str(self.file), *words], codes)

    def ssh(self, node: str) -> list[str]:
        """The words that run a command on ``node``."""
        address = self.setting.addresses[node]
        return list(arguments(address, address.users[0]))

    @property
    def setting(self) -> Setting:
        """The file, read anew: the lab's sockets may have moved."""
        return setting(self.file)

    def note(
        self,
        what: str,
        value: float,
        against: float,
        target: float,
        peer: str,
        *,
        why: str = "",
    ) -> None:
        """Keep one ratio and say it; for a missed target, where its seconds went."""
        ratio = value / against
        self.report[what] = {"seconds": value, peer: against, "ratio": ratio, "target": target}
        verdict = "met" if ratio <= target else f"MISSED: {why}{_load()}"
        sys.stdout.write(
            f"{what}: {value:.2f} s / {peer} {against:.2f} s = {ratio:.3f}"
            f" (target <= {target:g}): {verdict}\n"
        )
        sys.stdout.flush()


def _load() -> str:
    return f"this machine had {os.getloadavg()[0]:.1f} busy tasks for {os.cpu_count()} cores"


def timed(argv: Sequence[str], codes: Sequence[int] = (0,)) -> float:
    """Wall seconds of one process; it has to exit with one of ``codes``."""
    started = time.monotonic()
    done = subprocess.run(
        argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    seconds = time.monotonic() - started
    if done.returncode not in codes:
        sys.exit(f"{argv}: exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return seconds


def together(jobs: Sequence[Callable[[], object]]) -> float:
    """Wall seconds until all jobs, started at once, have ended."""
    started = time.monotonic()
    with ThreadPoolExecutor(len(jobs)) as pool:
        list(pool.map(lambda job: job(), jobs))
    return time.monotonic() - started


def cold(bench: Bench) -> None:
    """A cold apply against one shell script for each node, each on boards fresh from the image."""
    bench.wulfling("lab", "destroy")
    bench.wulfling("lab", "up")
    declared = _declared(bench)
    scripts = together([_script(bench, node, rest) for node, rest in declared.items()])
    _refuse_unequal(bench)
    bench.wulfling("lab", "destroy")
    bench.wulfling("lab", "up")
    ours = bench.wulfling("apply", "-y")
    bench.note("cold apply", ours, scripts, 1.15, "shell scripts")


def _refuse_unequal(bench: Bench) -> None:
    """The scripts did the same work: what differs is only what wulfling notes of its own."""
    argv = [*WULFLING, "-f", str(bench.file), "plan", "-o", "json"]
    said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    different = [
        f"{step['node']} {step['key']}"
        for step in json.loads(said)["steps"]
        if step["status"] != "ok" and not step["key"].startswith(("service:", "wheel:"))
    ]
    if different:
        sys.exit(f"the scripts made another cluster: {different}")


def _declared(bench: Bench) -> dict[str, tuple[object, ...]]:
    found = talk(bench.setting, plan, show_progress=False)
    return dict(compile_cluster(bench.setting.resolve(found.hardware, _secrets(bench))))


def _secrets(bench: Bench) -> Secrets:
    """The cluster's own, when it has some: nobody is to find other work than the others."""
    argv = [*bench.ssh("rpnode01"), "sudo cat /var/lib/wulfling/secrets/munge_key"]
    kept = subprocess.run(argv, capture_output=True, check=False).stdout
    return Secrets(munge_key=kept or b"0123456789abcdef" * 8)


def _script(bench: Bench, node: str, resources: tuple[object, ...]) -> Callable[[], object]:
    pin = pinned("mpi4py", "3.11", "amd64")
    assert pin is not None
    wheel = blob(pin.sha256)
    text = shell_script(resources, "/tmp/mpi4py.whl")  # type: ignore[arg-type]

    def run() -> None:
        subprocess.run([*bench.ssh(node), "cat > /tmp/mpi4py.whl"], input=wheel, check=True)
        done = subprocess.run(
            [*bench.ssh(node), "sudo bash"],
            input=text,
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            sys.exit(f"{node}: {done.stdout[-2000:]}\n{done.stderr[-2000:]}")

    return run


def _ready(bench: Bench) -> None:
    """Boards that are what the file says, whichever parts were asked for."""
    bench.wulfling("lab", "up")
    bench.wulfling("apply", "-y")


def no_op(bench: Bench) -> None:
    """A plan with nothing to do against ``ssh true`` to the same boards, turn by turn."""
    nodes = list(bench.setting.addresses)
    plans, trues = [], []
    for _ in range(ROUNDS):
        plans.append(bench.wulfling("plan"))
        calls = [partial(timed, [*bench.ssh(node), "true"]) for node in nodes]
        trues.append(together(calls))
    bench.note("no-op plan", statistics.median(plans), statistics.median(trues), 4, "ssh true")


def diagnosis(bench: Bench) -> None:
    """Doctor on a healthy cluster against a plan with nothing to do, turn by turn."""
    plans, doctors = [], []
    for _ in range(ROUNDS):
        plans.append(bench.wulfling("plan"))
        doctors.append(bench.wulfling("doctor"))
    bench.note("doctor", statistics.median(doctors), statistics.median(plans), 2, "no-op plan")


def school_class(bench: Bench) -> None:
    """Twenty-five people from one list, each proven by a job; the limit is in seconds."""
    text = bench.file.read_text(encoding="utf-8")
    people = bench.file.with_name("class.csv")
    rows = (f'student{number:02},"cpu=2,mem=256M"' for number in range(1, 26))
    people.write_text("\n".join(("name,limits", *rows)) + "\n", encoding="utf-8")
    taken = bench.wulfling("user", "import", str(people))
    bench.file.write_text(text, encoding="utf-8")
    bench.wulfling("apply", "-y")
    bench.note("a class of 25", taken, 60, 1, "limit")


def against_ansible(bench: Bench) -> None:
    """A plan with nothing to do against a playbook with the same resources, pipelining on."""
    folder = ROOT / ".cache" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    ansible = _ansible(folder)
    for node, resources in _declared(bench).items():
        (folder / f"{node}.json").write_text(json.dumps(tasks(resources)))  # type: ignore[arg-type]
    (folder / "site.json").write_text(json.dumps(PLAYBOOK))
    (folder / "hosts").write_text(_inventory(bench))
    environment = {
        **os.environ,
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_FORKS": "10",
        "ANSIBLE_STRATEGY": "free",
        "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=60s",
        "ANSIBLE_HOST_KEY_CHECKING": "True",
    }
    argv = [str(ansible), "-i", str(folder / "hosts"), str(folder / "site.json")]
    subprocess.run(argv, env=environment, capture_output=True, check=False)  # settles its own state
    started = time.monotonic()
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    theirs = time.monotonic() - started
    if done.returncode != 0:
        sys.exit(f"ansible-playbook: {done.stdout[-3000:]}{done.stderr[-2000:]}")
    ours = statistics.median(bench.wulfling("plan", codes=(0, 2)) for _ in range(3))
    bench.note("no-op plan again", ours, theirs, 1 / 20, "ansible-core")


def _ansible(folder: Path) -> Path:
    venv = folder / "ansible"
    if not (venv / "bin" / "ansible-playbook").exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        pip = [str(venv / "bin" / "pip"), "install", "-q", "ansible-core"]
        subprocess.run(pip, check=True)
    return venv / "bin" / "ansible-playbook"


def _inventory(bench: Bench) -> str:
    lines = []
    for node, address in bench.setting.addresses.items():
        common = f"-o UserKnownHostsFile={address.known_hosts[0]} -o IdentitiesOnly=yes"
        proxy = f'-o ProxyCommand="{" ".join(address.proxy)}"'
        lines.append(
            f"{node} ansible_host={address.host} ansible_user={address.users[0]}"
            f" ansible_ssh_private_key_file={address.identities[0]}"
            f" ansible_python_interpreter=/usr/bin/python3"
            f" ansible_ssh_common_args='{common} {proxy}'"
        )
    return "\n".join(lines) + "\n"


def restart(bench: Bench) -> None:
    """From a lab that was shut down to all nodes idle; the limit is in seconds."""
    seconds = []
    for _ in range(3):
        bench.wulfling("lab", "down")
        started = time.monotonic()
        bench.wulfling("lab", "up")
        while not _idle(bench):
            if time.monotonic() - started > PATIENCE:
                sys.exit(f"not all nodes are idle {PATIENCE} s after lab up: is it a cluster yet?")
            time.sleep(0.2)
        seconds.append(time.monotonic() - started)
    taken = statistics.median(seconds)
    bench.note("lab up to all idle", taken, 15, 1, "limit", why=_starts(bench))


def _starts(bench: Bench) -> str:
    """When the head's daemons were up, in seconds after its boot: each waits for the one before."""
    units = ("chrony", "munge", "mariadb", "slurmdbd", "slurmctld", "slurmd")
    ask = f"systemctl show -P ActiveEnterTimestampMonotonic {' '.join(units)}"
    argv = [*bench.ssh("rpnode01"), ask]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    times = [f"{unit} {int(at) / 1e6:.1f}" for unit, at in zip(units, said, strict=True)]
    return f"seconds after the head's boot: {', '.join(times)}; "


def _idle(bench: Bench) -> bool:
    argv = [*bench.ssh("rpnode01"), "sinfo -hN -o %T"]
    said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.split()
    return said == ["idle", "idle"]


def help_cost(bench: Bench) -> None:
    """CPU seconds of ``wulfling --help``, against the limit."""
    costs = []
    for _ in range(ROUNDS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*WULFLING, "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    bench.note("wulfling --help, CPU", statistics.median(costs), 0.15, 1, "limit")


def main() -> None:
    """Measure what was asked for, everything by default, and keep the report as JSON."""
    parts = {
        "help": help_cost,
        "cold": cold,
        "noop": no_op,
        "doctor": diagnosis,
        "ansible": against_ansible,
        "restart": restart,
        "class": school_class,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(parts), help=", ".join(parts))
    parser.add_argument("--keep", action="store_true", help="do not destroy the lab at the end")
    chosen = parser.parse_args()
    folder = ROOT / ".cache" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "cluster.yaml"
    text = (ROOT / "examples" / "raspi-hpc.yaml").read_text(encoding="utf-8")
    file.write_text(text.replace("cluster: raspi-hpc", "cluster: bench"), encoding="utf-8")
    bench = Bench(file)
    for part in chosen.parts:
        if part not in ("help", "cold"):
            _ready(bench)
        parts[part](bench)
    (folder / "report.json").write_text(json.dumps(bench.report, indent=1) + "\n")
    if not chosen.keep:
        bench.wulfling("lab", "destroy")


if __name__ == "__main__":
    main()
