#!/usr/bin/env bash
# Builds the images and tags them yolo-run/NAME:$VERSION:
#
#   images/build.sh
#
# What an image is made from is hashed into one of its labels; an image that has the hash already is left alone.
#   VERSION  the tag (dev)
#   AGENTS   also the images of these agents: claude,codex,gemini; claude-musl has the files for images with that libc
#   TESTING  1 builds what only tests need, too
#   CA_FILE  a PEM file, for networks where a proxy opens TLS: used to fetch, not left in any image; the machine's own by default
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
    [[ -n $(packages "$agent") ]] || die "AGENTS names \"$agent\", and there is no image for it" "Known: $(known_agents)"
  done
  if [[ -n ${CA_FILE:-} ]]; then check_ca_file; else CA_FILE=$(own_certificates); fi
  export CA_FILE
  docker=$(engine_client) || die "no container engine answers" "Run make images, which starts one."

  context gateway gateway "$here/../bin/entrypoint"
  image gateway
  context base base
  image base
  if ((${#agents[@]} > 0)); then
    context fetch fetch
    image fetch --build-arg "BASE=yolo-run/base:$VERSION" --label "yolo-run.base=$(labelled "yolo-run/base:$VERSION")"
  fi
  for agent in "${agents[@]}"; do agent_image "$agent"; done
  if [[ -n ${TESTING:-} ]]; then
    context test-musl test/musl
    image test-musl
    context test-clients test/clients
    image test-clients --build-arg "BASE=yolo-run/base:$VERSION" --label "yolo-run.base=$(labelled "yolo-run/base:$VERSION")"
  fi
  sizes
  ((SECONDS - started < 2)) || say "images ready in $((SECONDS - started)) s"
}

# packages AGENT: the lines of its image.
packages() { awk -v name="$1" '$1 == name' "$here/agents/versions"; }
known_agents() { awk '!/^#/ && !seen[$1]++ { print $1 }' "$here/agents/versions" | paste -sd' '; }

# agent_image NAME: on top of base, so that layers are shared; a build for another libc has nothing to stand on, and is files only.
agent_image() {
  local name=$1 dir=agents/${1%-musl} base=yolo-run/base:$VERSION libc package version
  read -r _ libc _ package _ < <(packages "$name")
  version=${package##*@}
  # An argument of a build stands in the engine's history of its layers.
  [[ ! ${npm_config_registry:-} =~ ://[^/]*@ ]] || die "npm_config_registry holds a password, which the engine would keep" "Name a registry that asks for none."
  [[ $libc != musl ]] || base=scratch
  context "$name" "$dir" "$here/agents/fetch.sh"
  packages "$name" >"$out/$name/packages"
  image "$name" \
    --build-arg "TOOLS=yolo-run/fetch:$VERSION" --build-arg "BASE=$base" \
    --build-arg "REGISTRY=${npm_config_registry:-}" \
    --label "yolo-run.agent=${name%-musl}" --label "yolo-run.agent-version=${version%-linux-*}" --label "yolo-run.libc=$libc" \
    --label "yolo-run.base=$(labelled "yolo-run/base:$VERSION")"
}

# sizes: of every image, and what an agent adds to the base.
sizes() {
  local tag size base
  base=$("$docker" image inspect --format '{{.Size}}' "yolo-run/base:$VERSION")
  while read -r tag; do
    [[ $tag != yolo-run/fetch:* ]] || continue
    size=$("$docker" image inspect --format '{{.Size}}' "$tag")
    case $("$docker" image inspect --format '{{index .Config.Labels "yolo-run.libc"}}' "$tag") in
    '' | musl) note "$(printf '%-32s %4d MB' "$tag" "$((size / 1000000))")" ;;
    *) note "$(printf '%-32s %4d MB, %d MB of it the agent' "$tag" "$((size / 1000000))" "$(((size - base) / 1000000))")" ;;
    esac
  done < <("$docker" image ls --filter "label=$label" --filter "reference=yolo-run/*:$VERSION" --format '{{.Repository}}:{{.Tag}}' | sort)
}

# One request, now, instead of a failure after minutes of retries. Go's own client asks Go's own proxy for one line: both
# are there, whatever else this machine lacks.
check_ca_file() {
  [[ -r $CA_FILE ]] || die "CA_FILE=$CA_FILE cannot be read"
  CA_FILE=$(realpath "$CA_FILE")
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

# image NAME [ARGUMENT…]: builds what context laid out, unless that was done before.
image() {
  local name=$1 tag=yolo-run/$1:$VERSION inputs
  shift
  inputs=$({ digest "$out/$name" && printf '%s\n' "$@"; } | sha256sum | cut -d' ' -f1)
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
    "$@"
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

# context NAME DIR [FILE…]: the files of images/DIR, the FILEs, and what the fetch stage needs to know of this network.
context() {
  local name=$1 dir=$2
  shift 2
  rm -rf "${out:?}/$name"
  mkdir -p "$out/$name"
  cp "$here/$dir"/* "$out/$name/"
  (($# == 0)) || install -m 755 "$@" "$out/$name/"
  apt_settings >"$out/$name/apt.conf"
  cat "${CA_FILE:-/dev/null}" >"$out/$name/ca.crt"
}

# The tree's names, modes and contents, but not how this machine reaches the network; the version is in a label and in the binary.
digest() {
  (cd "$1" && set -- ! -name apt.conf ! -name ca.crt && echo "$VERSION" &&
    find . -type f "$@" -printf '%m %p\n' | sort && find . -type f "$@" -print0 | sort -z | xargs -0 sha256sum)
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
