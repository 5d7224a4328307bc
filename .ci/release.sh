#!/usr/bin/env bash
# The steps of a release. Their order keeps every name pinned: the images are pushed, their digests go into the binary, the archives'
# checksums into the action, and only then is there a tag.
#
#   .ci/release.sh push VERSION ARCH       this machine's images of VERSION, to $REGISTRY
#   .ci/release.sh index VERSION ARCH…     one name for all platforms; prints NAME=REFERENCE@DIGEST,… for IMAGES
#   .ci/release.sh build VERSION           dist/, with binaries that name IMAGES
#   .ci/release.sh pin                     the checksums of dist/ into .github/actions/checksums.txt
#   .ci/release.sh tag VERSION             commits them and pushes the tag
#   .ci/release.sh try                     what needs neither a registry nor a repository, ending with an installation by the action
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What a release consists of, as the binary asks for it.
names=(gateway base claude claude-musl codex gemini)

version() {
  [[ $1 =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9a-z.]+)?$ ]] || { echo "\"$1\" is not a version such as 1.2.3" >&2 && exit 1; }
}

push() {
  local version=$1 arch=$2 name
  for name in "${names[@]}"; do
    docker tag "yolo-run/$name:$version" "$REGISTRY/$name:$version-$arch"
    docker push --quiet "$REGISTRY/$name:$version-$arch" >&2
  done
}

index() {
  local version=$1 name arch parts digest list=()
  shift
  for name in "${names[@]}"; do
    parts=()
    for arch in "$@"; do parts+=("$REGISTRY/$name:$version-$arch"); done
    docker buildx imagetools create --tag "$REGISTRY/$name:$version" "${parts[@]}" >&2
    digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$REGISTRY/$name:$version")
    [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "no digest of $name: $digest" >&2 && exit 1; }
    list+=("$name=$REGISTRY/$name@$digest")
  done
  (IFS=, && printf '%s\n' "${list[*]}")
}

build() {
  : "${IMAGES:?what the binary names, as index prints it}"
  # The tag is not there yet: it will hold the checksums of what is built here.
  GORELEASER_CURRENT_TAG=v$1 PATH=$PWD/build/tools:$PATH goreleaser release --clean --skip=validate,publish,announce
}

pin() {
  local head
  head=$(grep '^#' .github/actions/checksums.txt)
  { printf '%s\n' "$head" && grep -F '_linux_' dist/checksums.txt | grep -F .tar.gz; } >dist/pins
  mv dist/pins .github/actions/checksums.txt
}

tag() {
  git add .github/actions/checksums.txt
  git -c user.name='github-actions[bot]' -c user.email='41898282+github-actions[bot]@users.noreply.github.com' \
    commit -q -m "Release $1" -m 'The checksums of its archives, which the action of this tag installs.'
  git tag "v$1"
  git push origin "v$1"
}

# In a copy of the repository, because it writes what a release would.
try() {
  local machine
  copy=$(mktemp -d)
  trap 'rm -rf "$copy"' EXIT
  git clone -q --no-hardlinks . "$copy/repository"
  mkdir -p "$copy/repository/build" "$copy/bin" "$copy/temp"
  cp -R build/tools "$copy/repository/build/"
  cd "$copy/repository"
  IMAGES=gateway=registry.example.com/gateway@sha256:0123 .ci/release.sh build 0.0.0
  .ci/release.sh pin
  # The action takes the archive from dist/ in place of the net.
  # shellcheck disable=SC2016 # the words are that script's
  printf '#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\ncp "%s/dist/$(basename "$2")" "$2"\n' "$PWD" >"$copy/bin/curl"
  chmod +x "$copy/bin/curl"
  PATH=$copy/bin:$PATH RUNNER_TEMP=$copy/temp GITHUB_PATH=$copy/path INSTALL_AGENT=none .github/actions/install.sh
  machine=$("$copy"/temp/yolo-run-bin/0.0.0/yolo-run version --json)
  printf '%s\n' "$machine"
  [[ $machine == *'"version":"0.0.0"'*'"gateway":"registry.example.com/gateway@sha256:0123"'* ]]
}

verb=${1:-}
shift || true
case $verb in
push | index | build | tag) version "${1:-}" && "$verb" "$@" ;;
pin | try) "$verb" ;;
*) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2 && exit 2 ;;
esac
