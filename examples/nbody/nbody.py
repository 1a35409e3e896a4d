"""A star cluster on your cluster: gravitational N-body, its bodies shared out over MPI ranks.

A Plummer sphere, the textbook's globular cluster, moves under its own gravity. Every rank
computes the pull of all bodies on its share of them, by direct sum, and after each step all
ranks exchange positions. Units are those of the field (G = M = 1, E = -1/4), so one unit of
time is a star's crossing of the core, roughly.

    srun python3 nbody.py                          under Slurm
    mpiexec -f machinefile -n 4 python3 nbody.py   without

Boards need python3-numpy and mpi4py, nothing else. The result is the same to the last bit
on any number of ranks: see ``fold``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import struct
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

BLOCK = 32
"""Bodies whose pull is computed at once; the tables of one block fit a small board's cache."""

CHECKS = 20
"""How often during a run the energy is computed."""

TOLERANCE = 1e-10
"""The largest relative difference from ``--reference`` that counts as equal."""


class Communicator(Protocol):
    """What is used of an MPI communicator; the tests bring one made of threads."""

    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...
    def bcast(self, obj: Any, /) -> Any: ...
    def gather(self, sendobj: Any, /) -> list[Any] | None: ...
    def Allgatherv(self, sendbuf: Any, recvbuf: Any, /) -> None: ...


@dataclass(frozen=True)
class Bodies:
    """Positions and velocities (N, 3) and masses (N)."""

    positions: Array
    velocities: Array
    masses: Array


@dataclass(frozen=True)
class Run:
    """What a simulation gave. ``drift`` is the largest relative error of the energy on the way."""

    positions: Array
    energy_start: float
    energy_end: float
    drift: float
    interactions: int
    seconds: float


# ---------------------------------------------------------------- physics: NumPy alone


def plummer(count: int, seed: int) -> Bodies:
    """A Plummer sphere in equilibrium, at rest in the origin (Aarseth, Henon, Wielen 1974)."""
    random = np.random.default_rng(seed)
    # Radius by inverting the enclosed mass; the outermost 0.1 % would be stray far-away stars.
    radius = 1 / np.sqrt(random.uniform(0.0, 0.999, count) ** (-2 / 3) - 1)
    # Speed, as a fraction of the escape speed, by rejection from q^2 (1 - q^2)^(7/2).
    speed = np.empty(0)
    while len(speed) < count:
        q, height = random.uniform(0, 1, count), random.uniform(0, 0.1, count)
        speed = np.append(speed, q[height < q**2 * (1 - q**2) ** 3.5])
    escape = math.sqrt(2) * (1 + radius**2) ** -0.25
    positions = radius[:, None] * _directions(random, count)
    velocities = (speed[:count] * escape)[:, None] * _directions(random, count)
    scale = 3 * math.pi / 16  # from Plummer's own units to E = -1/4
    return Bodies(
        positions=(positions - positions.mean(axis=0)) * scale,
        velocities=(velocities - velocities.mean(axis=0)) / math.sqrt(scale),
        masses=np.full(count, 1 / count),
    )


def _directions(random: np.random.Generator, count: int) -> Array:
    z, angle = random.uniform(-1, 1, count), random.uniform(0, 2 * math.pi, count)
    flat = np.sqrt(1 - z**2)
    return np.stack((flat * np.cos(angle), flat * np.sin(angle), z), axis=1)


def fold(table: Array) -> Array:
    """The sum over the last axis, whose length is a power of two; ``table`` is used up.

    The upper half is added to the lower until one column is left. That order is the same for
    any number of rows and any processor, and single additions are exact to the last bit by
    IEEE 754, whereas ``sum`` and ``dot`` add in an order that suits the machine.
    """
    length = table.shape[-1]
    while length > 1:
        length //= 2
        table[..., :length] += table[..., length : 2 * length]
    result: Array = table[..., 0]
    return result


class Gravity:
    """The softened pull of all bodies on those from ``first`` up to ``last``."""

    def __init__(self, masses: Array, softening: float, first: int, last: int) -> None:
        # Bodies without mass fill up to a power of two; they pull at nobody.
        width = 1 << (len(masses) - 1).bit_length()
        self._masses = np.zeros(width)
        self._masses[: len(masses)] = masses
        self._sources = np.zeros((3, width))
        self._softening2 = softening * softening
        self._first, self._last = first, last
        self._apart = np.empty((3, BLOCK, width))
        self._distance2 = np.empty((BLOCK, width))
        self._weight = np.empty((BLOCK, width))

    def accelerations(self, positions: Array) -> Array:
        """The acceleration of each of this share's bodies, (last - first, 3)."""
        found = np.empty((self._last - self._first, 3))
        for rows, distance2, weight, apart in self._blocks(positions):
            # Not distance2 ** -1.5: a power is not exact to the last bit, sqrt and * and / are.
            np.sqrt(distance2, out=weight)
            weight *= distance2
            np.divide(self._masses, weight, out=weight)
            apart *= weight
            found[rows] = fold(apart).T
        return found

    def potentials(self, positions: Array) -> Array:
        """The potential at each of this share's bodies, their own left out."""
        found = np.empty(self._last - self._first)
        for rows, distance2, weight, _ in self._blocks(positions):
            np.sqrt(distance2, out=weight)
            np.divide(self._masses, weight, out=weight)
            own = np.arange(rows.start, rows.stop)
            weight[own - rows.start, own + self._first] = 0
            found[rows] = -fold(weight)
        return found

    def _blocks(self, positions: Array) -> Iterator[tuple[slice, Array, Array, Array]]:
        """For each block its rows, squared distances to all bodies, scratch space, vectors."""
        self._sources[:, : len(positions)] = positions.T
        for start in range(self._first, self._last, BLOCK):
            count = min(BLOCK, self._last - start)
            apart = self._apart[:, :count]
            distance2, weight = self._distance2[:count], self._weight[:count]
            targets = self._sources[:, start : start + count]
            np.subtract(self._sources[:, None, :], targets[:, :, None], out=apart)
            np.multiply(apart[0], apart[0], out=distance2)
            for component in apart[1:]:
                np.multiply(component, component, out=weight)
                distance2 += weight
            distance2 += self._softening2
            first = start - self._first
            yield slice(first, first + count), distance2, weight, apart


# ---------------------------------------------------------------- the run: any communicator


def shares(count: int, ranks: int) -> list[int]:
    """Where each rank's bodies begin, and the end: whole blocks, dealt out evenly.

    Whole, so that a block holds the same bodies whoever computes it.
    """
    blocks = -(-count // BLOCK)
    return [min(count, BLOCK * (blocks * rank // ranks)) for rank in range(ranks + 1)]


def simulate(comm: Communicator, bodies: Bodies, *, steps: int, dt: float, softening: float) -> Run:
    """Move ``bodies`` by ``steps`` of ``dt``: leapfrog, kick-drift-kick, second order."""
    count = len(bodies.masses)
    bounds = shares(count, comm.size)
    first, last = bounds[comm.rank], bounds[comm.rank + 1]
    rows = [end - start for start, end in itertools.pairwise(bounds)]
    gravity = Gravity(bodies.masses, softening, first, last)
    everywhere = bodies.positions.copy()
    mine, velocities = everywhere[first:last].copy(), bodies.velocities[first:last].copy()

    def energy() -> float:
        moving = 0.5 * (velocities[:, 0] ** 2 + velocities[:, 1] ** 2 + velocities[:, 2] ** 2)
        each = bodies.masses[first:last] * (moving + 0.5 * gravity.potentials(everywhere))
        every = np.empty(count)
        comm.Allgatherv(each, (every, rows))
        return math.fsum(every)  # exact, whatever the order

    began = time.perf_counter()
    start = end = energy()
    drift = 0.0
    pull = gravity.accelerations(everywhere)
    for step in range(1, steps + 1):
        velocities += pull * (dt / 2)
        mine += velocities * dt
        comm.Allgatherv(mine, (everywhere, [3 * part for part in rows]))
        pull = gravity.accelerations(everywhere)
        velocities += pull * (dt / 2)
        if step == steps or step % max(1, steps // CHECKS) == 0:
            end = energy()
            drift = max(drift, abs((end - start) / start))
    seconds = time.perf_counter() - began
    return Run(everywhere, start, end, drift, count * (count - 1) * (steps + 1), seconds)


def difference(positions: Array, reference: Array) -> float:
    """The largest distance of a body from where ``reference`` has it, relative to its radius."""
    apart = np.linalg.norm(positions - reference, axis=1)
    return float(np.max(apart / np.linalg.norm(reference, axis=1)))


# ---------------------------------------------------------------- the picture

# Black, violet, red, orange, pale yellow: nine points of the palette called inferno.
PALETTE = np.array(
    [
        *((0, 0, 4), (27, 12, 65), (74, 12, 107), (120, 28, 109), (165, 44, 96)),
        *((207, 68, 70), (237, 105, 37), (251, 155, 6), (252, 255, 164)),
    ],
    dtype=np.float32,
)


def picture(positions: Array, *, size: int = 800, radius: float = 2.0) -> npt.NDArray[np.uint8]:
    """The bodies seen along the z axis as glowing points, (size, size, 3).

    The brightness of a body falls off like a Gaussian, which is a product of one factor in x
    and one in y; so the sum over all bodies is one matrix product.
    """
    pixels = ((positions[:, :2] / radius + 1) * (size / 2)).astype(np.float32)
    grid = np.arange(size, dtype=np.float32) + 0.5
    light = np.zeros((size, size), dtype=np.float32)
    for some in np.array_split(pixels, -(-len(pixels) // 128)):  # a few at a time: boards are small
        for width, brightness in ((1.3, 1.0), (5.0, 0.10), (28.0, 0.012)):
            across = np.exp(-0.5 * ((grid - some[:, :1]) / np.float32(width)) ** 2)
            down = np.exp(-0.5 * ((size - grid - some[:, 1:]) / np.float32(width)) ** 2)
            light += np.float32(brightness) * (down.T @ across)
    # The brightest thousandth may saturate: where two stars overlap is no measure for the rest.
    bright = max(float(np.quantile(light, 0.999)), 1e-9)
    shade = np.minimum(np.log1p(12 * light) / math.log1p(12 * bright), 1)
    stops = np.linspace(0, 1, len(PALETTE))
    levels = [np.interp(np.linspace(0, 1, 256), stops, channel) for channel in PALETTE.T]
    colours = np.rint(np.stack(levels, axis=-1)).astype(np.uint8)
    image: npt.NDArray[np.uint8] = colours[np.rint(255 * shade).astype(np.uint8)]
    return image


def write_png(path: Path, image: npt.NDArray[np.uint8]) -> None:
    """Write an RGB image; boards have no drawing library, and PNG is zlib with four headers."""
    height, width, _ = image.shape
    rows = np.zeros((height, 1 + 3 * width), dtype=np.uint8)  # each row starts with filter 0
    rows[:, 1:] = image.reshape(height, 3 * width)

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows.tobytes())))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b""))


# ---------------------------------------------------------------- the program


def report(run: Run, hosts: Sequence[str], setup: argparse.Namespace) -> Iterator[str]:
    """What rank 0 prints, line by line."""
    boards = list(dict.fromkeys(hosts))
    yield f"{len(hosts)} ranks on {len(boards)} hosts, one communicator"
    for board in boards:
        ranks = " ".join(str(rank) for rank, host in enumerate(hosts) if host == board)
        yield f"  {board}: rank {ranks}"
    softening = f"softening {setup.softening:g}"
    yield f"{setup.bodies} bodies, {setup.steps} steps of {setup.dt:g}, {softening}"
    yield f"energy        {run.energy_start:.9f} -> {run.energy_end:.9f}"
    yield f"energy drift  {run.drift:.2e} (relative, the largest on the way)"
    rate = run.interactions / run.seconds
    yield f"speed         {rate / 1e6:.1f} million interactions/s ({run.seconds:.1f} s)"


def as_json(run: Run, hosts: Sequence[str], setup: argparse.Namespace) -> dict[str, Any]:
    """The same for machines."""
    return {
        "ranks": len(hosts),
        "hosts": list(hosts),
        "bodies": setup.bodies,
        "steps": setup.steps,
        "energy_drift": run.drift,
        "interactions": run.interactions,
        "seconds": run.seconds,
        "interactions_per_second": run.interactions / run.seconds,
    }


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(description="Gravitational N-body on all ranks of an MPI job.")
    parser.add_argument("--bodies", type=int, default=1024, help="how many (default: 1024)")
    parser.add_argument("--steps", type=int, default=500, help="how many (default: 500)")
    parser.add_argument("--dt", type=float, default=0.01, help="length of a step (0.01)")
    parser.add_argument("--softening", type=float, default=0.05, help="a length (0.05)")
    parser.add_argument("--seed", type=int, default=1911, help="of the initial bodies (1911)")
    parser.add_argument("--save", type=Path, default=Path("bodies"), help="PREFIX.png and .npy")
    parser.add_argument("--reference", type=Path, help=".npy of another run to compare with")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    setup = parser.parse_args(arguments)
    if setup.bodies < 2 or setup.steps < 1 or setup.dt <= 0 or setup.softening <= 0:
        parser.error("--bodies takes 2 or more, --steps 1 or more, --dt and --softening above 0")
    if setup.reference is not None:
        try:
            shape = np.load(setup.reference).shape
        except (OSError, ValueError) as error:
            parser.error(f"--reference {setup.reference}: {error}")
        if shape != (setup.bodies, 3):
            parser.error(f"--reference {setup.reference} has not {setup.bodies} bodies: {shape}")
    return setup


def one_world(comm: Communicator) -> None:
    """Raise ``SystemExit`` when the launcher started more ranks than this world has.

    That is what an mpi4py built for another MPI gives: N programs that know nothing of each
    other, and N times the same result.
    """
    started = int(os.environ.get("PMI_SIZE", comm.size))
    if started != comm.size:
        raise SystemExit(
            f"the launcher started {started} ranks, but this MPI world has {comm.size}:"
            " mpi4py here does not belong to the MPI that Slurm or mpiexec starts"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit code is 1 when positions differ from ``--reference``."""
    setup = parse(arguments)
    from mpi4py import MPI  # here, so that the physics can be imported where there is no MPI

    comm = MPI.COMM_WORLD
    one_world(comm)
    bodies = comm.bcast(plummer(setup.bodies, setup.seed) if comm.rank == 0 else None)
    run = simulate(comm, bodies, steps=setup.steps, dt=setup.dt, softening=setup.softening)
    hosts = comm.gather(MPI.Get_processor_name())
    if hosts is None:
        return 0
    print(*report(run, hosts, setup), sep="\n")
    values = as_json(run, hosts, setup)
    found = 0.0
    if setup.reference is not None:
        values["difference"] = found = difference(run.positions, np.load(setup.reference))
        print(f"difference    {found:.2e} from {setup.reference} (relative, the largest)")
    np.save(f"{setup.save}.npy", run.positions)
    write_png(Path(f"{setup.save}.png"), picture(run.positions))
    print(f"saved         {setup.save}.png, {setup.save}.npy")
    if setup.json:
        print(json.dumps(values))
    return 0 if found <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
