#!/bin/bash
# Installs Posewire as systemd services on Raspberry Pi OS (64-bit) or Debian: bookworm, trixie.
# Run it again to upgrade or to repair: it changes only what differs. See docs/deploy-pi.md.
set -euo pipefail
from=$PWD
cd "$(dirname "$0")"

usage() {
  cat <<'TEXT'
usage: sudo deploy/pi/install.sh [options]
  --cameras A,B     a capture process of its own for each of these cameras of posewire.toml;
                    "all" (at first): one for all of them
  --devices A,B     an inference process for each device: CPU (at first), GPU, NPU, MYRIAD
  --package WHAT    a wheel, or what pip calls it (posewire==0.1.0), instead of this checkout
  --no-start        install and enable, start nothing (for images)
  --uninstall       remove everything of Posewire: services, user, database, configuration
  --keep-data       with --uninstall: keep the database and /etc/posewire
TEXT
}

readonly OPT=/opt/posewire ETC=/etc/posewire UNITS=/etc/systemd/system COMMAND=/usr/local/bin/posewire
readonly VENV=$OPT/venv ADDED=$ETC/packages-added
cameras='' devices='' package='' start=yes action=install keep_data=no

say() { echo "posewire: $*"; }
die() { echo "posewire: $*" >&2; exit 1; }
booted() { [ -d /run/systemd/system ]; }
installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# ---- Debian's packages

need() { # adds the first of the packages that there is, unless one of them is installed
  local name
  for name in "$@"; do if installed "$name"; then return; fi; done
  [ -n "${apt_updated-}" ] || { say "apt-get update"; apt-get -qq update; apt_updated=yes; }
  for name in "$@"; do
    [ -n "$(apt-cache madison "$name" 2>/dev/null)" ] || continue
    say "apt-get install $name"
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "$name" >/dev/null
    install -d -m 755 $ETC
    echo "$name" >> $ADDED
    # Its own instance would only take port 6379 and memory: ours is posewire-bus.service.
    case $name in
      redis-server | valkey-server) systemctl --quiet disable "$name.service" 2>/dev/null || true
        if booted; then systemctl stop "$name.service"; fi ;;
    esac
    return
  done
  die "none of $* can be installed: is this Raspberry Pi OS or Debian, bookworm or later?"
}

add_packages() {
  need python3; need python3-venv; need ca-certificates
  need valkey-server redis-server
  need postgresql
  # For sources like picamera:0; only Raspberry Pi OS has it.
  if [ -n "$(apt-cache madison rpicam-apps-lite 2>/dev/null)" ]; then need rpicam-apps-lite rpicam-apps; fi
}

# ---- user, files

ours() { # whether a user called posewire is one that this script makes
  [ "$(id -u posewire)" -lt 1000 ]
}

add_user() {
  if id posewire >/dev/null 2>&1; then
    ours || die "there is a user posewire who is not a service's: nothing was done"
  else
    say "adding the user posewire"
    useradd --system --user-group --home-dir /var/lib/posewire --no-create-home \
      --shell /usr/sbin/nologin --comment Posewire posewire
  fi
  local group
  for group in video render plugdev; do # cameras, GPUs, sticks
    if getent group $group >/dev/null && ! id -nG posewire | tr ' ' '\n' | grep -qx $group; then
      say "adding posewire to the group $group"
      usermod -aG $group posewire
    fi
  done
  install -d -o posewire -g posewire -m 750 /var/lib/posewire /var/cache/posewire
}

put() { # SOURCE TARGET MODE: copies what differs
  if cmp -s "$1" "$2" && [ "$(stat -c %a "$2")" = "$3" ]; then return; fi
  say "writing $2"
  install -D -m "$3" "$1" "$2"
}

add_files() {
  local file server
  put libexec/backoff $OPT/libexec/backoff 755
  if [ -e $COMMAND ] && ! grep -q 'Posewire.s install.sh' $COMMAND; then
    say "$COMMAND is somebody else's and stays; ours is $VENV/bin/posewire"
  else
    put libexec/posewire $COMMAND 755
  fi
  server=$(command -v valkey-server || command -v redis-server)
  if [ "$(readlink $OPT/libexec/bus-server)" != "$server" ]; then
    say "the bus is $server"
    ln -sfn "$server" $OPT/libexec/bus-server
  fi
  while read -r file; do put "systemd/$file" "$UNITS/$file" 644
  done < <(cd systemd && find . -type f -printf '%P\n' | sort)
}

# ---- the Python environment

fingerprint() { # of what goes into the environment
  python3 --version
  cat ../requirements/pi.txt
  if [ -n "$package" ]; then
    echo "$package"
    if [ -f "$package" ]; then cat "$package"; fi
  else
    (cd ../.. && find services shared src pyproject.toml -type f -not -path '*/__pycache__/*' -print0 \
      | sort -z | xargs -0 sha256sum)
  fi
}

add_environment() {
  local print source pip
  print=$(fingerprint | sha256sum)
  if [ "$(cat $VENV/.fingerprint 2>/dev/null)" = "$print" ]; then return; fi
  if [ "$(cat $VENV/.python 2>/dev/null)" != "$(python3 --version)" ]; then
    say "making the Python environment $VENV"
    rm -rf $VENV
    python3 -m venv $VENV
    python3 --version > $VENV/.python
  fi
  rm -f $VENV/.fingerprint
  pip=("$VENV/bin/python" -m pip --quiet --disable-pip-version-check --no-cache-dir)
  say "installing packages, pinned with their checksums (some 250 MB)"
  # Wheels of another index, such as the one in Raspberry Pi OS's pip.conf, have other checksums and
  # are passed over.
  "${pip[@]}" install --only-binary :all: --require-hashes -r ../requirements/pi.txt
  source=${package:-$(realpath ../..)}
  say "installing $source"
  "${pip[@]}" install --no-deps --force-reinstall "$source"
  echo "$print" > $VENV/.fingerprint
}

# ---- database and configuration

as_postgres() { (cd / && runuser -u postgres -- "$@"); }
sql() { as_postgres psql -X -q -t -A -v ON_ERROR_STOP=1 -p "$port" -d "${2:-postgres}" -c "$1"; }

find_database() { # sets port: the first cluster's, 5432 unless there are several
  port=$(pg_lsclusters -h 2>/dev/null | awk '{print $3}' | sort -n | head -1)
  [ -n "$port" ]
}

start_database() {
  if as_postgres pg_isready -q -p "$port"; then return; fi
  if booted; then systemctl start postgresql.service
  else service postgresql start >/dev/null; fi # an image that is being built
  local turn
  for turn in $(seq 60); do
    if as_postgres pg_isready -q -p "$port"; then return; fi
    sleep 0.5
  done
  die "Postgres does not answer on port $port after $((turn / 2)) s: see journalctl -u 'postgresql@*'"
}

add_database() {
  find_database \
    || die "Postgres has no cluster: pg_createcluster VERSION main, then run this again"
  start_database
  # No password: the socket tells Postgres which user asks ("peer", as Debian has it).
  if [ -z "$(sql "SELECT 1 FROM pg_roles WHERE rolname = 'posewire'")" ]; then
    say "adding the database role posewire"
    sql 'CREATE ROLE posewire LOGIN'
  fi
  if [ -z "$(sql "SELECT 1 FROM pg_database WHERE datname = 'posewire'")" ]; then
    say "adding the database posewire"
    sql "CREATE DATABASE posewire OWNER posewire ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0"
  fi
  (cd / && runuser -u posewire -- psql -X -q -p "$port" -d posewire -c '' ) \
    || die "the user posewire cannot reach the database posewire through the socket: is the line
'local all all peer' missing in pg_hba.conf? Add 'local posewire posewire peer' before the others"
}

add_configuration() {
  if [ ! -e $ETC/posewire.toml ]; then
    say "writing $ETC/posewire.toml"
    local url='postgresql://posewire@/posewire?host=/run/postgresql' text
    if [ "$port" != 5432 ]; then url+="\\&port=$port"; fi
    text=$(sed "s|@DATABASE@|$url|" posewire.toml)
    install -D -m 640 /dev/stdin $ETC/posewire.toml <<< "$text"
  fi
  # Cameras' passwords may be in it.
  chown root:posewire $ETC/posewire.toml
}

# ---- services

enabled() { # TEMPLATE: its instances
  local link
  for link in "$UNITS/posewire.target.wants/$1"@*.service; do
    if [ -L "$link" ]; then basename "${link#*@}" .service; fi
  done | sort
}

set_instances() { # TEMPLATE WANTED DEFAULT
  local have want one
  have=$(enabled "$1")
  want=$(tr , '\n' <<< "${2:-${have:-$3}}" | sed '/^$/d' | sort -u)
  for one in $(comm -23 <(echo "$have") <(echo "$want")); do
    say "disabling $1@$one"
    systemctl --quiet disable "$1@$one.service"
    if booted; then
      systemctl stop "$1@$one.service"
      systemctl reset-failed "$1@$one.service" 2>/dev/null || true
    fi
  done
  for one in $(comm -13 <(echo "$have") <(echo "$want")); do
    say "enabling $1@$one"
    systemctl --quiet enable "$1@$one.service"
  done
}

add_services() {
  if booted; then systemctl daemon-reload; fi
  set_instances posewire-capture "$cameras" all
  set_instances posewire-inference "$devices" CPU
  if ! systemctl --quiet is-enabled posewire.target 2>/dev/null; then
    systemctl --quiet enable posewire.target
  fi
}

restart_changed() { # the services that are older than what they are made of
  local unit template since parts part
  for unit in $(systemctl list-units --plain --no-legend --state=active 'posewire-*.service' | cut -d' ' -f1); do
    template=${unit/@*/@.service}
    since=$(systemctl show -p ActiveEnterTimestamp --value --timestamp=unix "$unit")
    parts=("$UNITS/$template" "$UNITS/posewire-.service.d/10-common.conf" "$ETC/${unit%.service}.env")
    if [ "$unit" = posewire-bus.service ]; then parts+=("$OPT/libexec/bus-server")
    else parts+=("$VENV/.fingerprint" "$ETC/posewire.toml" "$ETC/posewire.env"); fi
    for part in "${parts[@]}"; do
      if [ -e "$part" ] && [ "$(stat -c %Y "$part")" -gt "${since#@}" ]; then
        say "restarting $unit: $part is newer"
        systemctl restart "$unit"
        break
      fi
    done
  done
}

start_services() {
  say "looking for the models"
  /bin/sh libexec/posewire models pull >/dev/null \
    || say "models cannot be had now: inference goes on trying"
  restart_changed
  say "starting; this waits until every service is ready"
  systemctl start posewire.target
  # What failed to start shows here; the target itself starts anyway.
  local unit bad=0
  for unit in $(systemctl show -p Wants --value posewire.target); do
    if ! systemctl --quiet is-active "$unit"; then
      say "$unit is not up (yet): systemctl status $unit"
      bad=1
    fi
  done
  [ $bad = 0 ] || return 1
}

# ---- the other way

uninstall() {
  local added=''
  if [ -s $ADDED ]; then added=$(sort -u $ADDED | tr '\n' ' '); fi
  say "stopping and removing services"
  if booted; then
    systemctl stop posewire.target 'posewire-*' 'system-posewire*.slice' 2>/dev/null || true
    systemctl --quiet disable posewire.target 2>/dev/null || true
  fi
  rm -rf $UNITS/posewire.target $UNITS/posewire.target.* $UNITS/posewire-* \
    $UNITS/multi-user.target.wants/posewire.target
  if booted; then systemctl daemon-reload; systemctl reset-failed 'posewire*' 2>/dev/null || true; fi
  rm -rf /run/posewire-* /var/cache/posewire
  if [ -e $COMMAND ] && grep -q 'Posewire.s install.sh' $COMMAND; then rm $COMMAND; fi
  if [ $keep_data = yes ]; then
    say "kept: $ETC, and the database posewire"
  else
    if find_database; then remove_database; fi
    rm -rf $ETC
  fi
  rm -rf /var/lib/posewire
  if id posewire >/dev/null 2>&1 && ours; then say "removing the user posewire"; userdel posewire; fi
  if getent group posewire >/dev/null; then groupdel posewire; fi
  rm -rf $OPT
  if [ -n "$added" ]; then
    say "Debian's packages that came with it stay; to remove them: apt-get autoremove --purge $added"
  fi
  say "Posewire is gone"
}

remove_database() {
  start_database
  local owner
  owner=$(sql "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'posewire'")
  if [ "$owner" = posewire ]; then
    say "removing the database posewire"
    sql 'DROP DATABASE posewire WITH (FORCE)'
  elif [ -n "$owner" ]; then
    say "the database posewire belongs to $owner and stays"
    return
  fi
  if [ -n "$(sql "SELECT 1 FROM pg_roles WHERE rolname = 'posewire'")" ]; then
    say "removing the database role posewire"
    sql 'DROP ROLE posewire' || say "the role posewire owns something else and stays"
  fi
}

# ---- what is asked for

while [ $# -gt 0 ]; do
  case $1 in
    --cameras | --devices | --package)
      [ $# -gt 1 ] || die "$1 needs a value; see --help"
      case $1 in --cameras) cameras=$2 ;; --devices) devices=${2^^} ;; --package) package=$2 ;; esac
      shift ;;
    --no-start) start=no ;;
    --uninstall) action=uninstall ;;
    --keep-data) keep_data=yes ;;
    -h | --help) usage; exit ;;
    *) usage >&2; die "unknown option $1" ;;
  esac
  shift
done
for one in ${cameras//,/ }; do
  [[ $one =~ ^[a-z0-9][a-z0-9_-]*$ ]] || die "--cameras: $one is no name of a camera (a-z, 0-9, _, -)"
done
for one in ${devices//,/ }; do
  [[ $one =~ ^(AUTO|CPU|GPU|NPU|MYRIAD)$ ]] || die "--devices: $one is none of CPU, GPU, NPU, MYRIAD"
done
[ "$(id -u)" = 0 ] || die "this needs root: sudo $0"
command -v apt-get >/dev/null || die "this is for Raspberry Pi OS and Debian: there is no apt-get"

if [ $action = uninstall ]; then uninstall; exit; fi
[ "$(dpkg --print-architecture)" != armhf ] || die "a 64-bit system is needed: there is no OpenVINO for armhf"
if [ -n "$package" ] && [ -f "$(cd "$from" && realpath "$package")" ]; then
  package=$(cd "$from" && realpath "$package")
fi
add_packages
add_user
add_files
add_environment
add_database
add_configuration
add_services
if [ $start = no ]; then say "installed; it starts at the next boot, or: systemctl start posewire.target"; exit; fi
booted || die "systemd does not run here, so nothing can be started: use --no-start"
start_services
say "the page: http://localhost:8000 (api.port), from elsewhere: ssh -L 8000:localhost:8000 $(hostname)"
say "configuration: $ETC/posewire.toml; logs: journalctl -u 'posewire-*'; checks: sudo posewire doctor"
