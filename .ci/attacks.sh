#!/usr/bin/env bash
# Tries the attacks of SECURITY.md, or those with the given numbers, and prints what came of each: its number, the test, its verdict, the seconds that
# it took, and what the runs of that test have left on record.
#
#   .ci/attacks.sh [NUMBER…]
#
# It fails when one of the tests did.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The rows of the table: number, test.
awk -F '|' '
  /^\| [0-9a-z]+ \|/ {
    gsub(/ /, "", $2)
    for (rest = $0; match(rest, /`Test[A-Za-z0-9_]*`/); rest = substr(rest, RSTART + RLENGTH)) print $2, substr(rest, RSTART + 1, RLENGTH - 2)
  }' SECURITY.md >"$work/all"
if (($# > 0)); then
  for number in "$@"; do awk -v n="$number" '$1 == n' "$work/all"; done >"$work/rows"
else
  cp "$work/all" "$work/rows"
fi
[[ -s $work/rows ]] || { echo 'SECURITY.md has no attack of that number' >&2 && exit 2; }
names=$(cut -d' ' -f2 "$work/rows" | sort -u | paste -sd'|')

status=0
go test -count=1 -p 1 -timeout 25m -v -run "^($names)\$" ./... >"$work/log" 2>&1 || status=$?
awk '
  FNR == NR && /^=== (RUN|CONT|NAME) / { split($3, path, "/"); current = path[1] }
  FNR == NR && / on record: / {
    sub(/.* on record: /, ""); gsub(/ \(\)/, "")
    if (index(record[current], $0) == 0) record[current] = record[current] (record[current] == "" ? "" : "; ") $0
  }
  FNR == NR && /^--- / { verdict[$3] = $2; seconds[$3] = substr($4, 2, length($4) - 2) }
  FNR == NR { next }
  { test = $2; v = test in verdict ? verdict[test] : "MISSING"; sub(/:/, "", v)
    printf "%-5s %-60s %-7s %8s  %s\n", $1, test, v, seconds[test], record[test] }
' "$work/log" "$work/rows"
((status == 0)) || grep -E '^ +[a-z_]+\.go:|^FAIL|panic:' "$work/log" | cut -c1-200 | head -n 40 >&2
exit "$status"
