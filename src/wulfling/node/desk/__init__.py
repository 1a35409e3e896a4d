"""The desk on the head, for jobs from a laptop: takes a folder in, submits it, says how it goes.

It runs as the person whose job it is, serves one order and is gone. Slurm alone knows the jobs;
what else belongs to one lies in ``.wulfling`` of its folder.
"""
