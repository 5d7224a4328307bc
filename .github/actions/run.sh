#!/usr/bin/env bash
# Runs yolo-run as a step of a job. Its settings are YOLO_* variables already.
#
#   RUN_JOB_INDEX, RUN_JOB_TOTAL  the job's place in its matrix
set -euo pipefail

# A folder for this step alone: the same action may be used twice in a job.
n=1
until mkdir -m 700 "$RUNNER_TEMP/yolo-run-$n" 2>/dev/null; do
  n=$((n + 1))
  ((n <= 1000)) || {
    echo '::error title=yolo-run::no output folder could be made in RUNNER_TEMP'
    exit 125
  }
done
export YOLO_OUT=$RUNNER_TEMP/yolo-run-$n

# Artifacts of one workflow run must differ in their names.
name=yolo-run-$GITHUB_JOB
((n == 1)) || name+=-$n
((${RUN_JOB_TOTAL:-1} <= 1)) || name+=-matrix-${RUN_JOB_INDEX:-0}

# Before anything can fail, so that what there is gets uploaded.
printf 'artifact-dir=%s\nartifact-name=%s\n' "$YOLO_OUT" "$name" >>"$GITHUB_OUTPUT"

# No shell in between: a cancelled job sends its signals to this process.
exec yolo-run
