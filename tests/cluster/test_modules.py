"""What people load from the shared tree (2-61), and Python environments of their own (2-62), as
docs/how-to/software.md has them. Fetches packages from PyPI."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest
from boards import ROOT, Cluster

pytestmark = pytest.mark.crash

MODULE = ROOT / "examples" / "modulefiles" / "ninja" / "1.13.0"
NINJA = "/usr/local/sw/ninja/1.13.0"


@pytest.fixture(scope="module")
def ninja(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """As docs/how-to/software.md has it; the boards have no internet, so the wheel is sent."""
    folder = tmp_path_factory.mktemp("ninja")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    pip += ["--platform", "manylinux2014_x86_64", "--dest", str(folder), "ninja==1.13.0"]
    subprocess.run(pip, check=True)
    (wheel,) = folder.iterdir()
    sent = base64.encodebytes(wheel.read_bytes()).decode()
    script = f"""
base64 -d > /tmp/{wheel.name} << 'END OF FILE'
{sent}END OF FILE
python3 -m venv {NINJA}
{NINJA}/bin/pip install --quiet --no-index /tmp/{wheel.name}
mkdir -p /usr/local/sw/modulefiles/ninja
cat > /usr/local/sw/modulefiles/ninja/1.13.0 << 'END OF FILE'
{MODULE.read_text(encoding="utf-8")}END OF FILE
"""
    cluster.on("rpnode01", script, person="wulfling")
    return cluster


def test_2_61_a_module_is_there_for_people_on_every_board(ninja: Cluster) -> None:
    for node in ("rpnode01", "rpnode02"):
        assert "ninja/1.13.0" in ninja.pi("bash -lc 'module avail' 2>&1", node)
        script = "module load ninja; command -v ninja; ninja --version; module purge; ninja"
        said = ninja.pi(f"bash -lc '{script}' 2>&1 || :", node).splitlines()
        assert said[:2] == [f"{NINJA}/bin/ninja", "1.13.0.git.kitware.jobserver-pipe-1"]
        assert "not found" in said[-1]


def test_2_61_a_module_in_a_job_script(ninja: Cluster) -> None:
    """Submitted by a login shell, and by a program that knows nothing of modules."""
    script = "#!/bin/bash\nmodule load ninja/1.13.0 || exit 3\ncommand -v ninja\nhostname\n"
    ninja.pi(f"cat > module.sh << 'END OF FILE'\n{script}END OF FILE")
    for how in ("", "env -i HOME=/home/pi PATH=/usr/bin:/bin "):
        submit = f"{how}sbatch --parsable --wait -w rpnode02 -o module.out module.sh"
        ninja.pi(f"bash -lc '{submit}'")
        assert ninja.pi("cat module.out").split() == [f"{NINJA}/bin/ninja", "rpnode02"]


def test_what_was_loaded_before_srun_is_loaded_in_it(ninja: Cluster) -> None:
    said = ninja.pi("bash -lc 'module load ninja; srun -N 2 ninja --version'").split()
    assert said == ["1.13.0.git.kitware.jobserver-pipe-1"] * 2


def test_a_job_ends_when_its_module_is_not_there(ninja: Cluster) -> None:
    said = ninja.pi("srun bash -c 'module load nothing/1 || exit 3' 2>&1 || echo code $?")
    assert "nothing" in said and said.splitlines()[-1] == "code 3"


def send(cluster: Cluster, file: Path, path: str) -> None:
    """Write ``file`` to ``path`` on the head, as pi."""
    words = ["node", "shell", "rpnode01", "--", "sudo", "-u", "pi", "tee", path]
    with file.open("rb") as content:
        subprocess.run(
            [sys.executable, "-m", "wulfling", "-f", str(cluster.file), *words],
            stdin=content,
            stdout=subprocess.DEVNULL,
            check=True,
        )


@pytest.fixture(scope="module")
def wheels(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """What the boards, which have no internet, would fetch from PyPI."""
    folder = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    pip += ["--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_17_x86_64"]
    subprocess.run([*pip, "--dest", str(folder), "mpmath==1.3.0", "uv"], check=True)
    cluster.pi("rm -rf wheels env-* fast-*; mkdir wheels")
    for wheel in folder.iterdir():
        send(cluster, wheel, f"/home/pi/wheels/{wheel.name}")
    return cluster


PROGRAM = """
import mpmath
from mpi4py import MPI
world = MPI.COMM_WORLD
mpmath.mp.dps = 20 + world.rank
digits = world.gather(str(mpmath.pi))
if world.rank == 0:
    print(world.size, len(set(digits)), mpmath.__file__)
"""


def test_2_62_a_persons_python_environment_is_in_jobs_and_has_mpi(wheels: Cluster) -> None:
    """docs/how-to/software.md, by pip and by uv; without the internet for both."""
    env = "~/env-$(uname -m)"
    offline = "--no-index --find-links ~/wheels"
    wheels.pi(f"python3 -m venv --system-site-packages {env}")
    wheels.pi(f"{env}/bin/pip install --quiet {offline} mpmath uv")
    uv = f"{env}/bin/uv"
    wheels.pi(f"{uv} venv -q --system-site-packages --python /usr/bin/python3 ~/fast-$(uname -m)")
    wheels.pi(f"{uv} pip install -q {offline} --python ~/fast-$(uname -m) mpmath")
    wheels.pi(f"cat > program.py << 'END OF FILE'\n{PROGRAM}END OF FILE")
    for name in ("env", "fast"):
        script = f"#!/bin/bash\n. ~/{name}-$(uname -m)/bin/activate\nsrun python3 program.py\n"
        wheels.pi(f"cat > python.sh << 'END OF FILE'\n{script}END OF FILE")
        wheels.pi("sbatch --wait -N 2 -n 4 -o python.out python.sh")
        size, different, where = wheels.pi("cat python.out").split()
        assert (size, different) == ("4", "4")
        assert where.startswith(f"/home/pi/{name}-x86_64/lib/python3")
