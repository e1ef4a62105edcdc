#!/bin/sh
# Makes the secrets of docker-compose.yml, once; and the folders that it mounts.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets config models
if [ ! -s secrets/postgres_password ]; then
  head -c 24 /dev/urandom | base64 | tr -d '/+=\n' > secrets/postgres_password
  # The services run as a user of their own in the containers, which has to read it.
  chmod 644 secrets/postgres_password
  echo "made secrets/postgres_password"
fi
[ -e config/posewire.toml ] || cat > config/posewire.toml <<'TOML'
# See docs/configuration.md. Without sources and cameras the sample clip is played.
TOML
