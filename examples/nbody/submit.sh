#!/bin/bash
#SBATCH --job-name=nbody
#SBATCH --nodes=2
#SBATCH --ntasks=4
#SBATCH --ntasks-per-node=2
#SBATCH --mem-per-cpu=80M
#SBATCH --time=00:10:00
#SBATCH --output=nbody-%j.txt

# Words after `sbatch submit.sh` go to the program, for example --bodies 4096.
# One thread a rank: Slurm gave each rank one CPU.
export OMP_NUM_THREADS=1
srun python3 nbody.py "$@"
