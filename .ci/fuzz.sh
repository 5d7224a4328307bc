#!/usr/bin/env bash
# Runs every fuzz test of the repository, one after the other:
#
#   .ci/fuzz.sh TIME [FLAG…]
#
# The FLAGs are go test's: -parallel=1 leaves the machine's other CPUs to others.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
time=${1:?how long each runs, such as 10s}
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# An input that is still being tried when the time is over fails the test with this alone, which says nothing of the code.
out_of_time() { grep -qx ' *context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log"; }

found=0
while IFS=: read -r file test; do
  found=$((found + 1))
  printf '==> %s %s\n' "${file%/*}" "$test" >&2
  # Where goroutines take turns, no two tries cover the same: to look for the smallest input of each would take a minute, and all of the time.
  go test -run '^$' -fuzz "^$test\$" -fuzztime "$time" -fuzzminimizetime 100x "$@" "$(dirname "$file")" 2>&1 | tee "$log" || out_of_time
done < <(grep -roE --include='*_test.go' --exclude-dir=build '^func Fuzz[A-Za-z0-9_]*' . | sed 's/:func /:/' | sort)
((found > 0)) || { echo 'no fuzz test found' >&2 && exit 1; }
printf '%d fuzz tests ran for %s each\n' "$found" "$time" >&2
