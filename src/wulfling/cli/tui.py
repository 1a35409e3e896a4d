"""``wulfling status --tui``: every node in a table, and of one of them all that is known, its log,
and keys that drain and resume it. The one module that needs textual."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import ClassVar

from rich.markup import escape
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import DataTable, Footer, Input, Label, RichLog, Static

from wulfling.cli import screen
from wulfling.converge.status import NodeStatus, Watch
from wulfling.day2.rack import Rack
from wulfling.day2.rest import counted, drain_nodes, is_a_reason, resume_nodes
from wulfling.errors import WulflingError

BEAT = 1.0  # seconds between two pictures
LOG_LINES = 100
# What a board of ours runs; journalctl(1) says nothing of units that a board does not have. Not
# ssh: each of our looks is a dozen lines there.
UNITS = ("slurmd", "slurmctld", "slurmdbd", "mariadb", "munge", "nfs-server", "chrony")
JOURNAL = (
    *("journalctl", "--no-pager", "--quiet", "--output=short", f"--lines={LOG_LINES}"),
    *(f"--unit={unit}" for unit in UNITS),
)
SHOWN = tuple(column for column in screen.COLUMNS if column.rank <= 4)


class Reason(ModalScreen[str]):
    """Asks why a node is to be drained; "" when somebody thought better of it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave it")]
    DEFAULT_CSS = """
    Reason { align: center middle; }
    Reason Vertical { width: 90%; max-width: 70; height: 7; border: round $accent; }
    """

    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node

    def compose(self) -> ComposeResult:
        """A question and a line to answer in."""
        with Vertical():
            yield Label(f"Why is {self._node} to be drained?", markup=False)
            yield Input(placeholder="people see it in sinfo -R; Esc leaves it as it is")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take a line of text, and nothing else."""
        if is_a_reason(event.value):
            self.dismiss(event.value.strip())
        else:
            self.notify("a reason is a line of text", severity="warning")

    def action_leave(self) -> None:
        """Nothing is drained."""
        self.dismiss("")


class View(App[WulflingError]):
    """The view. It ends with the error that no further look could bring anything after: an
    impostor, or a machine without ssh."""

    ENABLE_COMMAND_PALETTE = False
    NOTIFICATION_TIMEOUT = 30  # seconds: what Slurm refuses is a sentence and a hint
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "drain", "Drain"),
        Binding("r", "resume", "Resume"),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False),
    ]
    CSS = """
    #table { height: auto; max-height: 40%; }
    #details { height: auto; max-height: 40%; border-top: solid $accent; }
    #log { height: 1fr; min-height: 4; border-top: solid $accent; }
    """

    def __init__(self, watch: Watch, boards: Rack, every: float) -> None:
        super().__init__()
        self._watch, self._boards, self._every = watch, boards, every
        self.selected = boards.cluster.nodes[0].name

    def compose(self) -> ComposeResult:
        """From the whole to one node."""
        yield Static(id="summary", markup=False)
        yield DataTable[Text](id="table", cursor_type="row")
        with VerticalScroll(id="details"):
            yield Static(id="node", markup=False)
        yield RichLog(id="log", min_width=20, wrap=True, markup=False, highlight=False)
        yield Footer()

    def on_mount(self) -> None:
        """Begin to look."""
        table = self._table
        for column in SHOWN:
            table.add_column(column.head, key=column.head)
        for node in self._boards.cluster.nodes:
            cells = (Text(node.name), *[Text()] * (len(SHOWN) - 1))
            table.add_row(*cells, key=node.name)
        self.run_worker(self._look(), group="look")
        self.set_interval(BEAT, self.picture)
        self.picture()
        table.focus()

    @property
    def _table(self) -> DataTable[Text]:
        return self._below.query_one("#table", DataTable)

    @property
    def _below(self) -> Screen[object]:
        """Our own widgets, also while a question stands before them."""
        return self.screen_stack[0]

    async def _look(self) -> None:
        try:
            await self._watch.go_on(self._every)
        except WulflingError as error:
            self.exit(error)

    def picture(self) -> None:
        """Show what is known by now."""
        if len(self._below.query("#summary, #table, #node")) < 3:
            return  # the view is being left
        glance = self._watch.glance()
        asking = [Text(f"asking {', '.join(self._watch.unheard)}")] if self._watch.unheard else []
        top = [*screen.summary(glance), *screen.cluster_lines(glance, self.size.width)]
        self._below.query_one("#summary", Static).update(_text(top, asking))
        for node in glance.nodes:
            for column in SHOWN:
                cell = Text(column.cell(node), style=_style(node))
                self._table.update_cell(node.node, column.head, cell, update_width=True)
        mine = next((node for node in glance.nodes if node.node == self.selected), None)
        room, pause = self.size.width - 2, glance.pause
        details = screen.details(mine, room, pause) if mine else ("asking",)
        self._below.query_one("#node", Static).update(_text(details))

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Turn to another node."""
        self.selected = event.row_key.value or self.selected
        self.picture()
        self.run_worker(self._follow(self.selected), group="log", exclusive=True)

    async def _follow(self, node: str) -> None:
        """Show the journal of a node until somebody turns to another one. The next question
        waits for the last answer: a slow board may take longer than the pause."""
        log = self._below.query_one("#log", RichLog)
        log.clear()
        shown = ""
        while True:
            try:
                said = await self._boards.said(node, *JOURNAL)
            except WulflingError as error:
                said = error.message
            if said != shown:
                shown = said
                log.clear()
                log.write(Text(said.rstrip()))
            await asyncio.sleep(self._every)

    def action_drain(self) -> None:
        """Ask why, and drain the node."""
        node = self.selected

        def drain(reason: str | None) -> None:
            if reason:
                self.run_worker(self._done(self._drain(node, reason)), group="act")

        self.push_screen(Reason(node), drain)

    def action_resume(self) -> None:
        """Give the node jobs again."""
        self.run_worker(self._done(resume_nodes(self._boards, [self.selected])), group="act")

    async def _drain(self, node: str, reason: str) -> list[str]:
        held = (await drain_nodes(self._boards, [node], reason))[node]
        return [f"{node}: drained" + (f" once these are done, {counted('job', held)}" * bool(held))]

    async def _done(self, act: Awaitable[list[str]]) -> None:
        """Say what came of it, and look what Slurm says now."""
        try:
            for words in await act:
                self.notify(escape(words))
            await self._watch.ask(self._boards.cluster.head)
        except WulflingError as error:
            hint = f"\n{error.hint}" if error.hint else ""
            self.notify(escape(f"{error.message}{hint}"), severity="error")
        self.picture()


def _style(node: NodeStatus) -> str:
    if not node.reachable:
        return "red"
    return "yellow" if node.unwell or node.wrong else ""


def _text(lines: Iterable[str], more: Iterable[Text] = ()) -> Text:
    return Text("\n").join([*map(Text.from_ansi, lines), *more])
