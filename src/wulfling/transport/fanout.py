"""One piece of work for each of many nodes, at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from wulfling.errors import WulflingError
from wulfling.proc import Finished
from wulfling.transport.link import Address, Dial

AT_ONCE = 64

T = TypeVar("T")


@dataclass(frozen=True)
class Gathered(Generic[T]):
    """What came out, by node: either a value or an error."""

    values: Mapping[str, T]
    errors: Mapping[str, WulflingError]


async def each(
    addresses: Iterable[Address],
    work: Callable[[Address], Awaitable[T]],
    *,
    at_once: int = AT_ONCE,
) -> Gathered[T]:
    """Do ``work`` for every node, ``at_once`` of them at a time.

    A ``WulflingError`` of one node leaves the others alone. Anything else is a bug, and is
    raised once the others have ended.
    """
    doors = asyncio.Semaphore(at_once)
    nodes = tuple(addresses)

    async def one(address: Address) -> T:
        async with doors:
            return await work(address)

    results = await asyncio.gather(*map(one, nodes), return_exceptions=True)
    values: dict[str, T] = {}
    errors: dict[str, WulflingError] = {}
    for address, result in zip(nodes, results, strict=True):
        if isinstance(result, WulflingError):
            errors[address.node] = result
        elif isinstance(result, BaseException):
            raise result
        else:
            values[address.node] = result
    return Gathered(values, errors)


async def run_on_each(
    dial: Dial,
    addresses: Iterable[Address],
    argv: Sequence[str],
    *,
    stdin: str = "",
    root: bool = False,
    timeout: float | None = 60,
) -> Gathered[Finished]:
    """One command on every node; see ``Dial.run``."""

    async def work(address: Address) -> Finished:
        return await dial.run(address, argv, stdin=stdin, root=root, timeout=timeout)

    return await each(addresses, work)
