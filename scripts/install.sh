#!/usr/bin/env bash
# Installs, upgrades and removes bitlane on Debian and Raspberry Pi OS. `install.sh --help` tells how.
set -euo pipefail

usage() {
  cat <<'EOF'
Usage: install.sh [--tarball FILE] [--root DIR] [--dry-run]
       install.sh --pack FILE
       install.sh --remove | --purge

Installs bitlane, or upgrades it: settings (/etc/bitlane) and state (/var/lib/bitlane) are kept, and when the new
release does not become ready the one before is put back.

  --tarball FILE  install a release made by --pack (no network, no compiler needed) instead of this folder
  --pack FILE     build a release for this kind of machine and write it to FILE; installs nothing
  --remove        stop and remove bitlane; settings and state stay
  --purge         remove settings, state and the user as well
  --root DIR      lay the files below DIR and start nothing
  --dry-run       say what would be done
EOF
}

source_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mode=install root='' dry=no tarball=''
while [ $# -gt 0 ]; do
  case $1 in
    --tarball | --pack | --root)
      [ $# -ge 2 ] || { echo "install.sh: $1 needs a value" >&2; exit 2; }
      case $1 in
        --tarball) tarball=$2 ;;
        --pack) mode=pack tarball=$2 ;;
        --root) root=${2%/} ;;
      esac
      shift ;;
    --remove) mode=remove ;;
    --purge) mode=purge ;;
    --dry-run) dry=yes ;;
    -h | --help) usage; exit 0 ;;
    *) echo "install.sh: unknown option $1 (--help lists them)" >&2; exit 2 ;;
  esac
  shift
done

if [ "$mode" = install ] && [ -n "$tarball" ] && [ ! -f "$tarball" ]; then
  echo "install.sh: $tarball does not exist: --tarball takes a release made by --pack" >&2
  exit 2
fi

say() { printf '%s\n' "$*"; }
die() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
run() {
  if [ "$dry" = yes ]; then say "would run: $*"; else "$@"; fi
}

opt=$root/opt/bitlane
units=$root/etc/systemd/system
# Services, users and devices are touched only on the machine itself.
live() { [ -z "$root" ] && [ -d /run/systemd/system ]; }

check_machine() {
  case $(uname -m) in
    x86_64) arch=x64 ;;
    aarch64) arch=arm64 ;;
    *) die "bitlane needs a 64-bit system (x86_64 or aarch64); this is $(uname -m)." ;;
  esac
  node=$(command -v node) || die "Node is missing. Install Node 20.19 or newer (docs/installing.md says how), then run this again."
  node=$(readlink -f "$node")
  "$node" -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
    die "Node $("$node" --version) is too old: bitlane needs 20.19 or newer (docs/installing.md says how to get it)."
  if [ -z "$root" ]; then
    case $node in
      /home/* | /root/*) die "Node lies in $node, where a service cannot read it. Install Node for the whole system." ;;
    esac
  fi
}

# Everything a release holds goes to $1, built and with its packages.
assemble() {
  export ONNXRUNTIME_NODE_INSTALL=skip
  (cd "$source_folder" && tar -c --exclude=./node_modules --exclude=./.git --exclude=./dist --exclude=./state \
    --exclude=./.work --exclude=./.tap .) | tar -x -C "$1"
  (cd "$1" && npm ci --no-audit --no-fund && npm run build && npm prune --omit=dev --no-audit --no-fund && rm -rf dist/test)
  # Only this machine's inference library is of use here; the others are some 250 MB.
  find "$1/node_modules/onnxruntime-node/bin" -mindepth 3 -maxdepth 3 -type d ! -path "*/linux/$arch" -exec rm -rf {} +
  printf '%s %s\n' "$arch" "$("$node" -p process.versions.modules)" >"$1/RELEASE"
}

unpack() {
  tar -xzf "$tarball" -C "$1" --no-same-owner || die "$tarball is not a release, or it is damaged."
  if [ ! -f "$1/RELEASE" ] || [ ! -f "$1/dist/src/cli/main.js" ]; then die "$tarball is not a release made by --pack."; fi
  [ "$(cat "$1/RELEASE")" = "$arch $("$node" -p process.versions.modules)" ] ||
    die "$tarball was made for another kind of machine or another Node ($(cat "$1/RELEASE"))."
}

point_to() {
  ln -sfn "$1" "$opt/.current.new"
  mv -T "$opt/.current.new" "$opt/current"
}

lay_files() {
  local release=$1
  install -d -m 0755 "$units" "$root/etc/bitlane" "$root/usr/local/bin" "$root/usr/lib/sysusers.d" \
    "$root/usr/lib/tmpfiles.d" "$root/etc/udev/rules.d"
  install -d -m 0700 "$root/etc/bitlane/credentials"
  sed "s|^ExecStart=/usr/bin/node |ExecStart=$node |" "$release/systemd/bitlane.service" >"$units/.bitlane.service.new"
  chmod 0644 "$units/.bitlane.service.new"
  mv "$units/.bitlane.service.new" "$units/bitlane.service"
  if [ "$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')" -ge 254 ] 2>/dev/null; then
    install -D -m 0644 "$release/systemd/bitlane.service.d/restart.conf" "$units/bitlane.service.d/restart.conf"
  fi
  install -m 0644 "$release/systemd/sysusers.conf" "$root/usr/lib/sysusers.d/bitlane.conf"
  install -m 0644 "$release/systemd/tmpfiles.conf" "$root/usr/lib/tmpfiles.d/bitlane.conf"
  install -m 0644 "$release/systemd/60-bitlane.rules" "$root/etc/udev/rules.d/60-bitlane.rules"
  # Settings are the owner's: laid down once, never replaced.
  [ -e "$root/etc/bitlane/bitlane.yaml" ] || install -m 0644 "$release/systemd/bitlane.yaml" "$root/etc/bitlane/bitlane.yaml"
  printf '#!/bin/sh\nexec %s /opt/bitlane/current/dist/src/cli/main.js "$@"\n' "$node" >"$root/usr/local/bin/bitlane"
  chmod 0755 "$root/usr/local/bin/bitlane"
  if live; then
    systemd-sysusers bitlane.conf
    systemd-tmpfiles --create bitlane.conf
    udevadm control --reload-rules || true
    udevadm trigger --subsystem-match=video4linux --subsystem-match=media || true
    systemctl daemon-reload
  fi
}

# A newer release may have changed the store's schema, which the one before refuses: the file it kept goes back.
# $1: a file made before the newer release ran.
take_store_back() {
  local copy
  copy=$(find "$root/var/lib/bitlane" -maxdepth 1 -name 'bitlane.db.schema-[0-9]*' -newer "$1" 2>/dev/null | head -n 1)
  [ -n "$copy" ] || return 0
  rm -f "$root/var/lib/bitlane/bitlane.db-wal" "$root/var/lib/bitlane/bitlane.db-shm"
  mv "$copy" "$root/var/lib/bitlane/bitlane.db"
}

do_install() {
  check_machine
  if [ "$dry" = yes ]; then
    say "would install ${tarball:-$source_folder} with $node below $opt/releases, settings in $root/etc/bitlane"
    return
  fi
  [ -n "$root" ] || [ "$(id -u)" = 0 ] || die 'installing needs root: sudo bash scripts/install.sh'
  install -d -m 0755 "$opt/releases"
  staging=$(mktemp -d "$opt/releases/.new.XXXXXX")
  trap 'rm -rf "$staging"' EXIT
  chmod 0755 "$staging"
  if [ -n "$tarball" ]; then unpack "$staging"; else assemble "$staging"; fi
  version=$("$node" -p 'JSON.parse(require("fs").readFileSync(process.argv[1], "utf8")).version' "$staging/package.json")
  previous=$(readlink "$opt/current" 2>/dev/null || true)
  # One folder for each installation: the running release is never written to, even when the version is the same.
  release=releases/$version-$(date -u +%Y%m%d%H%M%S)
  while [ -e "$opt/$release" ]; do release=$release+; done
  mv -T "$staging" "$opt/$release"
  sync -f "$opt/$release"
  lay_files "$opt/$release"
  point_to "$release"
  if live; then
    systemctl enable bitlane.service
    touch "$opt/.before"
    if ! systemctl restart bitlane.service; then
      if [ -n "$previous" ] && [ -d "$opt/$previous" ]; then
        systemctl stop bitlane.service || true
        take_store_back "$opt/.before"
        point_to "$previous"
        lay_files "$opt/$previous"
        systemctl restart bitlane.service || true
        rm -rf "${opt:?}/$release"
        die "bitlane $version did not become ready; the release before (${previous##*/}) is back. journalctl -u bitlane tells why."
      fi
      say "bitlane is installed but not ready yet: edit /etc/bitlane/bitlane.yaml, see 'bitlane doctor --config" \
        "/etc/bitlane/bitlane.yaml', then: systemctl restart bitlane"
    fi
  fi
  rm -f "$opt/.before"
  # The new release and the one before are kept.
  for folder in "$opt"/releases/* "$opt"/releases/.new.*; do
    case $folder in
      "$opt/$release" | "$opt/$previous" | "$opt/releases/*" | "$opt/releases/.new.*") ;;
      *) rm -rf "$folder" ;;
    esac
  done
  say "bitlane $version is installed in $opt/$release"
}

do_pack() {
  check_machine
  # Not local: the trap runs when this function is over.
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  assemble "$folder"
  tar -czf "$tarball.part" -C "$folder" . && mv "$tarball.part" "$tarball"
  say "$tarball holds a release for $(cat "$folder/RELEASE")"
}

do_remove() {
  [ -n "$root" ] || [ "$dry" = yes ] || [ "$(id -u)" = 0 ] || die 'removing needs root'
  if live; then run systemctl disable --now bitlane.service || true; fi
  run rm -rf "$units/bitlane.service" "$units/bitlane.service.d/restart.conf" "$root/usr/local/bin/bitlane" \
    "$root/usr/lib/sysusers.d/bitlane.conf" "$root/usr/lib/tmpfiles.d/bitlane.conf" \
    "$root/etc/udev/rules.d/60-bitlane.rules" "${opt:?}"
  if live; then run systemctl daemon-reload; fi
  if [ "$mode" = purge ]; then
    run rm -rf "$root/etc/bitlane" "$root/var/lib/bitlane" "$units/bitlane.service.d"
    if [ -z "$root" ] && id bitlane >/dev/null 2>&1; then run userdel bitlane; fi
  fi
  if [ "$dry" = no ]; then say 'bitlane is removed'; fi
}

case $mode in
  install) do_install ;;
  pack) do_pack ;;
  remove | purge) do_remove ;;
esac
