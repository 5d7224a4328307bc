#!/bin/sh
# fetch.sh: unpacks the packages that the file beside it lists for this architecture into /fetch/NAME, without architecture and version
# in the name. What npm hands out must have the digest that was pinned, whatever the registry says of it.
set -eu
cd /fetch
npm=$(mktemp -d)
here=$(dpkg --print-architecture)

main() {
  # node takes it as an addition to its own roots, curl instead of them.
  if [ -s ca.crt ]; then export NODE_EXTRA_CA_CERTS=/fetch/ca.crt CURL_CA_BUNDLE=/fetch/ca.crt; fi
  bootstrap
  found=
  while read -r image _ arch package integrity; do
    case $image-$arch in npm-*) continue ;; *-any | *-"$here") ;; *) continue ;; esac
    echo "fetching $package"
    file=$(node "$npm/bin/npm-cli.js" pack --silent --cache "$npm/cache" --registry "$REGISTRY" "$package")
    check "$package" "$file" "$integrity"
    name=$(echo "${package%@*}" | sed -E 's|.*/||; s/-linux-(x64|arm64)//')
    unpack "$file" "$name"
    found=1
  done <packages
  [ -n "$found" ] || fail "there is no build of this agent for $here"
  rm -rf "$npm"
}

# npm comes as its own installer gets it, in one request: the distribution's is 340 packages. That request also tells in a second whether
# the registry can be reached; npm itself tries for more than a minute.
bootstrap() {
  package=$(awk '$1 == "npm" { print $4 }' packages)
  said=$(curl -fsSL --max-time 60 -o npm.tgz "${REGISTRY%/}/npm/-/npm-${package#*@}.tgz" 2>&1) ||
    fail "the agents come from npm, and $REGISTRY cannot be reached: $said (make test AGENTS= does without them)"
  check "$package" npm.tgz "$(awk '$1 == "npm" { print $5 }' packages)"
  unpack npm.tgz "$npm"
}

check() {
  got=sha512-$(openssl dgst -sha512 -binary "$2" | base64 -w0)
  [ "$got" = "$3" ] || fail "$1 is not what was pinned: expected $3, got $got"
}

unpack() {
  mkdir -p "$2"
  tar -xzf "$1" -C "$2" --strip-components=1 --no-same-owner
  rm "$1"
}

fail() {
  echo "error: $1" >&2
  exit 1
}

main
