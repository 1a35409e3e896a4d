"""The board's firewall: a table of nftables, loaded so that a mistake takes itself back.

Rules that cut off whoever loads them cannot be mended from afar. So the board arms a timer that
brings back what was there before, loads the rules, and only a *new* connection stops the timer:
the one that is open goes on through any firewall.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from wulfling.errors import WulflingError
from wulfling.model.resource import NotYet, Resource
from wulfling.node.board import NOT_FOUND, STATE, Board
from wulfling.node.dead_man import FIREWALL as REVERT
from wulfling.node.dead_man import PATIENCE, arm, disarm
from wulfling.node.resources.file import sync_directory, unified, write_atomically

TABLE = ("inet", "wulfling")
RULES = "/etc/nftables.d/wulfling-firewall.nft"
UNIT = "wulfling-firewall.service"
WANTED = f"/etc/systemd/system/sysinit.target.wants/{UNIT}"

FOLDER = f"{STATE}/firewall"
BEFORE = f"{FOLDER}/before.nft"  # what the timer loads
NEW = f"{FOLDER}/new.nft"
LISTED = f"{FOLDER}/listed"  # the table as nft(8) showed it when it was loaded

RANDOM = 32768  # where ip_local_port_range begins
RPCBIND = 111
LOOPBACK_4, LOOPBACK_6 = "7F", "00000000000000000000000001000000"  # 127.* is told backwards

# What nft(8) says of rules that are right and that this kernel was built without.
LACKING = ("Operation not supported", "No such file or directory")
NOT_ENFORCED = (
    "not enforced: this board's kernel has no nftables for these rules"
    " (CONFIG_NF_TABLES_INET), so its ports are open to its whole network"
)


@dataclass(frozen=True, kw_only=True)
class Firewall(Resource):
    """The table ``inet wulfling``: ``rules`` in the language of nft(8), which make the table anew;
    ``loaded`` now and ``boots`` with the board. Without rules: no table."""

    kind: ClassVar[str] = "firewall"

    rules: str
    loaded: bool = True
    boots: bool = True
    patience: int = field(default=PATIENCE, compare=False)
    heard: tuple[str, ...] = field(default=(), compare=False)  # what listens there, "80/tcp"

    @property
    def name(self) -> str:
        return "wulfling"

    def observe(self, board: Board) -> Firewall:
        """The rules that were kept, and whether the kernel has them unchanged. In an apply raises
        ``NotYet`` before nft(8) is there; without it nothing of ours is loaded, and a plan can say
        so. On a kernel that cannot hold the rules, the wish (see ``note``)."""
        listed = _listed(board)
        if listed is None and self.rules and board.applying:
            raise NotYet("packages:apt")
        now = Firewall(
            rules=board.text(RULES) or "",
            loaded=bool(listed) and listed == board.text(LISTED),
            boots=board.path(WANTED).is_symlink(),
            heard=tuple(_listening(board)),
        )
        if not self.rules and listed:  # whatever is in it
            return Firewall(rules=now.rules, loaded=True, boots=now.boots)
        return self if now != self and self._is_beyond(board) else now

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Load the rules, have somebody come in anew, and keep them; or bring back what was there,
        and raise ``WulflingError``. Raises ``CommandFailed`` for rules that nft(8) refuses."""
        board.forget("firewall")
        if not self.rules:
            self._take_away(board)
            return
        board.path(FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
        _finish_revert(board)
        _write(board, NEW, self.rules)
        new, before = str(board.path(NEW)), str(board.path(BEFORE))
        board.run(["nft", "-c", "-f", new])
        _write(board, BEFORE, _again(_listed(board) or ""))
        arm(board, REVERT, ("nft", "-f", before), self.patience)
        board.run(["nft", "-f", new])
        if silence := board.contact():
            _finish_revert(board)
            raise WulflingError(
                f"with these rules no new connection got through ({silence}), so the rules from"
                " before are back",
                hint="`firewall: {ssh: ...}` in the cluster file has to hold the address you come"
                " from; without it ssh is open to all",
            )
        self._keep(board)

    def _keep(self, board: Board) -> None:
        _write(board, LISTED, _listed(board) or "")
        board.path(RULES).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _write(board, RULES, self.rules, mode=0o644)
        board.run(["systemctl", "daemon-reload"])
        board.run(["systemctl", "enable", "--now", "--quiet", UNIT])

    def _take_away(self, board: Board) -> None:
        """Nobody is locked out by this, so nothing has to be armed."""
        board.ask(["systemctl", "disable", "--now", "--quiet", UNIT])
        board.path(WANTED).unlink(missing_ok=True)
        board.ask(["nft", "delete", "table", *TABLE])
        for path in (RULES, LISTED, NEW, BEFORE):
            board.path(path).unlink(missing_ok=True)

    def note(self, board: Board) -> str:
        """Why the rules are not there although nothing is to be done."""
        if not self.rules or board.text(RULES) == self.rules:
            return ""
        return NOT_ENFORCED if self._is_beyond(board) else ""

    def _is_beyond(self, board: Board) -> bool:
        """Whether this kernel cannot hold the rules; asked of the kernel, with nothing changed."""
        return board.once("firewall", lambda: self._beyond(board))

    def _beyond(self, board: Board) -> bool:
        if not self.rules:
            return False
        code, _, said = board.ask(["nft", "-c", "-f", "-"], stdin=self.rules)
        return code != 0 and "Could not process rule" in said and any(w in said for w in LACKING)

    def commands(self) -> tuple[str, ...]:
        return (
            f"sudo tee {RULES} > /dev/null <<'EOF'\n{self.rules}EOF",
            f"sudo nft -c -f {RULES}",
            f"sudo systemd-run --unit={REVERT} --on-active={self.patience}"
            f" nft delete table {' '.join(TABLE)}",
            f"sudo nft -f {RULES}",
            f"sudo systemctl stop {REVERT}.timer   # by a new ssh session: it got through",
            f"sudo systemctl enable --now {UNIT}",
        )

    def undo(self) -> tuple[str, ...]:
        return (
            f"sudo systemctl disable --now {UNIT}   # it deletes the table",
            f"sudo rm {RULES}",
        )

    def difference(self, observed: Resource | None) -> tuple[str, ...]:
        """A unified diff of the rules, and what else is not so."""
        return tuple(self._lines(observed))

    def _lines(self, observed: Resource | None) -> Iterator[str]:
        assert isinstance(observed, Firewall)
        if observed.rules != self.rules:
            yield from unified(RULES, observed.rules, self.rules)
            yield from self._closed(observed.heard)
        elif observed.loaded != self.loaded:
            yield "  load: the kernel has not these rules, or somebody has changed them"
        if observed.boots != self.boots:
            yield f"  with the board: {'yes' if self.boots else 'no'}"

    def _closed(self, heard: Iterable[str]) -> Iterator[str]:
        """Somebody's own programs that go silent for who is no board of the cluster."""
        known = {f"{number}/{protocol}" for protocol, number in _RULE.findall(self.rules)}
        for port in heard if self.rules else ():
            if port not in known:
                keep = f"`firewall: {{open: [{port}]}}` keeps it"
                yield f"  closes {port}, which listens here: {keep}"


NO_FIREWALL = Firewall(rules="", loaded=False, boots=False)


_RULE = re.compile(r"(tcp|udp) dport ([0-9]+) ")


def _listed(board: Board) -> str | None:
    """The table as the kernel has it, "" when it has none; None when there is no nft(8)."""
    code, out, _ = board.ask(["nft", "-s", "list", "table", *TABLE])
    if code == NOT_FOUND:
        return None
    return out if code == 0 else ""


def _listening(board: Board) -> Iterator[str]:
    """The ports that take packets from outside (proc_net_tcp(5)), without those that a program
    was given at random, and rpcbind's, which is closed anyway."""
    found = set()
    for name, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        for words in map(str.split, board.lines(f"/proc/net/{name}")[1:]):
            address, _, number = words[1].partition(":")
            port = int(number, 16)
            outside = address != LOOPBACK_6 and not address.endswith(LOOPBACK_4)
            if words[3] == state and outside and port < RANDOM and port != RPCBIND:
                found.add((port, name.rstrip("6")))
    return (f"{port}/{protocol}" for port, protocol in sorted(found))


def _again(listed: str) -> str:
    """Rules that make the table what it was, or that it is gone (nft(8): `table` makes one that
    can be deleted)."""
    name = " ".join(TABLE)
    return f"table {name}\ndelete table {name}\n{listed}"


def _finish_revert(board: Board) -> None:
    """Do now what the timer was to do, if one is armed: an apply that was cut off left it."""
    if disarm(board, REVERT) and board.text(BEFORE):
        board.run(["nft", "-f", str(board.path(BEFORE))])


def _write(board: Board, path: str, text: str, mode: int = 0o600) -> None:
    place = board.path(path)
    write_atomically(place, text, mode=mode, uid=board.uid("root"), gid=board.gid("root"))
    sync_directory(place.parent)
