"""The screen of ``status``: a glance as lines, drawn where people would rather look than read.

Pure: as wide as it is told to be, a table where there is room for one, and a few short lines for
each node on a phone. A colour only repeats what a word says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from textwrap import wrap

import click

from wulfling.cli import show
from wulfling.converge.checks.check import span
from wulfling.converge.status import Glance, NodeStatus
from wulfling.node.self_check import MARK

PATIENT = 20  # seconds beyond the pause between looks that an answer may take without a word
BAR = 6  # letters
FULL, EMPTY = "█", "░"


@dataclass(frozen=True)
class Column:
    """One column. Those of the highest ``rank`` are the first to go when there is no room."""

    head: str
    rank: int
    cell: Callable[[NodeStatus], str]


def bar(part: float, whole: float, width: int = BAR) -> str:
    """How much of the whole: anything shows as one mark, and all marks are all of it."""
    if whole <= 0:
        return ""
    share = min(max(part / whole, 0.0), 1.0)
    marks = min(max(round(share * width), share > 0), width if share >= 1 else width - 1)
    return FULL * marks + EMPTY * (width - marks)


def percent(part: float, whole: float) -> str:
    """A bar and a figure."""
    return f"{bar(part, whole)} {100 * part / whole:.0f}%" if whole > 0 else ""


def size(mib: int) -> str:
    """An amount for people."""
    return f"{mib / 1024:.0f} GiB" if mib >= 10240 else f"{mib} MiB"


def state(node: NodeStatus) -> str:
    """The state in one word: Slurm's, where it has one."""
    if not node.reachable:
        return "away"
    return "up" if node.state == "-" else node.state


def load(node: NodeStatus) -> str:
    """The load against the CPUs."""
    return f"{bar(node.load, node.cpus)} {node.load:.2f}" if node.memory_mb else ""


def memory(node: NodeStatus) -> str:
    """The memory that is in use."""
    return percent(node.memory_mb - node.free_mb, node.memory_mb)


def disk(node: NodeStatus) -> str:
    """What is in use of the disk."""
    return percent(node.disk_mb - node.disk_free_mb, node.disk_mb)


def heat(node: NodeStatus) -> str:
    """The temperature, and whether the board has slowed itself down or had too little voltage."""
    degrees = "" if node.temperature is None else f"{node.temperature:.0f} °C"
    return f"{degrees} throttled".strip() if node.throttled else degrees


def wear(node: NodeStatus) -> str:
    """What is known of the age of its disk."""
    if node.worn_percent is not None:
        return f"{node.worn_percent}% worn"
    return f"{node.written_gib} GiB" if node.written_gib is not None else ""


def link(node: NodeStatus) -> str:
    """The speed of its link."""
    if not node.link_mbit:
        return ""
    fast = node.link_mbit >= 1000
    return f"{node.link_mbit / 1000:g} Gb/s" if fast else f"{node.link_mbit} Mb/s"


def updates(node: NodeStatus) -> str:
    """Newer packages, ``12 (3 sec.)`` with three of them for security."""
    if node.updates is None:
        return ""
    security = f" ({node.security_updates} sec.)" if node.security_updates else ""
    return f"{node.updates}{security}"


def up(node: NodeStatus) -> str:
    """How long it runs."""
    return span(node.up_seconds) if node.memory_mb else ""


COLUMNS = (
    Column("NODE", 0, lambda node: node.node),
    Column("ROLES", 8, lambda node: ",".join(node.roles)),
    Column("ADDRESS", 9, lambda node: node.address),
    Column("STATE", 0, state),
    Column("LOAD", 0, load),
    Column("MEMORY", 0, memory),
    Column("DISK", 2, disk),
    Column("HEAT", 3, heat),
    Column("LINK", 5, link),
    Column("WRITTEN", 7, wear),
    Column("UPDATES", 6, updates),
    Column("UP", 4, up),
)


def lines(glance: Glance, width: int, height: int = 0) -> tuple[str, ...]:
    """The whole screen. On a phone of so small a ``height`` that lines would be lost, nodes with
    which all is well get one line each; 0 is any height."""
    below = tuple(cluster_lines(glance, width))
    foot = ("", *below) if below else ()
    head = (*summary(glance), "")
    if chosen := _columns(glance.nodes, width):
        return (*head, *_table(glance, chosen, width), *foot)
    cards = [tuple(_card(node, width, glance.pause)) for node in glance.nodes]
    if 0 < height < len(head) + sum(map(len, cards)) + len(foot):
        nodes = zip(glance.nodes, cards, strict=True)
        cards = [card if any(remarks(node, glance.pause)) else card[:1] for node, card in nodes]
    return (*head, *(line for card in cards for line in card), *foot)


def summary(glance: Glance) -> Iterator[str]:
    """How many boards are well, in one line."""
    away = sum(not node.reachable for node in glance.nodes)
    ill = sum(node.reachable and bool(node.unwell or node.wrong) for node in glance.nodes)
    well = len(glance.nodes) - away - ill
    words = [f"{well} of {len(glance.nodes)} well" if glance.nodes else "nobody has answered yet"]
    words += [click.style(f"{ill} ill", fg="yellow")] if ill else []
    words += [click.style(f"{away} away", fg="red")] if away else []
    yield f"{click.style(glance.cluster, bold=True)}: {', '.join(words)}"


def cluster_lines(glance: Glance, width: int) -> Iterator[str]:
    """What is no single node's: the queue, storage, the last backup. What is not known is left
    out."""
    told: list[tuple[str, str]] = []
    if any(node.state != "-" for node in glance.nodes):  # so the controller answered
        told += [("queue", queue(node)) for node in glance.nodes if "head" in node.roles]
    for node in glance.nodes:
        for share in node.serves:
            used = percent(share.mb - share.free_mb, share.mb)
            told.append((share.path, f"{used}, {size(share.free_mb)} free on {node.node}"))
    for node in glance.nodes:
        saved = [f"{what} {span(int(age))} ago" for what, age in node.backups]
        told += [("backup", f"{', '.join(saved)}, by {node.node}")] if saved else []
    label = max((len(name) for name, _ in told), default=0)
    for name, words in told:
        yield from _hanging(f"{name:{label}}  ", words, width)


def queue(node: NodeStatus) -> str:
    """``2 running, 3 pending (Priority 2, Resources 1)``."""
    states: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for jobs in node.queue:
        states[jobs.state] += jobs.jobs
        if jobs.state == "PENDING":
            reasons[jobs.reason] += jobs.jobs
    if not states:
        return "no jobs"
    why = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    order = sorted(states, key=lambda name: (name != "RUNNING", name))
    words = (f"{states[name]} {name.lower()}" for name in order)
    return ", ".join(words) + (f" ({why})" if why else "")


def details(node: NodeStatus, width: int, pause: float = 0) -> Iterator[str]:
    """All that is known of one node."""
    yield _coloured(node, f"{node.node}  {node.address}  {','.join(node.roles)}  {state(node)}")
    for words, colour in remarks(node, pause):
        for line in _hanging("  ! ", words, width):
            yield click.style(line, fg=colour)
    cpus = f" of {node.cpus} CPU{'s' * (node.cpus != 1)}" if node.cpus else ""
    disk_left = f", {size(node.disk_free_mb)} free"
    told = {
        "load": load(node) and load(node) + cpus,
        "memory": memory(node) and f"{memory(node)} of {size(node.memory_mb)}",
        "disk": disk(node) and disk(node) + disk_left,
        "written": wear(node),
        "heat": heat(node),
        "link": link(node),
        "updates": updates(node),
        "up": up(node),
    }
    yield from _packed((f"{name} {value}" for name, value in told.items() if value), width)
    for share in node.serves:
        used = percent(share.mb - share.free_mb, share.mb)
        yield f"  {share.path} {used}, {size(share.free_mb)} free"


def remarks(node: NodeStatus, pause: float = 0) -> Iterator[tuple[str, str]]:
    """What there is to say of a node in words, each with the colour that repeats it. ``pause`` are
    the seconds between two looks."""
    if not node.reachable:
        yield f"unreachable: {node.reason}", "red"
        if node.seen_seconds is not None:
            yield f"last answer {span(node.seen_seconds)} ago", "red"
        return
    if node.seen_seconds is not None and node.seen_seconds > pause + PATIENT:
        yield f"no answer for {span(node.seen_seconds)}; these figures are older", "yellow"
    if node.unwell:
        goes_on = "; what runs there goes on" if node.state.startswith("draining") else ""
        own = node.reason.removeprefix(MARK)
        why = f": {own}" if own and own not in node.wrong else ""
        yield f"takes no new jobs{goes_on}{why}", "yellow"
    elif node.reason:
        yield node.reason, "yellow"
    for words in node.wrong:
        yield words, "red"


def _columns(nodes: Iterable[NodeStatus], width: int) -> tuple[Column, ...]:
    """The columns that there is room for, none when even the most important have none."""
    found = [c for c in COLUMNS if any(c.cell(node) for node in nodes) or c.rank == 0]
    while _wide(found, nodes) > width:
        last = max(found, key=lambda column: column.rank)
        if last.rank == 0:
            return ()
        found.remove(last)
    return tuple(found)


def _wide(columns: Iterable[Column], nodes: Iterable[NodeStatus]) -> int:
    widths = [max(len(c.head), *(len(c.cell(node)) for node in nodes), 0) for c in columns]
    return sum(widths) + 2 * (len(widths) - 1)


def _table(glance: Glance, columns: tuple[Column, ...], width: int) -> Iterator[str]:
    heads = [column.head for column in columns]
    rows = [[column.cell(node) for column in columns] for node in glance.nodes]
    head, *rest = show.table(heads, rows)
    yield click.style(head, bold=True)
    for node, row in zip(glance.nodes, rest, strict=True):
        yield _coloured(node, row)
        for words, colour in remarks(node, glance.pause):
            for line in _hanging("    ", words, width):
                yield click.style(line, fg=colour)


def _coloured(node: NodeStatus, row: str) -> str:
    if not node.reachable:
        return click.style(row, fg="red")
    return click.style(row, fg="yellow") if node.unwell or node.wrong else row


def _card(node: NodeStatus, width: int, pause: float) -> Iterator[str]:
    """A node on a phone: its name and state, two bars, and what else is known."""
    top = f"{node.node}  {state(node)}"
    roles = ",".join(node.roles)
    gap = width - len(top) - len(roles)
    yield _coloured(node, f"{top}{' ' * gap}{roles}" if gap > 1 else top)
    if load(node) and node.reachable:
        yield f"  load {load(node)}  mem {memory(node)}"
    known = {
        "disk": disk(node),
        "": heat(node),
        "link": link(node),
        "written" if node.worn_percent is None else "disk is": wear(node),
        "updates": updates(node),
        "up": up(node),
    }
    words = [f"{name} {value}".strip() for name, value in known.items() if value]
    yield from _packed(words, width)
    for said, colour in remarks(node, pause):
        for line in _hanging("  ! ", said, width):
            yield click.style(line, fg=colour)


def _packed(words: Iterable[str], width: int) -> Iterator[str]:
    """Pieces that are not torn, as many on a line as there is room for."""
    line = ""
    for word in words:
        if line and len(line) + 2 + len(word) > width:
            yield line
            line = ""
        line = f"{line}, {word}" if line else f"  {word}"
    if line:
        yield line


def _hanging(label: str, words: str, width: int) -> Iterator[str]:
    """Words beside a label, and below each other where they are too many."""
    yield from wrap(
        words,
        max(width, 30),
        initial_indent=label,
        subsequent_indent=" " * len(label),
        break_on_hyphens=False,
    )
