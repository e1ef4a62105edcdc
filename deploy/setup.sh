#!/bin/sh
# Makes the passwords and folders that docker-compose.yml mounts, where they are missing. Compose's
# service `setup` runs it; run it by hand to see or change them before the first start.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets/database secrets/grafana config models
for secret in database/password grafana/database_password grafana/admin_password; do
  if [ ! -s "secrets/$secret" ]; then
    head -c 24 /dev/urandom | base64 | tr -d '/+=\n' > "secrets/$secret"
    echo "made secrets/$secret"
  fi
done
if [ ! -e config/posewire.toml ]; then
  echo "# See docs/configuration.md. Without sources and cameras the sample clip is played." > config/posewire.toml
fi
# The services, users of their own in their containers, read what is mounted there; nobody else here.
chmod 700 secrets
chmod 755 secrets/*
chmod 644 secrets/*/*
if [ "$(id -u)" = 0 ]; then
  # Docker makes the folders it mounts as root; whoever owns this folder has to be able to edit.
  chown -R "$(stat -c %u:%g .)" secrets config models
fi
