#!/usr/bin/env bash
# Makes sure that a container engine answers, then runs the command that it was given, if any:
#
#   images/engine.sh [COMMAND ARGS…]
#
# An engine that answers is left alone, and nothing is said. Where there is none, Debian's own is installed and started,
# after asking; YES=1 (or CI=true) is a yes. DOCKER_HOST is respected: an engine that somebody named is never replaced
# by a local one.
set -euo pipefail
# shellcheck source=images/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

socket=/var/run/docker.sock
log=/var/log/dockerd.log
deadline=60 # seconds
pid=        # of a dockerd that was started by hand

main() {
  if [[ -z $(engine_client) ]]; then
    diagnose_remote
    # An engine that runs, and that only this process may not use, needs no set-up.
    locked_out || set_up
    ! locked_out || join_group "$@"
    [[ -n $(engine_client) ]] || die "an engine listens at $socket, but no docker client gets an answer:" "$(docker version 2>&1)"
  fi
  (($# == 0)) || exec "$@"
}

# An engine that was named and does not answer is for the user to mend.
diagnose_remote() {
  case ${DOCKER_HOST:-} in
  '' | "unix://$socket" | unix:///run/docker.sock) ;;
  *) die "no engine answers at DOCKER_HOST=$DOCKER_HOST" "Start it, or unset DOCKER_HOST to use the local one." ;;
  esac
  [[ $(uname -s) == Linux ]] || die "no engine answers" "Start Docker Desktop (or another engine), then try again."
}

# A socket file outlives a dead engine. /proc/net/unix lists who listens, to everybody.
listening() { grep -Eq ' (/var)?/run/docker\.sock$' /proc/net/unix; }
locked_out() { listening && [[ ! -w $socket ]]; }

set_up() {
  local packages=() client='' plan=()
  PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
  ! mounted || ask_with_client || return 0
  say "no container engine answers at ${DOCKER_HOST:-$socket}"
  command -v dockerd >/dev/null || listening || packages+=(docker.io iptables ca-certificates)
  # With AppArmor in the kernel, the engine cannot start a container without the parser.
  if [[ $(cat /sys/module/apparmor/parameters/enabled 2>/dev/null) == Y ]] && ! command -v apparmor_parser >/dev/null; then
    packages+=(apparmor)
  fi
  if needs_client; then client='the docker client'; fi

  [[ -z ${packages[*]}$client ]] || plan+=("install ${packages[*]}${packages[*]:+${client:+ and }}$client")
  listening || plan+=("start dockerd")
  ((EUID == 0)) || in_group_file || plan+=("add $(id -un) to the group docker, which may do what root may")
  note "about to:" "${plan[@]/#/  - }"
  confirm "Go ahead?" || die "no engine, and nothing was changed" "Run again with YES=1, or start an engine yourself."

  [[ -z ${packages[*]} ]] || install_packages "${packages[@]}"
  hash -r
  ! needs_client || install_client
  listening || start
  wait_for_answer
  ((EUID == 0)) || in_group_file || as_root usermod -aG docker "$(id -un)"
}

# A socket that nobody here listens at is dead, or it was mounted from elsewhere, as into a CI job's container. A client tells.
mounted() { [[ -S $socket && -w $socket ]] && ! listening && ! command -v docker >/dev/null; }

# ask_with_client: installs one, and is false when an engine answers it: then there is nothing more to do.
ask_with_client() {
  note "$socket is there, and no docker client to try it with"
  confirm 'Install the docker client?' || die "no client, and nothing was changed" "Run again with YES=1, or install docker-cli yourself."
  install_client
  [[ -z $(engine_client) ]]
}

# Some releases have the client in docker.io, in newer ones it is a package of its own, which docker.io only recommends.
install_client() {
  if known_package docker-cli; then install_packages docker-cli; else install_packages docker.io; fi
  hash -r
}

# There is none at all, or, where an engine listens, none that it understands.
needs_client() { ! command -v docker >/dev/null || { listening && [[ -z $(engine_client) ]]; }; }

in_group_file() { getent group docker | cut -d: -f4 | tr , '\n' | grep -Fxq "$(id -un)"; }

start() {
  say "starting dockerd"
  if [[ -d /run/systemd/system ]]; then
    as_root systemctl start docker
    log='journalctl -u docker'
  # An init script gives up where a container refuses it a ulimit; then, and without one, start it by hand.
  elif [[ $(cat /proc/1/comm) == init && -x /etc/init.d/docker ]] && as_root service docker start >&2; then
    log=/var/log/docker.log
  else
    pid=$(as_root sh -c "setsid dockerd >>$log 2>&1 </dev/null & echo \$!")
  fi
}

# Nobody may have waited for a dead process yet: then it is still listed, without its command.
alive() { grep -q dockerd "/proc/$1/cmdline" 2>/dev/null; }

wait_for_answer() {
  local waited=0
  until listening && as_root "$(command -v docker)" version >/dev/null 2>&1; do
    if ((waited >= deadline)) || { [[ -n $pid ]] && ! alive "$pid"; }; then
      as_root sh -c "case '$log' in /*) tail -n 20 '$log' ;; *) $log -n 20 --no-pager ;; esac" >&2 || true
      die "dockerd does not answer after $waited s" "The lines above are the end of its log ($log)."
    fi
    sleep 1
    waited=$((waited + 1))
    ((waited % 5)) || note "waiting for dockerd, $waited s"
  done
}

# The engine runs, and this process has no access to its socket. A group that was joined a moment ago counts only in a
# new login; sg gives it to the one command.
join_group() {
  if in_group_file && command -v sg >/dev/null; then
    (($# > 0)) || exit 0
    local command
    printf -v command '%q ' "$@"
    exec sg docker -c "exec bash -c $(printf '%q' "$command")"
  fi
  die "an engine runs, but $(id -un) may not use its socket ($socket)" \
    "Either add yourself to its group, which may do what root may, and log in again:" \
    "  sudo usermod -aG $(stat -c %G $socket 2>/dev/null || echo docker) $(id -un)" \
    "or run this with sudo."
}

main "$@"
