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
docker=$(engine_client) || die "no container engine answers" "Run make test, which starts one."
# By the image that fetches the agents, so that this machine needs no npm.
"$docker" run --rm -i --pull never --env http_proxy --env https_proxy --env no_proxy --env npm_config_registry "yolo-run/fetch:${VERSION:-dev}" \
  sh -c "cat >/ca.crt; [ ! -s /ca.crt ] || export NODE_EXTRA_CA_CERTS=/ca.crt
    [ -n \"\$npm_config_registry\" ] || unset npm_config_registry
    cd /tmp && npm pack --silent --fetch-retries 1 axe-core@$version >/dev/null && cat axe-core-$version.tgz" \
  <"${CA_FILE:-$(own_certificates)}" >"$work/axe-core-$version.tgz" || die "axe-core comes from npm, which cannot be reached" "make test AGENTS= does without it."
[[ $(openssl dgst -sha512 -binary "$work/axe-core-$version.tgz" | base64 -w 0) == "$integrity" ]] ||
  die "axe-core $version is not the one that was pinned"
mkdir -p "${target%/*}"
tar -xzf "$work/axe-core-$version.tgz" -C "$work" package/axe.min.js
mv "$work/package/axe.min.js" "$target"
touch "$target"
