"""Programs of the distribution's own compilers are ranks of one world, with boards of two
releases as well (WULFLING_RELEASE=mixed; docs/explanation/mpi.md)."""

from __future__ import annotations

import pytest
from boards import Cluster

pytestmark = pytest.mark.lab

# The barrier and the second are for MPICH 4.0, which can wait in MPI_Finalize for ever.
C = r"""
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char host[MPI_MAX_PROCESSOR_NAME], said[MPI_MAX_LIBRARY_VERSION_STRING], *version;
    int rank, size, sum, length;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Get_processor_name(host, &length);
    MPI_Get_library_version(said, &length);
    *strchr(said, '\n') = 0;
    for (version = strchr(said, 0); version[-1] > ' '; version--)
        ;
    printf("%d %d %s %s\n", size, sum, host, version);
    MPI_Barrier(MPI_COMM_WORLD);
    sleep(1);
    MPI_Finalize();
    return 0;
}
"""
FORTRAN = """
program ring
  use mpi
  implicit none
  integer :: rank, size, sum, length, error
  character(len=MPI_MAX_PROCESSOR_NAME) :: host

  call MPI_Init(error)
  call MPI_Comm_rank(MPI_COMM_WORLD, rank, error)
  call MPI_Comm_size(MPI_COMM_WORLD, size, error)
  call MPI_Allreduce(rank, sum, 1, MPI_INTEGER, MPI_SUM, MPI_COMM_WORLD, error)
  call MPI_Get_processor_name(host, length, error)
  print '(I0, 1X, I0, 1X, A)', size, sum, trim(host)
  call MPI_Barrier(MPI_COMM_WORLD, error)
  call sleep(1)
  call MPI_Finalize(error)
end program
"""
BOTH = {"rpnode01", "rpnode02"}


@pytest.fixture(scope="module", autouse=True)
def compiled(cluster: Cluster) -> None:
    cluster.pi(f"cat > ring.c << 'EOF'\n{C}\nEOF\nmpicc -o ring-c ring.c")
    cluster.pi(f"cat > ring.f90 << 'EOF'\n{FORTRAN}\nEOF\nmpifort -o ring-f ring.f90")
    cluster.pi("printf 'rpnode01:2\\nrpnode02:2\\n' > two-boards")


@pytest.mark.parametrize("program", ["ring-c", "ring-f"])
@pytest.mark.parametrize("starter", ["srun -N 2 -n 4", "mpiexec -f two-boards -n 4"])
def test_2_63_a_compiled_program_is_one_world(cluster: Cluster, program: str, starter: str) -> None:
    lines = cluster.pi(f"timeout 300 {starter} ./{program}").splitlines()
    assert [line.split()[:2] for line in lines] == [["4", "6"]] * 4
    assert {line.split()[2] for line in lines} == BOTH


def test_both_boards_have_the_same_mpich(cluster: Cluster) -> None:
    lines = cluster.pi("timeout 300 srun -N 2 -n 2 ./ring-c").splitlines()
    assert {line.split()[2] for line in lines} == BOTH
    assert len({line.split()[3] for line in lines}) == 1
