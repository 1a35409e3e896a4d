"""``wulfling remote``: laptops and phones that reach the head from anywhere, and which do not."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wulfling.cli import show
from wulfling.cli.river import OUTPUT, bring, talk, tell_unwell
from wulfling.cli.setting import Setting, setting
from wulfling.errors import NodeFailed, WulflingError

if TYPE_CHECKING:
    from wulfling.day2.asking import Ask
    from wulfling.spec.document import Document
    from wulfling.spec.schema import Spec

HEADER = ("DEVICE", "ADDRESS", "LAST SEEN", "FROM")
KEYS = {
    "name": "The device's name",
    "address": "Its address in the tunnel",
    "key": "Its public key",
    "admitted": "Whether the head lets it in now; false until the next apply",
    "last_seen": "When it last shook hands with the head; null is never",
    "from": "The address and port that it came from",
    "received_bytes": "What the head got of it, since the tunnel was started",
    "sent_bytes": "What the head sent to it",
}


@click.group()
def remote() -> None:
    """Devices that may come in from outside: add, remove, list; or by Tailscale."""


@remote.command("add-device")
@click.argument("name")
@click.option(
    "--endpoint",
    default="",
    help="Where devices find the head from outside: HOST or HOST:PORT. Needed for the first.",
)
@click.option("--qr", is_flag=True, help="Show a QR code for a phone, and keep no file.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file for the device. Without it one in wulfling's own folder, which is named.",
)
@click.pass_obj
def add_device(file: Path, name: str, endpoint: str, qr: bool, out: Path | None) -> int:
    """Let the laptop or phone NAME reach the head from anywhere, by WireGuard.

    Its keys are made here. The public one goes into the cluster file and to the head; the private
    one is in the file for the device, which you alone can read, or in the QR code, and nowhere
    else. With the first device the head gets its end of the tunnel, by a whole apply. Killed at
    any moment, run it again.

    Exit code 0: the head lets it in; 3: the head is unreachable; 4: it failed.
    """
    from wulfling import spec

    if qr and out:
        raise click.UsageError("--qr keeps no file: leave out --out")
    if qr and not sys.stdout.isatty():
        raise click.UsageError("a QR code holds the private key, and goes to a terminal alone")
    document = spec.read(file)
    read, _ = spec.check(document)
    _device_name(name)
    if name in read.devices and qr:
        code = follow(file)
        click.echo(f"{name} is in the file, and its QR code was shown once; it is kept nowhere.")
        click.echo(f"for another: wulfling -f {file} remote remove-device {name}, then this again")
        return code
    document = _opened(file, document, read, endpoint)
    key = _head_key(file)
    place = None if qr else out or device_place(read.cluster, name)
    private = _private_key(file, document, read, name, place)
    _hand_out(file, document, name, private, head_key=key, place=place)
    code = follow(file)
    if code:
        click.echo(f"{name} is not let in yet; next: wulfling -f {file} apply", err=True)
    elif place:
        click.echo(f"{place}: for {name} alone; whoever has it comes in as {name}")
        click.echo(f"next: take it to {name}, then there: wg-quick up ./{place.name}", err=True)
    return code


@remote.command("remove-device")
@click.argument("name")
@click.pass_obj
def remove_device(file: Path, name: str) -> int:
    """Take NAME out of the cluster file, and let it in no more.

    What it has open ends at once; nobody has to reach the device for that.

    Exit code 0: the head lets it in no more; 3: the head is unreachable; 4: it failed.
    """
    from wulfling import spec
    from wulfling.spec import devices

    document = spec.read(file)
    read, _ = spec.check(document)
    found = devices.revoked(document, name)
    _write(file, found, document)
    click.echo(f"{name} is out of {file}", err=True)
    code = follow(file)
    if code:
        click.echo(f"{name} may still come in; next: wulfling -f {file} apply", err=True)
        return code
    device_place(read.cluster, name).unlink(missing_ok=True)
    click.echo(f"{name} comes in no more")
    return 0


@remote.command("list")
@OUTPUT
@click.pass_obj
def list_(file: Path, output: str) -> int:
    """Show every device of the file, and when and whence it was last at the head."""
    from wulfling.day2.wireguard import sightings

    prepared = setting(file)
    cluster = prepared.resolve()
    devices = cluster.wireguard and cluster.wireguard.devices
    found = asyncio.run(sightings(cluster, head_asked(prepared))) if devices else ()
    if output == "json":
        click.echo(show.as_json([one.as_json() for one in found]))
        return 0
    for line in show.table(HEADER, [one.cells() for one in found]):
        click.echo(line)
    return 0


@remote.command("join-tailnet")
@click.option(
    "--auth-key",
    "place",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    help="A file with the auth key, - is standard input. Without it you are asked.",
)
@click.pass_obj
def join_tailnet(file: Path, place: Path | None) -> int:
    """Take the head into your network of Tailscale.

    For homes where no port can be opened. The file has to say `remote: {tailscale: ...}`, and
    `apply` has to have installed it. The auth key goes to the head by SSH and to Tailscale
    from a file in memory; it is kept nowhere. A head that is there already stays as it is.
    """
    from wulfling.day2 import tailnet

    prepared = setting(file)
    cluster = prepared.resolve()
    if cluster.tailscale is None:
        raise WulflingError(
            f"{file} has no tailscale",
            hint="add `remote: {tailscale: {}}`, then: wulfling apply",
            where=str(file),
        )
    if place:
        with click.open_file(str(place)) as handle:
            text = handle.read()
    elif sys.stdin.isatty():
        text = click.prompt("auth key", hide_input=True, err=True)
    else:
        raise click.UsageError("nobody is here to be asked; --auth-key - reads standard input")
    key = tailnet.auth_key(text)
    found = asyncio.run(tailnet.join(cluster, key, head_asked(prepared)))
    click.echo(f"{cluster.head} is {found} in the tailnet")
    return 0


@remote.command("relay")
@click.pass_obj
def relay(file: Path) -> int:
    """Print what lets the head in at the machine of `remote: {relay: ...}`.

    One line for `~/.ssh/authorized_keys` of the account there, with the public half of a key that
    the head has made: it opens one port on that machine's loopback, and does nothing else. What
    that machine's sshd has to know is said on standard error.
    """
    from wulfling.components import relay as component

    prepared = setting(file)
    cluster = prepared.resolve()
    if cluster.relay is None:
        raise WulflingError(
            f"{file} has no relay",
            hint="add `remote: {relay: {host: HOST, host_key: KEY}}`, then: wulfling apply",
            where=str(file),
        )
    text = f"cat {component.KEY_FILE}.pub 2>/dev/null || :"
    public = asyncio.run(head_asked(prepared).script(cluster.head, text, about="cat")).strip()
    if not public:
        raise NodeFailed("it has no key for the relay", hint="wulfling apply", where=cluster.head)
    click.echo(component.authorized_line(cluster.relay, public))
    user, host = cluster.relay.user, cluster.relay.host
    click.echo(
        f"next: write it into ~{user}/.ssh/authorized_keys on {host}, and there type:", err=True
    )
    rules = component.server_rules(cluster.relay)
    click.echo(f"sudo tee {component.SERVER_FILE} <<'END'\n{rules}END", err=True)
    click.echo("sudo systemctl reload ssh", err=True)
    return 0


def _device_name(text: str) -> None:
    from wulfling.spec import notation
    from wulfling.spec.problem import Refused

    try:
        notation.device_name(text)
    except Refused as refused:
        raise click.UsageError(f"NAME: {refused.message}: {refused.hint}") from None


def _endpoint(text: str) -> None:
    from wulfling.spec import notation
    from wulfling.spec.problem import Refused

    try:
        notation.endpoint(text)
    except Refused as refused:
        raise click.UsageError(f"--endpoint: {refused.message}: {refused.hint}") from None


def _opened(file: Path, document: Document, read: Spec, endpoint: str) -> Document:
    """The file with a way in from outside, which it may have already."""
    from wulfling.spec import devices

    way = read.remote.wireguard
    if way is None and not endpoint:
        raise click.UsageError(
            "nobody says where devices find the head from outside: --endpoint HOST"
        )
    if way is None:
        _endpoint(endpoint)
        return _write(file, devices.opened(document, endpoint), document)
    if endpoint not in ("", way.endpoint):
        raise click.UsageError(f"{file} has the endpoint {way.endpoint}: change it there")
    return document


def _write(file: Path, found: Document, before: Document) -> Document:
    from wulfling.spec.rewrite import rewrite

    rewrite(file, found.text, before)
    return found


def head_asked(prepared: Setting) -> Ask:
    """The way to ask the head."""
    from wulfling.day2.asking import Ask
    from wulfling.transport.ssh import Ssh

    return Ask(prepared.addresses, Ssh())


def device_place(cluster: str, name: str) -> Path:
    """Where a device's file is kept until somebody takes it to the device."""
    from wulfling.transport import pins

    folder = pins.state_directory(cluster) / "devices"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{name}.conf"


def _head_key(file: Path) -> str:
    """The head's public key. A head that has none gets its end of the tunnel first."""
    from wulfling.day2.wireguard import head_key

    prepared = setting(file)
    ask = head_asked(prepared)
    key = asyncio.run(head_key(prepared.resolve(), ask))
    if not key:
        click.echo("the first device of this cluster: everything is applied", err=True)
        outcome = bring(file)
        key = asyncio.run(head_key(prepared.resolve(), ask))
        if not key:
            raise NodeFailed(
                "it has no key for the tunnel",
                hint=f"wulfling -f {file} apply, and this again",
                where=prepared.resolve().head,
            ) from next(iter(outcome.errors.values()), None)
    return key


def _private_key(file: Path, document: Document, read: Spec, name: str, place: Path | None) -> str:
    """The device's private key: the one that an earlier run has left at ``place``, or a new one."""
    from wulfling.day2 import wireguard

    private = wireguard.private_in(place, name) if place else ""
    known = read.devices.get(name)
    if known and (not private or wireguard.public_of(private) != known.key):
        raise WulflingError(
            f"{name} is in the file already, and its private key is not in {place}",
            hint=f"for new keys: wulfling -f {file} remote remove-device {name}, then this again",
            where=document.where(("devices", name), key=True),
        )
    return private or wireguard.new_key()


def _hand_out(
    file: Path, before: Document, name: str, private: str, *, head_key: str, place: Path | None
) -> None:
    """Give the device its keys, then write the public one into the file. In this order: a device
    in the file whose private key nobody has could never come in."""
    from wulfling import spec
    from wulfling.day2 import wireguard
    from wulfling.spec import devices

    document, (read, _) = before, spec.check(before)
    if name not in read.devices:
        document = devices.admitted(before, name, wireguard.public_of(private))
        read, _ = spec.check(document)
    cluster = spec.resolve(read, {}, None, ())
    assert cluster.wireguard is not None
    device = next(one for one in cluster.wireguard.devices if one.name == name)
    text = wireguard.configuration(cluster, device, private, head_key)
    if place is None:
        show_code(text)
        click.echo(f"scan it with the WireGuard app on {name}, now: it is kept nowhere", err=True)
    else:
        wireguard.keep(place, text)
    if document is not before:
        _write(file, document, before)


def show_code(text: str) -> None:
    """A QR code, dark on light whatever the terminal's own colours are."""
    import io

    import segno  # 10 ms, for this alone

    drawn = io.StringIO()
    segno.make_qr(text, error="l").terminal(drawn, compact=True)
    for line in drawn.getvalue().splitlines():
        click.secho(line, fg="bright_white", bg="black")


def follow(file: Path) -> int:
    """Have the head, and no other board, follow the file about its devices."""
    from wulfling.components import DEVICES
    from wulfling.converge.apply import apply

    prepared = setting(file)
    head = prepared.resolve().head
    alone = replace(prepared, addresses={head: prepared.addresses[head]})
    outcome = talk(alone, apply, show_progress=True, scope=DEVICES)
    tell_unwell(outcome)
    return outcome.exit_code
