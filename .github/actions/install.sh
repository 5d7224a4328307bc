#!/usr/bin/env bash
# Puts yolo-run on the PATH of the job's later steps, for the actions of this repository.
#
#   INSTALL_VERSION  empty: the release that checksums.txt names, or from source where it names none; source; installed: what is in PATH;
#                    or the release's number, which then must be the one in checksums.txt
#   INSTALL_AGENT    the agent whose image a build from source makes too; none: no image at all
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
releases=https://github.com/yolo-run/yolo-run/releases/download

die() {
  printf '::error title=yolo-run::%s\n' "$1"
  exit 125
}

main() {
  [[ $(uname -s) == Linux ]] || die 'this action needs a Linux runner with a container engine'
  local wanted=${INSTALL_VERSION:-} archive
  archive=$(pinned)
  case $wanted in
  installed) command -v yolo-run >/dev/null || die 'version is "installed", and there is no yolo-run in PATH' ;;
  source) from_source ;;
  '') if [[ -n $archive ]]; then from_release "$archive"; else from_source; fi ;;
  *)
    # Only what this ref has a checksum for: another release would be trusted blindly.
    [[ $archive == "yolo-run_${wanted#v}_"* ]] ||
      die "this ref of the action has no checksum of that version; use the action at the version's own tag"
    from_release "$archive"
    ;;
  esac
  yolo-run version
}

# pinned prints the archive of this machine's platform, as checksums.txt names it.
pinned() {
  local arch
  case $(uname -m) in
  x86_64) arch=amd64 ;;
  aarch64) arch=arm64 ;;
  *) return ;;
  esac
  awk -v end="_linux_$arch.tar.gz" '$1 ~ /^[0-9a-f]+$/ && substr($2, length($2) - length(end) + 1) == end { print $2 }' "$here/checksums.txt"
}

# installed DIR: what is in DIR is found by this step and the later ones.
installed() {
  PATH=$1:$PATH
  printf '%s\n' "$1" >>"$GITHUB_PATH"
}

from_release() {
  local archive=$1 version=${1#yolo-run_} dir
  version=${version%%_*}
  dir=$RUNNER_TEMP/yolo-run-bin/$version
  if [[ ! -x $dir/yolo-run ]]; then
    mkdir -p "$dir"
    curl --proto '=https' --tlsv1.2 -fsSL --retry 3 --max-time 300 -o "$dir/$archive" "$releases/v$version/$archive" ||
      die "the release $version could not be downloaded"
    (cd "$dir" && grep -F "  $archive" "$here/checksums.txt" | sha256sum --check --status) ||
      die "the release $version is not the one that this action knows: its checksum differs"
    tar -xzf "$dir/$archive" -C "$dir" yolo-run
    rm -f "$dir/$archive"
  fi
  installed "$dir"
}

from_source() {
  local version dir
  command -v make >/dev/null || die 'building from source needs make'
  command -v go >/dev/null || die 'building from source needs Go 1.21 or newer, such as actions/setup-go brings'
  version=src-$(sources)
  dir=$RUNNER_TEMP/yolo-run-bin/$version
  local targets=(bin/yolo-run) agents=
  if [[ $INSTALL_AGENT != none ]]; then
    # The Makefile would install an engine, which is not this step's to decide.
    docker version >/dev/null 2>&1 || die 'no container engine answers on this runner'
    targets+=(images)
  fi
  case $INSTALL_AGENT in claude | codex | gemini) agents=$INSTALL_AGENT ;; esac
  quietly make -C "$root" VERSION="$version" AGENTS="$agents" YES=1 "${targets[@]}" || die 'the build from source failed'
  mkdir -p "$dir"
  cp "$root/bin/yolo-run" "$dir/yolo-run"
  installed "$dir"
}

# sources is a digest of all that is built: the same source finds its images again, another does not take them.
sources() {
  cd "$root"
  find cmd entrypoint reports runner images go.mod go.sum Makefile -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum |
    cut -c1-12
}

# quietly COMMAND…: shows its output as one part of the log, in which nothing is a command to the runner.
quietly() {
  local token code=0
  token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  printf '::group::Build yolo-run from source\n::stop-commands::%s\n' "$token"
  "$@" 2>&1 || code=$?
  printf '\n::%s::\n::endgroup::\n' "$token"
  return $code
}

main
