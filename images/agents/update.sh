#!/usr/bin/env bash
# Writes the newest packages that npm has into the file versions; needs npm. Node keeps its major version.
#
#   images/agents/update.sh && git diff images/agents/versions && make test
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

new=$(mktemp)
trap 'rm -f "$new"' EXIT
while IFS= read -r line; do
  if [[ $line == '#'* ]]; then
    echo "$line"
    continue
  fi
  read -r image libc arch package _ <<<"$line"
  name=${package%@*} old=${package##*@} suffix=
  case $package in
  node-linux-*) version=$(npm view --json "${name/arm64/x64}@${old%%.*}" version | grep -o '[0-9][0-9.]*' | sort -V | tail -n 1) ;;
  *-linux-x64 | *-linux-arm64) version=$(npm view "$name" version) suffix=-linux-${old##*-} ;;
  *) version=$(npm view "${name/arm64/x64}" version) ;;
  esac
  package=$name@$version$suffix
  printf '%-12s %-7s %-6s %-55s %s\n' "$image" "$libc" "$arch" "$package" "$(npm view "$package" dist.integrity)"
done <versions >"$new"
cat "$new" >versions
