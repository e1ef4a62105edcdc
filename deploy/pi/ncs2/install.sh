#!/bin/bash
# Adds the Neural Compute Stick 2 to Posewire on a Raspberry Pi: OpenVINO 2022.3 of Intel's archive with
# a Python environment of its own, a udev rule, and the unit posewire-inference@MYRIAD.
# Run it again to upgrade or to repair. See docs/deploy-ncs2.md.
set -euo pipefail
from=$PWD
cd "$(dirname "$0")"

readonly NAME=l_openvino_toolkit_debian9_2022.3.1.9227.cf2c7da5689_arm64.tgz
readonly URL=https://storage.openvinotoolkit.org/repositories/openvino/packages/2022.3.1/linux/$NAME

usage() {
  cat <<TEXT
usage: sudo deploy/pi/ncs2/install.sh [options]
  --archive FILE    Intel's archive, fetched before; otherwise it is fetched now:
                    $URL
  --sha256 HEX      its checksum, from where you trust; otherwise Intel's .sha256 beside it
  --python PATH     a Python 3.10; otherwise python3.10
  --root DIR        install below DIR, which need not be root's (to try it)
  --uninstall       remove what this script has added
TEXT
}

archive='' sha256='' python=python3.10 root='' action=install
say() { echo "posewire: $*"; }
die() { echo "posewire: $*" >&2; exit 1; }
while [ $# -gt 0 ]; do
  case $1 in
    --archive | --sha256 | --python | --root)
      [ $# -ge 2 ] || die "$1 needs a value"
      declare "${1#--}=$2"; shift 2 ;;
    --uninstall) action=uninstall; shift ;;
    -h | --help) usage; exit ;;
    *) usage >&2; exit 2 ;;
  esac
done
# What was given is relative to where the command was typed.
if [ -n "$archive" ]; then archive=$(cd "$from" && realpath "$archive"); fi
if [ -n "$root" ]; then root=$(cd "$from" && realpath -m "$root"); fi
readonly OPENVINO=$root/opt/posewire/openvino-2022.3 VENV=$root/opt/posewire/ncs2
readonly RULES=$root/etc/udev/rules.d/97-posewire-ncs2.rules
readonly DROP_IN=$root/etc/systemd/system/posewire-inference@MYRIAD.service.d/20-ncs2.conf
[ -n "$root" ] || [ "$(id -u)" = 0 ] || die "it writes to /opt and /etc: run it with sudo"
booted() { [ -z "$root" ] && [ -d /run/systemd/system ]; }

reload() {
  [ -z "$root" ] || return 0
  if command -v udevadm >/dev/null && [ -e /run/udev/control ]; then
    udevadm control --reload-rules
    udevadm trigger --subsystem-match=usb --attr-match=idVendor=03e7
  fi
  if booted; then systemctl daemon-reload; fi
}

uninstall() {
  if booted; then systemctl --quiet disable --now posewire-inference@MYRIAD.service 2>/dev/null || true; fi
  rm -rf "$OPENVINO" "$VENV" "$RULES" "$DROP_IN"
  rmdir --ignore-fail-on-non-empty "$(dirname "$DROP_IN")" 2>/dev/null || true
  reload
  say "the stick's environment is gone"
}

check() { # FILE: its checksum is the one that was given, or Intel's
  local got expected=$sha256
  got=$(sha256sum "$1" | cut -d' ' -f1)
  if [ -z "$expected" ]; then
    # From the same server: it shows a broken transfer, not a server that has been broken into.
    expected=$(curl -fsSL --retry 3 "$URL.sha256" | grep -oiE '^[0-9a-f]{64}' | head -1) || expected=''
    [ -n "$expected" ] || die "the checksum of $1 is $got, and Intel's cannot be had from
$URL.sha256
Compare them yourself, and run this again with --archive and --sha256 $got"
  fi
  [ "$got" = "${expected,,}" ] || die "$1 is not what it should be: expected sha256 $expected, got $got"
  say "sha256 $got: good"
}

unpack() {
  local file=$archive part folder have
  if [ -z "$file" ]; then
    file=$(mktemp -d)/$NAME
    say "fetching $URL"
    curl -fL --retry 3 --progress-bar -o "$file" "$URL"
  fi
  check "$file"
  part=$OPENVINO.part
  rm -rf "$part"
  mkdir -p "$part"
  tar -xzf "$file" -C "$part" --strip-components=1 --no-same-owner
  if [ -z "$archive" ]; then rm -r "$(dirname "$file")"; fi
  have=$(find "$part/python" -maxdepth 1 -name 'python3.*' -printf '%f\n' 2>/dev/null | sort -V | paste -sd' ')
  folder=$part/python/python3.10/openvino
  if ! [ -d "$folder" ]; then
    rm -rf "$part"
    die "this archive has OpenVINO for ${have:-no Python}, and Posewire needs it for python3.10.
docs/deploy-ncs2.md says what can be done"
  fi
  ls "$part"/runtime/lib/*/libopenvino.so* >/dev/null 2>&1 \
    || { rm -rf "$part"; die "this is no archive of OpenVINO: it has no runtime/lib/*/libopenvino.so"; }
  rm -rf "$OPENVINO"
  mv "$part" "$OPENVINO"
}

add_environment() {
  local pip site libraries
  "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 10))' 2>/dev/null \
    || die "$python is no Python 3.10, which OpenVINO 2022.3 needs and this system does not come with.
docs/deploy-ncs2.md says how to get one; then run this again with --python PATH"
  # Neither the services' user nor ProtectHome= lets them in there.
  case $root$("$python" -c 'import os, sys; print(os.path.realpath(sys.base_prefix))')/ in
    /root/* | /home/*) die "$python is below /root or /home, where services may not look.
docs/deploy-ncs2.md says how to put a Python 3.10 elsewhere" ;;
  esac
  rm -rf "$VENV"
  "$python" -m venv "$VENV"
  pip=("$VENV/bin/python" -m pip --quiet --disable-pip-version-check --no-cache-dir)
  say "installing packages, pinned with their checksums"
  "${pip[@]}" install --only-binary :all: --require-hashes -r ../../requirements/ov2022.txt
  "${pip[@]}" install --no-deps "$(realpath ../../..)"
  site=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  echo "$OPENVINO/python/python3.10" > "$site/openvino-2022.3.pth"
  libraries=$(cd "$OPENVINO" && find runtime -name '*.so*' -printf "$OPENVINO/%h\n" | sort -u | paste -sd:)
  cat > "$VENV/posewire" <<TEXT
#!/bin/sh
# The posewire command with OpenVINO 2022.3. From deploy/pi/ncs2/install.sh.
export LD_LIBRARY_PATH="$libraries"
exec "$VENV/bin/posewire" "\$@"
TEXT
  chmod 755 "$VENV/posewire"
}

add_libusb() { # the stick's plugin reaches it by that
  [ -z "$root" ] && ! ldconfig -p | grep -q 'libusb-1\.0\.so\.0' || return 0
  say "apt-get install libusb-1.0-0"
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install libusb-1.0-0 >/dev/null
}

install_all() {
  add_libusb
  unpack
  add_environment
  install -D -m 644 97-posewire-ncs2.rules "$RULES"
  install -D -m 644 "systemd/posewire-inference@MYRIAD.service.d/20-ncs2.conf" "$DROP_IN"
  reload
  say "OpenVINO finds: $(LD_LIBRARY_PATH=$(sed -n 's/^export LD_LIBRARY_PATH="\(.*\)"$/\1/p' "$VENV/posewire") \
    "$VENV/bin/python" -c 'from posewire.inference.engines import devices; print(", ".join(devices()))')"
  say "now: sudo deploy/pi/install.sh --devices MYRIAD"
}

if [ $action = uninstall ]; then uninstall; else install_all; fi
