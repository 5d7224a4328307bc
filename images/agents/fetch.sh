#!/bin/sh
# fetch.sh: unpacks the packages that the file beside it lists for this architecture into /fetch/NAME, without architecture and version
# in the name. What npm hands out must have the digest that was pinned, whatever the registry says of it.
set -eu
cd /fetch
here=$(dpkg --print-architecture)

main() {
  if [ -s ca.crt ]; then export NODE_EXTRA_CA_CERTS=/fetch/ca.crt; fi
  # Without one npm asks where it always does.
  if [ -n "$REGISTRY" ]; then export npm_config_registry="$REGISTRY"; fi
  found=
  while read -r _ _ arch package integrity; do
    case $arch in any | "$here") ;; *) continue ;; esac
    echo "fetching $package"
    # By itself npm would try for more than a minute where nobody answers.
    file=$(npm pack --loglevel error --cache /fetch/cache --fetch-retries 0 --fetch-timeout 60000 "$package" 2>errors) ||
      fail "the agents come from npm, which cannot be reached: $(grep -m 1 'npm ERR! [a-z]' errors) (make test AGENTS= does without them)"
    check "$package" "$file" "$integrity"
    name=$(echo "${package%@*}" | sed -E 's|.*/||; s/-linux-(x64|arm64)//')
    unpack "$file" "$name"
    found=1
  done <packages
  [ -n "$found" ] || fail "there is no build of this agent for $here"
  rm -rf cache
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
