"""``wulfling node add``, ``remove``, ``replace``: boards come and go, and the file says it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wulfling import spec
from wulfling.cli.adopt import make_nodes, tell_adopted
from wulfling.cli.lab import switch_on
from wulfling.cli.rack import WAIT, YES, agreed, chosen, operator, rack, seconds
from wulfling.cli.river import bring
from wulfling.cli.setting import Setting, setting
from wulfling.day2 import membership
from wulfling.day2.membership import Answer
from wulfling.day2.rack import Rack, turn
from wulfling.errors import NodeFailed, Unreachable, WulflingError
from wulfling.model.cluster import Role
from wulfling.spec import notation
from wulfling.spec.problem import Refused
from wulfling.spec.rewrite import rewrite
from wulfling.transport import pins

if TYPE_CHECKING:
    from wulfling.spec.extend import Newcomer

SAID_NO = 2
ROLES = [role.value for role in Role if role is not Role.HEAD]
ANSWERS = click.option(
    "--answers",
    type=click.Path(path_type=Path),
    help="Passwords and fingerprints, as for `adopt`; nothing that it has is asked.",
)


class Written(click.ParamType[Any]):
    """A value in the notation of the cluster file."""

    def __init__(self, name: str, read: Any) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        try:
            return self._read(str(value))
        except Refused as refused:
            self.fail(f"{refused.message}; {refused.hint}" if refused.hint else refused.message)
        except ValueError as error:
            self.fail(str(error))


MAC = Written("mac", notation.mac)
ADDRESS = Written("address", IPv4Address)


@click.command()
@click.argument("name")
@click.option("--address", type=ADDRESS, required=True, help="Its address.")
@click.option("--mac", type=MAC, help="Of its network card, where it is known.")
@click.option(
    "--role", "roles", type=click.Choice(ROLES), multiple=True, help="What it is for: compute."
)
@click.option(
    "--partition", "partitions", multiple=True, help="That it joins; without it the default one."
)
@ANSWERS
@YES
@click.pass_obj
def add(
    file: Path,
    *,
    name: str,
    address: IPv4Address,
    mac: str | None,
    roles: Sequence[str],
    partitions: Sequence[str],
    answers: Path | None,
    yes: bool,
) -> int:
    """Make a new board the node NAME: a line in the file, first contact, and an apply.

    A virtual board is switched on; a real one has to be on, and is adopted unless its card was
    written for it. Running jobs go on. Killed at any moment, run it again.

    Exit code 0: it takes jobs; 2: you said no; 3: it, or another board, does not answer; 4: it
    was not adopted, or a board failed; 6: the file takes no such node.
    """
    from wulfling.spec.extend import Newcomer, enlarged

    newcomer = Newcomer(name, address, mac or "", tuple(Role(role) for role in roles))
    prepared = setting(file)
    if not _is_there(prepared, newcomer, file):
        document = spec.read(file)
        text = enlarged(document, newcomer, _joined(prepared, newcomer, partitions))
        if not agreed(f"Write {newcomer.line} into {file}, and apply?", yes=yes):
            return SAID_NO
        rewrite(file, text, document)
        click.echo(f"{file}: + {newcomer.line}")
        prepared = setting(file)
    with turn(prepared.resolve(join=False).name, operator()):
        if code := meet(prepared, name, answers):
            return code
        return bring(file).exit_code


def _is_there(prepared: Setting, newcomer: Newcomer, file: Path) -> bool:
    """Whether an earlier run has written it."""
    if newcomer.name not in prepared.addresses:
        return False
    there = prepared.addresses[newcomer.name].host
    if there != str(newcomer.address):
        raise WulflingError(
            f"there is a node {newcomer.name} already, at {there}",
            hint=f"another name; or, for another board in its place: wulfling -f {file} node"
            f" replace {newcomer.name}",
            where=str(file),
        )
    return True


def _joined(prepared: Setting, newcomer: Newcomer, partitions: Sequence[str]) -> tuple[str, ...]:
    """The partitions of a newcomer: those that were named, or the default one."""
    cluster = prepared.resolve(join=False)
    known = {part.name: part for part in cluster.slurm.partitions} if cluster.slurm else {}
    for name in partitions:
        if name not in known:
            raise WulflingError(
                f"there is no partition {name}", hint=f"the file has {', '.join(known) or 'none'}"
            )
    computes = not newcomer.roles or Role.COMPUTE in newcomer.roles
    default = [name for name, part in known.items() if part.default and computes]
    return tuple(partitions) or tuple(default)


def meet(prepared: Setting, name: str, answers: Path | None) -> int:
    """First contact with a board, if there was none; the exit code when it fails."""
    from wulfling.bringup import adopt_answers
    from wulfling.bringup.adopt import exit_code

    cluster = prepared.resolve(join=False)
    if cluster.virtual and not answers:
        switch_on(prepared)
        return 0
    if pins.pinned(cluster.name, prepared.addresses[name].pinned_as):
        return 0
    told = adopt_answers.read(answers, prepared.addresses) if answers else {}
    told = {name: told.get(name, adopt_answers.Answer())}
    results = make_nodes(prepared, [name], told, show_progress=True)
    for result in results:
        tell_adopted(result)
        if result.error and result.error.hint:
            click.echo(f"  hint: {result.error.hint}", err=True)
    return exit_code(results)


@click.command()
@click.argument("name")
@click.option("--no-wait", is_flag=True, help="Refuse, and change nothing, while jobs run there.")
@WAIT
@YES
@click.pass_obj
def remove(file: Path, name: str, *, no_wait: bool, wait: float | None, yes: bool) -> int:
    """Take NAME out of the cluster: drained, its jobs done, out of the file, out of Slurm.

    The board keeps its name, its accounts and keys, and all packages; the cluster's secrets,
    files, mounts and daemons go. A board that is dead keeps all, so `rotate munge` when it
    might come into other hands. Killed at any moment, run it again.

    Exit code 0: it is out; 2: you said no; 3: another board does not answer; 4: its jobs held
    it, or a board failed; 6: the file would not do without it.
    """
    from wulfling.spec.extend import reduced

    prepared = setting(file)
    (name,) = chosen(prepared, [name], file)
    boards = rack(prepared)
    membership.check_may_go(boards, name)
    document = spec.read(file)
    text = reduced(document, name)  # first, because a file that takes no change stops it all
    if no_wait and (jobs := asyncio.run(membership.busy_with(boards, name))):
        raise NodeFailed(f"it runs {jobs}", hint="without --no-wait they end first", where=name)
    if not agreed(f"Take {name} out of {boards.cluster.name}?", yes=yes):
        return SAID_NO
    with turn(boards.cluster.name, operator()):
        if not asyncio.run(membership.leave(boards, name, seconds(wait))):
            click.echo(f"{name}: does not answer, so what it has of the cluster stays on it")
        rewrite(file, text, document)
        click.echo(f"{file}: - {name}")
        return bring(file).exit_code


@click.command()
@click.argument("name")
@click.option("--mac", type=MAC, help="Of the new board's network card, before it can be asked.")
@ANSWERS
@WAIT
@YES
@click.pass_obj
def replace(
    file: Path,
    name: str,
    *,
    mac: str | None,
    answers: Path | None,
    wait: float | None,
    yes: bool,
) -> int:
    """Have another board, or a new SD card, take the place of NAME.

    While the old board answers, it is drained and its jobs end; then put the new one in its
    place and type the same command again. The old host key is forgotten, you compare the new
    one's, and the file gets the new network card's address. It takes jobs when it is well.

    Exit code 0: the new one takes jobs; 2: you said no; 3: nobody answers there, or another
    board does not; 4: the old board is still there, or a board failed.
    """
    prepared = setting(file)
    (name,) = chosen(prepared, [name], file)
    boards = rack(prepared)
    membership.check_may_go(boards, name)
    if mac:
        prepared = _with_mac(file, name, mac)
    with turn(boards.cluster.name, operator()):
        answer = asyncio.run(membership.who_answers(boards, name))
        if not agreed(f"At {name} answers {answer.value}. Replace it?", yes=yes):
            return SAID_NO
        asyncio.run(membership.make_room(boards, name, answer, seconds(wait)))
        _stop_unless_new(name, answer, file)
        if answer is Answer.STRANGER and (code := first_contact(prepared, name, answers)):
            return code
        _note_card(prepared, boards, name, file)
        outcome = bring(file)
        if outcome.exit_code:
            return outcome.exit_code
        asyncio.run(membership.take_over(rack(setting(file)), name))
    click.echo(f"{name}: the new board takes jobs")
    return 0


def _stop_unless_new(name: str, answer: Answer, file: Path) -> None:
    again = f"wulfling -f {file} node replace {name}   # again"
    if answer is Answer.OURS:
        raise NodeFailed(
            "the old board still answers; it takes no jobs any more and has none",
            hint=f"switch it off and put the new one in its place, then: {again}",
            where=name,
        )
    if answer is Answer.NOBODY:
        raise Unreachable(
            "no board answers there yet; it gets no jobs",
            hint=f"switch the new one on, then: {again}",
            where=name,
        )


def first_contact(prepared: Setting, name: str, answers: Path | None) -> int:
    """Forget the old board's host key and meet the new one; when that fails, the old key is
    the pinned one again."""
    cluster, address = prepared.resolve(join=False).name, prepared.addresses[name].pinned_as
    old = pins.pinned(cluster, address)
    pins.pin(cluster, address, ())
    try:
        code = meet(prepared, name, answers)
    except BaseException:
        pins.pin(cluster, address, old)
        raise
    if code and not pins.pinned(cluster, address):
        pins.pin(cluster, address, old)
    return code


def _with_mac(file: Path, name: str, mac: str) -> Setting:
    from wulfling.spec.extend import with_mac

    document = spec.read(file)
    text = with_mac(document, name, mac)
    if text != document.text:
        rewrite(file, text, document)
        click.echo(f"{file}: {name} has the mac {mac}")
    return setting(file)


def _note_card(prepared: Setting, boards: Rack, name: str, file: Path) -> None:
    """Where the file says which network card it is, it says the new one."""
    known = prepared.resolve(join=False).node(name).mac
    if known and (found := asyncio.run(membership.mac_of(boards, name))) and found != known:
        _with_mac(file, name, found)
