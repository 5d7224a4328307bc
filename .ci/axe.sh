#!/usr/bin/env bash
# Fetches axe-core, which checks in a browser whether report.html can be used by everybody, to build/tools/axe.min.js. Nothing of it is
# committed or shipped. What the registry hands out must have the digest below.
#
#   .ci/axe.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=images/lib.sh
source images/lib.sh

version=4.14.1
integrity=FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==
target=build/tools/axe.min.js

[[ ! -e $target || .ci/axe.sh -nt $target ]] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say "fetching axe-core $version"
if command -v npm >/dev/null; then
  npm pack --silent --pack-destination "$work" "axe-core@$version" >/dev/null
else
  need curl
  registry=${npm_config_registry:-https://registry.example.com/}
  curl -fsSL --max-time 60 -o "$work/axe-core-$version.tgz" "${registry%/}/axe-core/-/axe-core-$version.tgz"
fi
[[ $(openssl dgst -sha512 -binary "$work/axe-core-$version.tgz" | base64 -w 0) == "$integrity" ]] ||
  die "axe-core $version is not the one that was pinned"
mkdir -p "${target%/*}"
tar -xzf "$work/axe-core-$version.tgz" -C "$work" package/axe.min.js
mv "$work/package/axe.min.js" "$target"
touch "$target"
