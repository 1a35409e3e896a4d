"""The example's physics and its independence of the rank count, without MPI."""

from __future__ import annotations

import importlib.util
import struct
import sys
import threading
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

FILE = Path(__file__).parents[3] / "examples" / "nbody" / "nbody.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nbody", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nbody"] = module
    spec.loader.exec_module(module)
    return module


nbody = _load()


class World:
    """A communicator of threads: what is sent is laid on a table, and everybody reads it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.table: list[Any] = [None] * size
        self.barrier = threading.Barrier(size, timeout=60)


class Rank:
    """One rank's end of a ``World``."""

    def __init__(self, world: World, rank: int) -> None:
        self.world, self.rank, self.size = world, rank, world.size

    def _exchange(self, value: Any) -> list[Any]:
        self.world.table[self.rank] = value
        self.world.barrier.wait()
        everything = list(self.world.table)
        self.world.barrier.wait()
        return everything

    def bcast(self, obj: Any) -> Any:
        return self._exchange(obj)[0]

    def gather(self, sendobj: Any) -> list[Any] | None:
        everything = self._exchange(sendobj)
        return everything if self.rank == 0 else None

    def Allgatherv(self, sendbuf: Any, recvbuf: Any) -> None:
        everywhere, counts = recvbuf
        parts = self._exchange(np.array(sendbuf).ravel())
        assert [len(part) for part in parts] == list(counts)
        everywhere.ravel()[:] = np.concatenate(parts)


def on_ranks(size: int, bodies: Any, **setup: Any) -> Any:
    """The run of rank 0 of ``size`` ranks, each a thread."""
    world = World(size)
    runs: list[Any] = [None] * size

    def one(rank: int) -> None:
        runs[rank] = nbody.simulate(Rank(world, rank), bodies, **setup)

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(run is not None for run in runs)
    return runs[0]


def test_the_pull_is_that_of_newton() -> None:
    bodies = nbody.plummer(70, seed=3)
    gravity = nbody.Gravity(bodies.masses, 0.1, 0, 70)
    expected = np.zeros((70, 3))
    for i in range(70):
        for j in range(70):
            apart = bodies.positions[j] - bodies.positions[i]
            expected[i] += bodies.masses[j] * apart / (apart @ apart + 0.01) ** 1.5
    np.testing.assert_allclose(gravity.accelerations(bodies.positions), expected, rtol=1e-12)


def test_the_potential_leaves_out_the_body_itself() -> None:
    masses = np.array([0.25, 0.75])
    positions = np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0]])
    found = nbody.Gravity(masses, 4.0, 0, 2).potentials(positions)
    np.testing.assert_allclose(found, [-0.75 / 5, -0.25 / 5], rtol=1e-15)


def test_a_plummer_sphere_is_in_balance_and_at_rest() -> None:
    bodies = nbody.plummer(4000, seed=1)
    kinetic = 0.5 * float(np.sum(bodies.masses[:, None] * bodies.velocities**2))
    potentials = nbody.Gravity(bodies.masses, 1e-4, 0, 4000).potentials(bodies.positions)
    potential = 0.5 * float(bodies.masses @ potentials)
    assert 2 * kinetic / -potential == pytest.approx(1, abs=0.05)
    assert kinetic + potential == pytest.approx(-0.25, abs=0.02)
    assert np.abs(bodies.positions.mean(axis=0)).max() < 1e-14
    assert np.abs(bodies.velocities.mean(axis=0)).max() < 1e-14


def test_half_the_mass_is_within_the_half_mass_radius() -> None:
    radii = np.linalg.norm(nbody.plummer(4000, seed=2).positions, axis=1)
    assert float(np.median(radii)) == pytest.approx(1.305 * 3 * np.pi / 16, rel=0.05)


def test_the_same_seed_is_the_same_sphere() -> None:
    one, other = nbody.plummer(50, seed=7), nbody.plummer(50, seed=7)
    assert (one.positions == other.positions).all()
    assert (one.velocities != nbody.plummer(50, seed=8).velocities).any()


def test_halving_the_step_divides_the_energy_error_by_four() -> None:
    bodies = nbody.plummer(64, seed=5)
    coarse = on_ranks(1, bodies, steps=20, dt=0.04, softening=0.2)
    fine = on_ranks(1, bodies, steps=40, dt=0.02, softening=0.2)
    error = [abs(run.energy_end - run.energy_start) for run in (coarse, fine)]
    assert error[0] / error[1] == pytest.approx(4, rel=0.15)


def test_the_centre_of_mass_stays() -> None:
    run = on_ranks(1, nbody.plummer(200, seed=5), steps=100, dt=0.01, softening=0.05)
    assert np.abs(run.positions.mean(axis=0)).max() < 1e-13
    assert run.drift < 1e-4


@pytest.mark.parametrize("ranks", [2, 3, 4, 5, 8])
def test_any_number_of_ranks_gives_the_same_bits(ranks: int) -> None:
    bodies = nbody.plummer(150, seed=9)  # five blocks, the last one not full
    setup = {"steps": 30, "dt": 0.01, "softening": 0.05}
    one, many = on_ranks(1, bodies, **setup), on_ranks(ranks, bodies, **setup)
    assert (many.positions == one.positions).all()
    assert (many.energy_start, many.energy_end) == (one.energy_start, one.energy_end)
    assert many.drift == one.drift


@pytest.mark.parametrize(("count", "ranks"), [(1024, 4), (1000, 3), (31, 4), (65, 2)])
def test_shares_are_whole_blocks_and_cover_all(count: int, ranks: int) -> None:
    bounds = nbody.shares(count, ranks)
    assert (bounds[0], bounds[-1], len(bounds)) == (0, count, ranks + 1)
    assert bounds == sorted(bounds)
    assert all(bound % nbody.BLOCK == 0 for bound in bounds[:-1] if bound != count)


def test_fold_adds_every_column() -> None:
    table = np.arange(24.0).reshape(3, 8)
    assert nbody.fold(table.copy()).tolist() == table.sum(axis=1).tolist()


def test_difference_is_relative_to_the_radius() -> None:
    reference = np.array([[10.0, 0, 0], [0, 1.0, 0]])
    moved = reference + np.array([[0.1, 0, 0], [0, 0, 0.05]])
    assert nbody.difference(moved, reference) == pytest.approx(0.05)


def test_the_picture_is_a_png_that_shows_a_body_where_it_is(tmp_path: Path) -> None:
    image = nbody.picture(np.array([[1.0, 1.0, 0.0]]), size=64, radius=2.0)
    rows, columns = np.nonzero(image.sum(axis=2) == image.sum(axis=2).max())
    # Up and to the right.
    assert abs(rows.mean() - 15.5) <= 1 and abs(columns.mean() - 47.5) <= 1
    nbody.write_png(tmp_path / "a.png", image)
    data = (tmp_path / "a.png").read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    length, kind = struct.unpack(">I4s", data[33:41])
    assert kind == b"IDAT"
    pixels = np.frombuffer(zlib.decompress(data[41 : 41 + length]), dtype=np.uint8)
    assert (pixels.reshape(64, 193)[:, 1:].reshape(64, 64, 3) == image).all()


def test_a_world_smaller_than_the_launch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_SIZE", "4")
    with pytest.raises(SystemExit, match="started 4 ranks, but this MPI world has 1"):
        nbody.one_world(Rank(World(1), 0))


@pytest.mark.parametrize(
    "words", [["--bodies", "1"], ["--softening", "0"], ["--reference", "no/such.npy"]]
)
def test_bad_words_are_refused_before_anything_runs(words: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        nbody.parse(words)
    assert refused.value.code == 2
