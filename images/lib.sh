# shellcheck shell=bash
# What the set-up scripts share: words for people, consent, root, Debian packages, the engine's client.
# Sourced, not run. Everything for people goes to stderr.

if [[ -t 2 && -z ${NO_COLOR:-} ]]; then
  bold=$'\e[1m' red=$'\e[31m' reset=$'\e[0m'
else
  bold='' red='' reset=''
fi

say() { printf '%s==>%s %s\n' "$bold" "$reset" "$*" >&2; }
note() { printf '    %s\n' "$@" >&2; }
die() {
  printf '%serror:%s %s\n' "$red" "$reset" "$1" >&2
  shift
  (($# == 0)) || note "$@"
  exit 1
}

# confirm QUESTION: true when the machine may be changed. Without a terminal nobody can answer, so a silent yes needs
# YES=1, or CI, where nobody is there to ask and the machine is thrown away.
confirm() {
  [[ ${YES:-} == 1 || ${CI:-} == true ]] && return 0
  [[ -t 0 && -t 2 ]] || return 1
  local answer
  read -r -p "    $1 [y/N] " answer
  [[ $answer == [yY]* ]]
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "this needs root: $*" "Run it again as root, or install sudo."
  fi
}

# install_packages NAME…: from the distribution's own archive, and only what is named. Shows apt's words when it fails.
install_packages() {
  command -v apt-get >/dev/null ||
    die "$* must be installed, and this is not a Debian or Ubuntu machine" "Install it with your own package manager, then try again."
  say "installing $*"
  local log
  log=$(mktemp)
  # A broken third-party source must not stand in the way of the archive's own packages.
  refresh_packages || true
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@" >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    die "apt-get did not install $*" "The lines above are the end of what it said."
  }
  rm -f "$log"
}

# A new machine's lists are empty, an old one's name versions that the archive no longer has. Once is enough.
refresh_packages() {
  [[ -z ${refreshed:-} ]] || return 0
  as_root apt-get update -qq >/dev/null
  refreshed=1
}
known_package() {
  refresh_packages || true
  [[ -n $(apt-cache show "$1" 2>/dev/null) ]]
}

# need PROGRAM[=PACKAGE]…: installs what is missing, after asking once for all of it. A file's path does for a program.
need() {
  local item missing=()
  # Tools of root's, such as debootstrap, are not in everybody's PATH.
  local PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
  for item in "$@"; do
    command -v "${item%%=*}" >/dev/null || [[ -e ${item%%=*} ]] || missing+=("${item#*=}")
  done
  ((${#missing[@]} == 0)) && return
  say "this needs packages that are not installed: ${missing[*]}"
  confirm "Install ${missing[*]}?" ||
    die "not installed: ${missing[*]}" "Run again with YES=1, or: sudo apt-get install ${missing[*]}"
  install_packages "${missing[@]}"
}

# The runner takes DOCKER_HOST or the default socket and knows no contexts; the client must mean the same engine.
if [[ -z ${DOCKER_HOST:-} ]]; then
  unset DOCKER_HOST
  export DOCKER_CONTEXT=default
fi
# A builder in a container would keep the images to itself.
export BUILDX_BUILDER=default

# engine_client: prints the first client that gets an answer. A machine may have several, and one that is too old for
# the engine, first in PATH, must not hide the one that works.
engine_client() {
  local client
  while read -r client; do
    if timeout 20 "$client" version --format '{{.Server.Version}}' >/dev/null 2>&1; then
      printf '%s\n' "$client"
      return
    fi
  done < <(type -ap docker | awk '!seen[$0]++')
  return 1
}

# What this machine's owner trusts is trusted to fetch with: a proxy that opens TLS is usually known here, and never in a container.
own_certificates() {
  local file
  for file in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem; do
    [[ ! -r $file ]] || { realpath "$file" && return; }
  done
}

# How this machine's apt reaches its archive holds for the builds too.
apt_settings() {
  apt-config dump 2>/dev/null | grep -E '^Acquire::(https?::(Proxy|Timeout)|Check-(Valid-Until|Date)|Force|Retries)[^"]* "[^"]' || true
  [[ -z ${CA_FILE:-} ]] || echo 'Acquire::https::CAInfo "/etc/apt/build-ca.crt";'
}
