"""Every rank of an MPI job says where it is.

mpiexec -f machinefile -n 5 python3 hello.py
srun --ntasks=4 python3 hello.py
"""

from mpi4py import MPI

world = MPI.COMM_WORLD
line = f"Hello from rank {world.rank} of {world.size} on {MPI.Get_processor_name()}"

# Rank 0 prints for all, in order: lines that many ranks write at once may run together.
lines = world.gather(line)
if lines is not None:
    print("\n".join(lines))
