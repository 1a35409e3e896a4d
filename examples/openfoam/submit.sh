#!/bin/bash
#SBATCH --job-name=cavity
#SBATCH --nodes=2
#SBATCH --ntasks=4
#SBATCH --ntasks-per-node=2
#SBATCH --mem-per-cpu=110M
#SBATCH --time=00:20:00
#SBATCH --output=cavity-%j.txt

# sbatch submit.sh                                  four ranks on two boards
# sbatch --nodes=1 --ntasks=1 submit.sh             the same on one
set -euo pipefail
module load openfoam

case=ranks-$SLURM_NTASKS
rm -rf "$case"
mkdir "$case"
cp -r 0 constant system "$case"
cd "$case"

blockMesh >log.blockMesh
if ((SLURM_NTASKS == 1)); then
    srun simpleFoam >log.simpleFoam
else
    set_in() { foamDictionary -entry "$1" -set "$2" system/decomposeParDict >/dev/null; }
    set_in numberOfSubdomains "$SLURM_NTASKS"
    set_in simpleCoeffs/n "($SLURM_NTASKS 1 1)"
    decomposePar >log.decomposePar
    srun simpleFoam -parallel >log.simpleFoam
    reconstructPar -latestTime >log.reconstructPar
fi
cd ..
python3 check.py "$case"
