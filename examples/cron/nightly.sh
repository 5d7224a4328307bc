#!/usr/bin/env bash
# A nightly task without any CI system: works on a checkout of its own, and pushes what passed the gate as a branch.
#
#   17 3 * * *  /srv/agent/nightly.sh /srv/agent/checkout /srv/agent/task.md
#
# The checkout is a clone that nobody else works in. The key is in the environment of the job, or in the file that KEY_FILE names.
set -euo pipefail

checkout=${1:?the checkout to work in} task=${2:?the file with the task}
task=$(realpath "$task")
cd "$checkout"

# One run at a time: the next night does not wait for this one.
exec 9>"$checkout/.git/yolo-run.lock"
flock -n 9 || { echo 'the last run is still going' >&2 && exit 1; }

git fetch -q origin main
git checkout -q --detach origin/main
git reset -q --hard
git clean -qfdx

out=$(mktemp -d)
# A patch that does not pass the gate, or a run that failed, ends the script here; the report is in the folder.
yolo-run --prompt-file "$task" --max-cost-usd 5 --timeout 2h --out "$out" ${KEY_FILE:+--secret "ANTHROPIC_API_KEY=file:$KEY_FILE"}
yolo-run apply "$out"
[[ -n $(git status --porcelain) ]] || exit 0

branch=yolo-run/$(date +%Y-%m-%d)
git checkout -q -B "$branch"
git add -A
git commit -q -m "Nightly task" -m "$(sed -n 1p "$out/report.md" | tr -d '#')"
git push -q --force-with-lease origin "$branch"
