#!/usr/bin/env bash
# Runs every fuzz test of the repository, one after the other:
#
#   .ci/fuzz.sh TIME
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
time=${1:?how long each runs, such as 10s}

found=0
while IFS=: read -r file test; do
  found=$((found + 1))
  printf '==> %s %s\n' "$(dirname "$file")" "$test" >&2
  go test -run '^$' -fuzz "^$test\$" -fuzztime "$time" "./$(dirname "$file")"
done < <(git ls-files --cached --others --exclude-standard '*_test.go' |
  xargs -r grep -HoE '^func Fuzz[A-Za-z0-9_]*' | sed 's/:func /:/' | sort)
printf '%d fuzz tests ran for %s each\n' "$found" "$time" >&2
