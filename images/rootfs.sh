#!/usr/bin/env bash
# Makes the image that the others start from, a plain Debian, under the name that it is given:
#
#   images/rootfs.sh yolo-run/rootfs:trixie
#
# Debian's own image where a registry answers, else one that debootstrap makes from the package archive.
set -euo pipefail
# shellcheck source=images/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

tag=$1
suite=${tag##*:}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
pull_deadline=60 # seconds; an unreachable registry usually says so at once

main() {
  local docker
  docker=$(engine_client)
  say "pulling debian:$suite-slim"
  if timeout "$pull_deadline" "$docker" pull -q "debian:$suite-slim" >/dev/null 2>"$work/pull"; then
    "$docker" tag "debian:$suite-slim" "$tag"
    return
  fi
  note "$(tail -n 1 "$work/pull")" "no image from there; bootstrapping Debian $suite instead, about half a minute"
  need debootstrap "$keyring=debian-archive-keyring" gpgv
  bootstrap
  as_root tar -C "$work/root" -c . | "$docker" import --change 'CMD ["bash"]' - "$tag" >/dev/null
}

bootstrap() {
  local scripts=/usr/share/debootstrap/scripts script=() certificates=()
  # A debootstrap that is older than the suite does not know its name; the recipe has been the same for years.
  [[ -e $scripts/$suite ]] || script=("$scripts/sid")
  if [[ -n ${CA_FILE:-} ]]; then
    echo "ca_certificate = $CA_FILE" >"$work/wgetrc"
    certificates=(WGETRC="$work/wgetrc")
  fi
  # An https mirror needs certificates in the new system too.
  as_root env "${certificates[@]}" PATH="$PATH:/usr/sbin:/sbin" debootstrap --variant=minbase --include=ca-certificates \
    --force-check-gpg --keyring="$keyring" "$suite" "$work/root" "$(mirror)" "${script[@]}" >"$work/log" 2>&1 || {
    tail -n 20 "$work/log" >&2
    die "debootstrap did not make a Debian $suite" "The lines above are the end of its log."
  }
  sources | as_root tee "$work/root/etc/apt/sources.list" >/dev/null
  as_root rm -rf "$work/root/debootstrap" "$work/root/var/lib/apt/lists" "$work/root/var/cache/apt/archives"
  as_root mkdir -p "$work/root/var/lib/apt/lists/partial" "$work/root/var/cache/apt/archives/partial"
}

# The mirrors that this machine itself uses, if it is a Debian; nothing makes debootstrap take its own default.
uris() {
  (. /etc/os-release && [[ $ID == debian ]]) || return 0
  sed -nE 's/^(URIs:|deb( +\[[^]]*\])?) +(https?:[^ ]+).*/\3/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null || true
}
mirror() { uris | grep -E '/debian/?$' | head -n 1 || true; }
sources() {
  local main security
  main=$(mirror)
  security=$(uris | grep -E '/debian-security/?$' | head -n 1 || true)
  [[ -n $main ]] || main=$(sed -nE 's/^deb +(\S+).*/\1/p' "$work/root/etc/apt/sources.list" | head -n 1)
  echo "deb $main $suite main"
  [[ -z $security ]] || echo "deb $security $suite-security main"
}

# debootstrap refuses a file system without device nodes, which /tmp may be.
work=$(mktemp -d -p /var/tmp)
trap 'as_root rm -rf "$work"' EXIT
main
