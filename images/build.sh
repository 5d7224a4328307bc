#!/usr/bin/env bash
# Builds the images and tags them yolo-run/NAME:$VERSION:
#
#   images/build.sh
#
# What an image is made from is hashed into one of its labels; an image that has the hash already is left alone.
#   VERSION  the tag (dev)
#   AGENTS   also the images of these agents: claude,codex,gemini
#   CA_FILE  a PEM file, for networks where a proxy opens TLS: used to fetch, not left in any image
#   REBUILD  1 builds everything anew, with the archive's newest packages
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=images/lib.sh
source "$here/lib.sh"

VERSION=${VERSION:-dev}
rootfs=yolo-run/rootfs:trixie
out=$(dirname "$here")/build/images
label=yolo-run.inputs
started=$SECONDS

main() {
  local agent agents=()
  IFS=', ' read -ra agents <<<"${AGENTS:-}"
  for agent in "${agents[@]}"; do
    [[ -f $here/agents/$agent/Dockerfile ]] || die "AGENTS names \"$agent\", and there is no image for it" "Known: $(known_agents)"
  done
  [[ -z ${CA_FILE:-} ]] || check_ca_file
  docker=$(engine_client) || die "no container engine answers" "Run make images, which starts one."

  image gateway "$here/../bin/entrypoint"
  image base
  for agent in "${agents[@]}"; do image "agents/$agent"; done
  "$docker" image ls --filter "label=$label" --filter "reference=yolo-run/*:$VERSION" \
    --format '{{.Repository}}:{{.Tag}} {{.Size}}' | sort | xargs printf '    %-28s %s\n' >&2
  ((SECONDS - started < 2)) || say "images ready in $((SECONDS - started)) s"
}

known_agents() {
  local known=("$here"/agents/*/)
  [[ -d ${known[0]} ]] && basename -a "${known[@]}" | paste -sd' ' || echo none yet
}

# One request, now, instead of a failure after minutes of retries. Go's own client asks Go's own proxy for one line: both
# are there, whatever else this machine lacks.
check_ca_file() {
  [[ -r $CA_FILE ]] || die "CA_FILE=$CA_FILE cannot be read"
  CA_FILE=$(realpath "$CA_FILE")
  export CA_FILE
  grep -q 'BEGIN CERTIFICATE' "$CA_FILE" || die "CA_FILE=$CA_FILE has no certificate in it" "It must be in PEM form."
  local reply
  reply=$(cd / && SSL_CERT_FILE=$CA_FILE SSL_CERT_DIR=/nonexistent GOFLAGS='' \
    timeout 20 go list -m golang.org/x/mod@latest 2>&1) && return
  case $reply in
  *x509:* | *certificate*)
    die "CA_FILE=$CA_FILE does not verify what this network presents" "${reply##*: }" "It must hold the certificate of the proxy that opens TLS here."
    ;;
  *) note "could not check CA_FILE by a request: ${reply##*: }" ;;
  esac
}

# image DIR [FILE…]: builds images/DIR with the FILEs in its context, unless that was done before.
image() {
  local dir=$1 name=${1##*/} tag inputs
  shift
  tag=yolo-run/$name:$VERSION
  context "$dir" "$@"
  inputs=$(digest "$out/$name")
  if [[ ${REBUILD:-} != 1 && $(labelled "$tag") == "$inputs" ]]; then return; fi

  if [[ ${REBUILD:-} == 1 && -z ${rebuilt:-} ]] || ! "$docker" image inspect "$rootfs" >/dev/null 2>&1; then
    "$here/rootfs.sh" "$rootfs"
    rebuilt=1
  fi
  say "building $tag"
  local arguments=(
    --tag "$tag" --build-arg "ROOTFS=$rootfs"
    --label "$label=$inputs"
    --label "org.opencontainers.image.title=$name of yolo-run"
    --label "org.opencontainers.image.version=$VERSION"
    --label org.opencontainers.image.licenses=MIT
  )
  [[ ${REBUILD:-} != 1 ]] || arguments+=(--no-cache)
  # Predefined arguments of the builder: a proxy's password in them does not reach the image's history.
  local variable
  for variable in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    [[ -z ${!variable:-} ]] || arguments+=(--build-arg "$variable")
  done
  local old
  old=$("$docker" image inspect --format '{{.Id}}' "$tag" 2>/dev/null || true)
  build "$name" "${arguments[@]}"
  # Without its name the one before is only disk space, unless something runs from it.
  [[ -z $old ]] || "$docker" image rm "$old" >/dev/null 2>&1 || true
}

# context DIR [FILE…]: the files of images/DIR, the FILEs, and what the fetch stage needs to know of this network.
context() {
  local dir=$1 name=${1##*/}
  shift
  rm -rf "${out:?}/$name"
  mkdir -p "$out/$name"
  cp "$here/$dir"/* "$out/$name/"
  (($# == 0)) || install -m 755 "$@" "$out/$name/"
  apt_settings >"$out/$name/apt.conf"
  cat "${CA_FILE:-/dev/null}" >"$out/$name/ca.crt"
}

# How this machine's apt reaches its archive holds for the builds too.
apt_settings() {
  apt-config dump 2>/dev/null | grep -E '^Acquire::(https?::(Proxy|Timeout)|Check-(Valid-Until|Date)|Force|Retries)[^"]* "[^"]' || true
  [[ -z ${CA_FILE:-} ]] || echo 'Acquire::https::CAInfo "/etc/apt/build-ca.crt";'
}

# The tree's names, modes and contents; the version is in a label and in the binary.
digest() {
  (cd "$1" && { find . -type f -printf '%m %p\n' | sort && echo "$VERSION" && find . -type f -print0 | sort -z | xargs -0 sha256sum; }) |
    sha256sum | cut -d' ' -f1
}
labelled() { "$docker" image inspect --format "{{index .Config.Labels \"$label\"}}" "$1" 2>/dev/null || true; }

# build NAME ARGUMENTS…: shows the steps, keeps the rest for the case that it fails.
build() {
  local name=$1 log=$out/$1.log
  shift
  if ! "$docker" build "$@" "$out/$name" 2>&1 | tee "$log" |
    { grep --line-buffered -E '^(Step [0-9]+/[0-9]+ : (RUN|COPY)|#[0-9]+ \[.*\] (RUN|COPY))' || true; } | cut -c1-110 >&2; then
    tail -n 30 "$log" >&2
    die "the image $name was not built" "The lines above are the end of $log."
  fi
}

main
