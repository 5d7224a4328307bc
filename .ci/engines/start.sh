#!/bin/sh
# start.sh NAME: becomes the engine of that name, which listens at /engine/docker.sock.
set -eu
socket=unix:///engine/docker.sock

# crun refuses a machine that has both versions of cgroups.
if [ -d /sys/fs/cgroup/unified ]; then umount /sys/fs/cgroup/unified; fi

# as_user COMMAND…: an ordinary user with what rootless engines need of the machine.
as_user() {
  chmod 666 /dev/net/tun
  mkdir -p /run/user/1000
  chown engine /engine /run/user/1000
  chown -R engine /home/engine
  mount --make-rshared /
  exec setpriv --reuid 1000 --regid 1000 --init-groups \
    env HOME=/home/engine XDG_RUNTIME_DIR=/run/user/1000 PATH="$PATH:/usr/sbin:/usr/share/docker.io/contrib" "$@"
}

case $1 in
docker) exec dockerd -H "$socket" --log-level warn ;;
docker-legacy)
  for name in iptables ip6tables; do update-alternatives --set $name /usr/sbin/$name-legacy; done
  exec dockerd -H "$socket" --log-level warn
  ;;
docker-userns) exec dockerd --userns-remap=default -H "$socket" --log-level warn ;;
docker-rootless) as_user dockerd-rootless.sh -H "$socket" ;;
podman) exec podman system service -t 0 "$socket" ;;
podman-rootless) as_user podman system service -t 0 "$socket" ;;
esac
