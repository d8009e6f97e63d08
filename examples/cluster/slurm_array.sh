#!/bin/bash
# Scores a folder of slides by an array of Slurm jobs, then writes one page and one table over all of them.
#
#   array=$(sbatch --parsable slurm_array.sh /slides /results)
#   sbatch --dependency=afterok:"$array" --wrap "napari-smse cohort /results --out /results/cohort.html --parquet /results/tiles.parquet"
#
# What was killed or ran out of time goes on by the same command; what is finished costs a line.
#SBATCH --job-name=smse
#SBATCH --array=1-8
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=04:00:00
#SBATCH --output=smse_%A_%a.txt
#SBATCH --requeue
# Two minutes before the time is up, so that it stops by itself:
#SBATCH --signal=B:TERM@120
# With a GPU for each job: #SBATCH --gpus-per-task=1
set -euo pipefail

slides=$1
results=$2

exec napari-smse score "$slides" --out "$results" --mpp 0.5 --mpp 1.0 --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
