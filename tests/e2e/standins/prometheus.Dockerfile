# In place of prom/prometheus where no registry can be reached: Debian's Prometheus, its user and folder.
FROM python:3.11-slim-bookworm
RUN apt-get update -q && apt-get install -yq --no-install-recommends prometheus && rm -rf /var/lib/apt/lists/* && mkdir -p /prometheus && chown nobody /prometheus
USER nobody
ENTRYPOINT ["prometheus"]
