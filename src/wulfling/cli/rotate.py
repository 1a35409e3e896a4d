"""``wulfling rotate``: new keys in place of old ones, on all boards, while jobs run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from wulfling.cli.rack import YES, agreed, operator, rack
from wulfling.cli.remote import device_place, follow, head_asked, show_code
from wulfling.cli.river import talk
from wulfling.cli.setting import Setting, setting
from wulfling.converge.apply import apply
from wulfling.converge.observe import plan
from wulfling.day2.rack import Rack, turn
from wulfling.day2.rest import recovered
from wulfling.day2.rotate import check_all_there, check_done
from wulfling.day2.rotate import munge as munge_key
from wulfling.day2.rotate import ssh as ssh_keys
from wulfling.day2.rotate import wireguard as tunnel_key
from wulfling.errors import WulflingError
from wulfling.transport import pins

SAID_NO = 2


@click.group()
def rotate() -> None:
    """Make a new munge key, new host keys, or new keys of the tunnel. Jobs go on."""


@rotate.command()
@YES
@click.pass_obj
def munge(file: Path, yes: bool) -> int:
    """Give all boards a new munge key. What was signed with the old one counts no more.

    Running jobs run on and end as they would have, waiting ones keep their place. For some seconds
    the controller rests, and `sbatch` and `squeue` wait or fail. Without all boards nothing is
    begun. Killed at any moment, run it again; the controller comes back by itself after ten
    minutes.

    Exit code 0: all boards have it; 2: you said no; 3: a board does not answer; 4: a board failed.
    """
    prepared = setting(file)
    boards = rack(prepared)
    munge_key.check_has_munge(boards.cluster)
    with turn(boards.cluster.name, operator()):
        seen = talk(prepared, plan, show_progress=False, scope=munge_key.KEYS)
        check_all_there(seen)
        if not agreed(f"Make a new munge key for {boards.cluster.name}?", yes=yes):
            return SAID_NO
        alike = not seen.plan.changes
        if asyncio.run(munge_key.begin(boards, all_alike=alike)):
            click.echo("goes on with what an earlier run has begun", err=True)
        try:
            asyncio.run(munge_key.switch(boards))
            outcome = talk(prepared, apply, show_progress=True, scope=munge_key.KEYS)
        finally:
            started = talk(prepared, apply, show_progress=False, scope=munge_key.CONTROLLER)
        check_done(outcome, f"wulfling -f {file} rotate munge")
        check_done(started, f"wulfling -f {file} rotate munge")
        asyncio.run(munge_key.end(boards))
        asyncio.run(_well(boards))
    click.echo(f"{len(boards.addresses)} boards have the new munge key")
    return 0


@rotate.command()
@YES
@click.pass_obj
def ssh(file: Path, yes: bool) -> int:
    """Give all boards new host keys, which are pinned here in the same turn.

    The connection that the old key vouches for brings the new one. Boards learn each other's, so
    that ssh between them goes on. Virtual boards also get a new key of wulfling's own; on real
    ones you come in with a key of yours, which is not touched. Other machines that have pinned the
    old keys refuse the boards until they have the new ones (`export ssh-config` has them). Killed
    at any moment, run it again.

    Exit code 0: all have new ones; 2: you said no; 3: a board does not answer; 4: a board failed.
    """
    prepared = setting(file)
    boards = rack(prepared)
    with turn(boards.cluster.name, operator()):
        check_all_there(talk(prepared, plan, show_progress=False, scope=ssh_keys.FOLLOWS))
        if not agreed(f"Make new host keys for {boards.cluster.name}?", yes=yes):
            return SAID_NO
        for name in boards.addresses:
            asyncio.run(ssh_keys.new_host_key(boards, name))
            click.echo(f"{name}: {_fingerprint(boards, name)}")
        outcome = talk(prepared, apply, show_progress=True, scope=ssh_keys.FOLLOWS)
        check_done(outcome, f"wulfling -f {file} rotate ssh")
        if boards.cluster.virtual:
            _own_key(file, prepared, boards)
    click.echo(f"{len(boards.addresses)} boards have new host keys")
    return 0


def _fingerprint(boards: Rack, name: str) -> str:
    (key,) = pins.pinned(boards.cluster.name, boards.addresses[name].pinned_as)
    return pins.fingerprint(key)


def _own_key(file: Path, prepared: Setting, boards: Rack) -> None:
    """The key that opens virtual boards; a run that was cut off has left the former one."""
    name = boards.cluster.name
    if pins.has_next(name) or not pins.former(name):
        asyncio.run(ssh_keys.admit_next(boards))
        pins.use_next(name)
        prepared = setting(file)
        boards = rack(prepared)
    asyncio.run(ssh_keys.dismiss(boards, pins.former(name)))
    scope = (f"file:/var/local/{boards.cluster.admin}/.ssh/authorized_keys",)
    outcome = talk(prepared, apply, show_progress=False, scope=scope)
    check_done(outcome, f"wulfling -f {file} rotate ssh")
    pins.forget_former(name)
    click.echo("the key that opens the boards is new as well")


@rotate.command()
@click.option("--qr", "by_code", multiple=True, metavar="DEVICE", help="Show its QR code.")
@YES
@click.pass_obj
def wireguard(file: Path, by_code: Sequence[str], yes: bool) -> int:
    """Give the head's end of the tunnel and every device new keys.

    Every device needs its new file, or QR code, before it comes in again: what it has now ends at
    once. Whoever runs this through the tunnel is cut off with the others. The head alone is
    touched. Killed at any moment, run it again.

    Exit code 0: the new ones count; 2: you said no; 3: the head is unreachable; 4: it failed.
    """
    prepared = setting(file)
    cluster = prepared.resolve()
    way = cluster.wireguard
    names = tuple(device.name for device in way.devices) if way else ()
    if not names:
        raise WulflingError(
            f"{cluster.name} has no device that comes in from outside",
            hint=f"wulfling -f {file} remote add-device NAME",
            where=str(file),
        )
    for name in by_code:
        if name not in names:
            raise click.UsageError(f"--qr {name}: the devices are {', '.join(names)}")
    if not agreed(f"Cut off {', '.join(names)} until each has its new file?", yes=yes):
        return SAID_NO
    with turn(cluster.name, operator()):
        key = asyncio.run(tunnel_key.stage(cluster, head_asked(prepared)))
        for name in names:
            _hand_out(file, name, key, by_code=name in by_code)
        asyncio.run(tunnel_key.use(cluster, head_asked(prepared)))
        code = follow(file)
    if code:
        click.echo(f"old keys may still count; next: wulfling -f {file} rotate wireguard", err=True)
    return code


def _hand_out(file: Path, name: str, head_key: str, *, by_code: bool) -> None:
    """Give a device its new keys, unless a run that was cut off has done so; then write the public
    one into the file."""
    from wulfling import spec
    from wulfling.day2 import wireguard as devices
    from wulfling.spec.devices import renewed
    from wulfling.spec.rewrite import rewrite

    document = spec.read(file)
    read, _ = spec.check(document)
    place = device_place(read.cluster, name)
    private = devices.private_in(place, name)
    done = private and devices.public_of(private) == read.devices[name].key
    if done and head_key in place.read_text(encoding="utf-8"):
        click.echo(f"{place}: for {name} alone")
        return
    private = devices.new_key()
    new = renewed(document, name, devices.public_of(private))
    cluster = spec.resolve(spec.check(new)[0], {}, None, ())
    assert cluster.wireguard is not None
    device = next(one for one in cluster.wireguard.devices if one.name == name)
    text = devices.configuration(cluster, device, private, head_key)
    if by_code:
        show_code(text)
        click.echo(f"scan it with the WireGuard app on {name}, now: it is kept nowhere", err=True)
    else:
        devices.keep(place, text)
        click.echo(f"{place}: for {name} alone; whoever has it comes in as {name}")
    rewrite(file, new.text, document)


async def _well(boards: Rack) -> None:
    for name in boards.addresses:
        await recovered(boards, name)
