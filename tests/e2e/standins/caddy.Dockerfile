# In place of caddy:2 where no registry can be reached: Debian's Caddy in the same places.
FROM python:3.11-slim-bookworm
RUN apt-get update -q && apt-get install -yq --no-install-recommends caddy && rm -rf /var/lib/apt/lists/* && mkdir -p /data /config
ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
