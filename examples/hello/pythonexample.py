"""A first program for a cluster: a multiplication, done once by every rank.

It knows nothing of MPI, so each rank prints the same three numbers:

    mpiexec -f machinefile -n 5 python3 pythonexample.py
"""

nodes = 400
hours = 12 + 5

print(nodes)
print(hours)
print(nodes * hours)
