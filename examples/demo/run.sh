#!/usr/bin/env bash
# `make demo`: runs task.sh as the agent on a fresh copy of project/, then shows what came out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

bold='' dim='' reset=''
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then bold=$'\e[1m' dim=$'\e[2m' reset=$'\e[0m'; fi
title() { printf '\n%s%s%s\n' "$bold" "$*" "$reset"; }
shown() { printf '%s$ %s%s\n' "$dim" "$*" "$reset"; }

demo=$PWD/build/demo
workspace=$demo/workspace
out=$demo/out

rm -rf "$demo"
mkdir -p "$demo"
cp -R examples/demo/project "$workspace"
git -C "$workspace" -c init.defaultBranch=main init --quiet
git -C "$workspace" add .
git -C "$workspace" -c user.name=demo -c user.email=demo@example.com -c commit.gpgsign=false commit --quiet --message 'A small shop'

run=(bin/yolo-run --agent shell --image "yolo-run/base:${VERSION:-dev}"
  --prompt-file examples/demo/task.sh --workspace "$workspace" --out "$out")
shown "${run[*]/#$PWD\//}"
"${run[@]}"

title "The workspace is as it was; what the agent did is a patch"
shown "git status --short"
git -C "$workspace" status --short
shown "git apply --stat changes.patch"
git -C "$workspace" apply --stat "$out/changes.patch"

title "What it tried to reach"
# The events are JSON, one a line, so control characters in them are escaped.
field() { grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4; }
denied=$(grep '"verdict":"deny"' "$out/network.jsonl") || { echo "the report should have a denied attempt, and has none" >&2 && exit 1; }
while read -r event; do
  printf '  denied  %-24s %-5s by %s\n' "$(field name <<<"$event")" "$(field layer <<<"$event")" "$(field exe <<<"$event")"
done <<<"$denied"

title "Everything is in ${out/#$PWD\//}"
ls "$out"
