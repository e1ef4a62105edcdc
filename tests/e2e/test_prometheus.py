"""A real Prometheus scrapes the running services; dashboards and rules ask it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from posewire.launcher.embedded import EmbeddedPostgres, EmbeddedValkey
from tests.e2e.system import POSEWIRE, ROOT
from tests.e2e.test_page_system import free_port
from tests.integration.tracker.test_integrations import SECRET, Receiver

FOLDER = ROOT / "deploy" / "prometheus"
SERVICES = ("capture", "inference", "tracker", "api")
BUSY = ("PosewireLatencyHigh", "PosewireFramesSkipped", "PosewireBacklog")
"""Alerts that a busy machine may well cause while the tests run."""
_METRIC = re.compile(r"\b((?:posewire|process)_[a-z_]+)\b")


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} (apt-get install prometheus)")
    return found


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_rules_are_valid_and_fire_when_they_should() -> None:
    promtool = tool("promtool")
    assert "SUCCESS" in run(promtool, "check", "rules", "rules.yml")
    assert "SUCCESS" in run(promtool, "test", "rules", "rules.test.yml")


def test_every_alert_has_a_test_of_firing_and_of_peace() -> None:
    rules = yaml.safe_load((FOLDER / "rules.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    tests = yaml.safe_load((FOLDER / "rules.test.yml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == alerts
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == alerts


def expressions() -> dict[str, str]:
    """Return every PromQL expression of dashboards, rules and scaling, by where it stands."""
    found = {}
    for path in (ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", []):
                if "expr" in target:
                    found[f"{path.stem}: {panel['title']} {target['refId']}"] = target["expr"]
    rules = yaml.safe_load((FOLDER / "rules.yml").read_text())
    for group in rules["groups"]:
        found |= {f"rule {rule['alert']}": rule["expr"] for rule in group["rules"]}
    keda = ROOT / "deploy" / "k8s" / "components" / "keda" / "scaledobject.yaml"
    for trigger in yaml.safe_load(keda.read_text())["spec"]["triggers"]:
        if trigger["type"] == "prometheus":
            found["KEDA"] = trigger["metadata"]["query"]
    return found


class Prometheus:
    """Prometheus with deploy/prometheus' own files, services on their ports here."""

    def __init__(self, folder: Path, ports: dict[str, int]) -> None:
        self.base = f"http://127.0.0.1:{free_port()}"
        config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
        config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(FOLDER / "rules.yml")]
        for job in config["scrape_configs"]:
            service = job["job_name"].removeprefix("posewire-")
            (names,) = job.pop("dns_sd_configs")
            assert names["names"] == [service], "the container of this name"
            job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[service]}"]}]
        path = folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(config))
        run(tool("promtool"), "check", "config", str(path))
        self._log = (folder / "prometheus.log").open("wb")
        self.process = subprocess.Popen(
            [
                tool("prometheus"), f"--config.file={path}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={self.base.removeprefix('http://')}",
            ],
            stdout=self._log, stderr=self._log,
        )  # fmt: skip

    def get(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.base}/api/v1/{path}?{query}", timeout=10) as answer:
            return json.load(answer)["data"]

    def ask(self, expr: str) -> list[Any]:
        return list(self.get("query", query=expr)["result"])

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        self._log.close()


@pytest.fixture
async def services(
    tmp_path: Path, models_environment: dict[str, str]
) -> AsyncIterator[tuple[dict[str, int], EmbeddedPostgres]]:
    """The four services as containers and systemd start them, on the demo's clip."""
    tool("prometheus")
    valkey = EmbeddedValkey(tmp_path / "valkey")
    postgres = EmbeddedPostgres(tmp_path / "postgres")
    await valkey.start()
    await postgres.start()
    ports = {service: free_port() for service in SERVICES}
    receiver = Receiver()
    config = tmp_path / "posewire.toml"
    config.write_text(
        f"[integrations.webhooks.shop]\nurl = {json.dumps(receiver.url)}\n"
        f"secret = {json.dumps(SECRET)}\n"
    )
    running = []
    for service in SERVICES:
        environment = os.environ | models_environment | {
            "POSEWIRE_BUS__URL": valkey.url,
            "POSEWIRE_DATABASE__URL": postgres.url,
            "POSEWIRE_DATA_DIR": str(tmp_path / "data"),
            "POSEWIRE_API__PORT": str(ports["api"]),
            "POSEWIRE_TELEMETRY__METRICS_PORT": str(ports[service]),
            "POSEWIRE_CONFIG": str(config),
        }  # fmt: skip
        with (tmp_path / f"{service}.log").open("wb") as log:
            command = [*POSEWIRE, "run", service]
            process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, cwd=tmp_path
            )
            running.append(process)
    yield ports, postgres
    for process in running:
        process.terminate()
    for process in running:
        process.wait(15)
    receiver.close()
    await valkey.stop()
    await postgres.stop()


@pytest.fixture
def prometheus(
    tmp_path: Path, services: tuple[dict[str, int], EmbeddedPostgres]
) -> Iterator[Prometheus]:
    server = Prometheus(tmp_path, services[0])
    yield server
    server.close()


async def until(prometheus: Prometheus, expr: str, seconds: float, tmp_path: Path) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if prometheus.ask(expr):
                return
        except OSError:
            pass
        await asyncio.sleep(0.5)
    logs = "\n".join(log.read_text()[-1500:] for log in tmp_path.glob("*.log"))
    pytest.fail(f"never true within {seconds} s: {expr}\n{logs}")


@pytest.mark.slow
async def test_every_metric_named_exists_and_every_question_is_answered(
    prometheus: Prometheus,
    services: tuple[dict[str, int], EmbeddedPostgres],
    tmp_path: Path,
) -> None:
    await until(prometheus, "sum(posewire_events_total) > 3", 90, tmp_path)
    await until(prometheus, 'rate(posewire_latency_seconds_count{camera="main"}[10s]) > 0', 30,
                tmp_path)  # fmt: skip
    await asyncio.sleep(3)
    known = set(prometheus.get("label/__name__/values"))
    for where, expr in expressions().items():
        asked = expr.replace("$camera", ".*").replace("$__rate_interval", "10s")
        assert "$" not in asked, (where, asked)
        named = set(_METRIC.findall(asked))
        assert named <= known, f"{where}: {named - known} do not exist"
        answer = prometheus.ask(asked)
        if where.removeprefix("rule ") in BUSY:
            continue
        if where.startswith("rule "):
            assert not answer, f"{where} would fire while all is well: {answer}"
        else:
            assert answer, f"{where}: no answer to {asked}"
    (door,) = prometheus.ask("max by (camera) (posewire_stream_entries{stream='frames'}) > 0")
    assert door["metric"]["camera"] == "main"
    health = [r["health"] for group in prometheus.get("rules")["groups"] for r in group["rules"]]
    assert set(health) == {"ok"}

    # What is wrong is seen: the database goes, and is told of.
    await services[1].stop()
    await until(prometheus, "max(posewire_database_up) == 0", 30, tmp_path)
    await until(prometheus, 'ALERTS{alertname="PosewireDatabaseDown"}', 30, tmp_path)
