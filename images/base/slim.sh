#!/bin/sh
# Removes what the build needed, and what was unpacked before slim.cfg was there.
set -eu
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/cache/ldconfig/* /var/log/* \
  /usr/share/man/* /usr/share/info/* /usr/share/locale/* /usr/share/lintian/*
find /usr/share/doc -mindepth 1 ! -type d ! -name copyright -delete
find /usr/share/doc -mindepth 1 -type d -empty -delete
# Compiled by a root who is never here again, and stale as soon as somebody upgrades.
find /usr -name __pycache__ -type d -prune -exec rm -rf {} +
rm -f /etc/apt/apt.conf.d/99build /etc/apt/build-ca.crt /etc/machine-id /slim.sh
