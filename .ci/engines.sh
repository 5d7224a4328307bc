#!/usr/bin/env bash
# Runs tests of package runner against another engine, which it starts in a container; what it made is removed again:
#
#   .ci/engines.sh docker|docker-legacy|docker-userns|docker-rootless|podman|podman-rootless [ARGUMENTS OF go test…]
#
# Without arguments, those that say something about an engine. It needs root: the tests talk to the containers of that engine, in whose network
# they must be. The images are those of VERSION (dev), as make test-images AGENTS= leaves them. What is known of each engine is in docs/engines.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=images/lib.sh
source images/lib.sh

VERSION=${VERSION:-dev}
tests='TestAttack|TestAN|TestTheDefaultBridge|TestServices|TestThePatch|TestCredentials|TestAWorkspaceThat|TestExitCodes|TestAKilledRunnerLeavesNothing|TestAKilledGateway'
tests+='|TestSignals|TestTheNextRun|TestTimeout|TestTenRuns|TestMounts|TestAudit|TestEgressNone'
skipped='TestAttack1Every|TestAttack18|TestAttack23TheEngine' # two want images that are large, the third has an engine of its own
name=${1:-}
container=yolo-run-engine-$name

main() {
  local data=/var/lib/docker
  case $name in
  docker | docker-legacy | docker-userns) ;;
  docker-rootless | podman-rootless) data=/home/engine/.local skipped+='|TestAttack16' ;; # without limits it would take the machine's memory
  podman) data=/var/lib/containers ;;
  *) die "name an engine: docker, docker-legacy, docker-userns, docker-rootless, podman or podman-rootless" ;;
  esac
  ((EUID == 0)) || die "this needs root: run it again with sudo"
  docker=$(engine_client) || die "no container engine answers" "Run make images, which starts one."
  work=$(mktemp -d /var/tmp/yolo-run-engine.XXXXXX)
  trap clean EXIT
  build
  start "$data"
  load
  if (($# == 1)); then set -- "$1" -run "$tests" -skip "$skipped"; fi
  run "${@:2}"
}

clean() {
  "$docker" rm --force --volumes "$container" >/dev/null 2>&1 || true
  rm -rf "$work"
}

# The image stays, for the next time.
build() {
  local context=$work/context
  mkdir "$context"
  cp .ci/engines/* "$context/"
  CA_FILE=${CA_FILE:-$(own_certificates)}
  apt_settings >"$context/apt.conf"
  cat "${CA_FILE:-/dev/null}" >"$context/ca.crt"
  say "building yolo-run-test/engines"
  "$docker" build --quiet --build-arg ROOTFS=yolo-run/rootfs:trixie --tag yolo-run-test/engines "$context" >/dev/null
}

# start DATA: not privileged, because a machine that lacks one capability refuses that. The workspaces of the tests are seen by the engine under
# the paths that they have here.
start() {
  local capability arguments=()
  for capability in SYS_ADMIN NET_ADMIN SYS_PTRACE DAC_READ_SEARCH SYS_NICE IPC_LOCK; do arguments+=(--cap-add "$capability"); done
  mkdir -p "$work/engine" "$work/tmp"
  chmod 755 "$work" && chmod 1777 "$work/tmp"
  "$docker" run --detach --init --name "$container" "${arguments[@]}" \
    --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined \
    --device-cgroup-rule 'a *:* rwm' --device /dev/fuse --device /dev/net/tun --volume /sys/fs/cgroup:/sys/fs/cgroup \
    --volume "$1" --volume "$work/engine:/engine" --volume "$work/tmp:$work/tmp" yolo-run-test/engines sh /start.sh "$name" >/dev/null
  local waited=0
  until inner version --format "$name {{.Server.Version}}" 2>/dev/null | grep -q '[0-9]'; do
    waited=$((waited + 1))
    if ((waited > 60)) || [[ $("$docker" inspect --format '{{.State.Running}}' "$container") != true ]]; then
      "$docker" logs --tail 20 "$container" >&2
      die "$name does not answer" "The lines above are the end of its log."
    fi
    sleep 1
  done
  say "$(inner version --format "$name {{.Server.Version}}"), kernel $(uname -r), cgroups by $(inner info --format '{{.CgroupDriver}} (version {{.CgroupVersion}})')"
}

inner() { DOCKER_HOST=unix://$work/engine/docker.sock "$docker" "$@"; }

load() { "$docker" save "yolo-run/"{gateway,base,test-clients}":$VERSION" | inner load >/dev/null; }

# network: a process in whose network namespace the engine's bridges are.
network() {
  case $name in
  docker-rootless) "$docker" top "$container" -eo pid,comm | awk '$2 == "dockerd" { print $1 }' | tail -n 1 ;;
  podman-rootless)
    # It is made with the first container and lasts as long as somebody is in it.
    "$docker" exec --detach --user engine --env XDG_RUNTIME_DIR=/run/user/1000 "$container" podman unshare --rootless-netns sleep infinity
    local pid=''
    until [[ -n $pid ]]; do pid=$("$docker" top "$container" -eo pid,args | awk '$2 == "sleep" { print $1 }' | tail -n 1); done
    echo "$pid"
    ;;
  *) "$docker" inspect --format '{{.State.Pid}}' "$container" ;;
  esac
}

run() {
  local pid
  pid=$(network)
  say "go test ./runner $*"
  DOCKER_HOST=unix://$work/engine/docker.sock VERSION=$VERSION TMPDIR=$work/tmp XDG_STATE_HOME=$work/state \
    nsenter --net="/proc/$pid/ns/net" -- go test -count=1 -timeout 15m ./runner "$@"
}

main "$@"
