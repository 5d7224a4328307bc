#!/bin/sh
# closure.sh FOLDER: copies both iptables back ends, their extensions, every library that they load and the
# public certificate authorities into FOLDER.
set -eu
out=$1

# The merged /usr of Debian, and the mount points of a container whose root is read-only.
mkdir -p "$out/usr/bin" "$out/usr/sbin" "$out/usr/lib" "$out/usr/lib64" "$out/etc" "$out/tmp" "$out/run" \
  "$out/proc" "$out/sys" "$out/dev" "$out/workspace" "$out/lower" "$out/upper" "$out/merged"
for dir in bin sbin lib lib64; do ln -s "usr/$dir" "$out/$dir"; done
chmod 1777 "$out/tmp"

keep() { cp -a --parents "$1" "$out"; }

# iptables, ip6tables, -save, -restore, -nft and -legacy are names of two programs. The plain names pass through
# /etc/alternatives; here they mean nft.
for program in nft legacy; do keep "/usr/sbin/xtables-$program-multi"; done
for name in iptables ip6tables; do
  for verb in '' -save -restore; do
    for program in nft legacy; do ln -s "xtables-$program-multi" "$out/usr/sbin/$name-$program$verb"; done
    ln -s xtables-nft-multi "$out/usr/sbin/$name$verb"
  done
done

# All extensions, not only those of our own rules: reading rules back must also understand the engine's.
extensions=$(echo /usr/lib/*/xtables)
keep "$extensions"
keep /etc/protocols # names after -p
keep /etc/ssl/certs/ca-certificates.crt # whom the gateway trusts when it calls a model; Debian's own, not those of the build

for file in /usr/sbin/xtables-*-multi "$extensions"/*.so; do ldd "$file"; done |
  sed -n 's/^[^/]*\(\/[^ ]*\) .*/\1/p' | sort -u |
  while read -r library; do
    # The name that the loader asks for may be a link; the path to it may pass through /lib.
    real=$(realpath "$library")
    keep "$real"
    name=$(realpath "$(dirname "$library")")/$(basename "$library")
    [ "$name" = "$real" ] || keep "$name"
  done
