#!/bin/sh
# Makes the secrets of docker-compose.yml, once; and the folders that it mounts.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets config models
for name in postgres_password grafana_db_password grafana_admin_password; do
  if [ ! -s "secrets/$name" ]; then
    head -c 24 /dev/urandom | base64 | tr -d '/+=\n' > "secrets/$name"
    # The services run as users of their own in the containers, which have to read it.
    chmod 644 "secrets/$name"
    echo "made secrets/$name"
  fi
done
[ -e config/posewire.toml ] || cat > config/posewire.toml <<'TOML'
# See docs/configuration.md. Without sources and cameras the sample clip is played.
TOML
