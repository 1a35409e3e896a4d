"""Says of a finished case how many ranks it had, whether it converged, and to what.

The answer is known: U. Ghia, K. N. Ghia, C. T. Shin, "High-Re solutions for incompressible flow
using the Navier-Stokes equations and a multigrid method", J. Comput. Phys. 48 (1982), table I.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

GHIA = -0.21090  # the smallest horizontal velocity on the vertical centre line, at Re = 100
Vector = tuple[float, ...]


def main(names: list[str]) -> int:
    """Tell of one case, or of two and how far they are apart."""
    cases = [Path(name) for name in names]
    for case in cases:
        tell(case)
    if len(cases) > 1:
        one, other = map(velocity, cases)
        apart = max(
            abs(a - b) for u, v in zip(one, other, strict=True) for a, b in zip(u, v, strict=True)
        )
        print(f"difference    {apart:.1e} m/s, the largest of all cells")
    return 0


def tell(case: Path) -> None:
    """Print what its log and its last fields say."""
    log = (case / "log.simpleFoam").read_text(encoding="utf-8")
    ranks = re.search(r"^nProcs *: (\d+)", log, re.MULTILINE)
    hosts = re.search(r"^Hosts *:\n\(\n(.*?)^\)", log, re.MULTILINE | re.DOTALL)
    found = re.search(r"converged in (\d+) iterations", log)
    lowest = min(centre_line(velocity(case)))
    print(f"ranks         {ranks[1] if ranks else '?'}")
    print(f"hosts         {' '.join((hosts[1] if hosts else '').split())}")
    print(f"iterations    {found[1] if found else 'not converged'}")
    print(
        f"residuals     {' '.join(f'{name} {value:.1e}' for name, value in residuals(log).items())}"
    )
    print(f"lowest u      {lowest:.5f} m/s (Ghia et al. 1982: {GHIA})")


def residuals(log: str) -> dict[str, float]:
    """The initial residuals of the last iteration, by field."""
    said = re.findall(r"Solving for (\w+), Initial residual = ([0-9.e+-]+)", log)
    return {name: float(value) for name, value in said}


def velocity(case: Path) -> list[Vector]:
    """The vectors of all cells at the end, row by row from below."""
    times = sorted((f for f in case.iterdir() if f.name.isdigit()), key=lambda f: int(f.name))
    text = (times[-1] / "U").read_text(encoding="utf-8")
    start = re.search(r"internalField\s+nonuniform List<vector>\s*(\d+)\s*\(", text)
    if start is None:
        raise SystemExit(f"{case}: no velocities were written")
    vectors = re.findall(r"\(([^()]+)\)", text[start.end() :])[: int(start[1])]
    return [tuple(map(float, vector.split())) for vector in vectors]


def centre_line(vectors: list[Vector]) -> list[float]:
    """The horizontal velocity between the two middle columns, from below."""
    side = round(len(vectors) ** 0.5)
    rows = (vectors[row * side : (row + 1) * side] for row in range(side))
    return [(row[side // 2 - 1][0] + row[side // 2][0]) / 2 for row in rows]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
