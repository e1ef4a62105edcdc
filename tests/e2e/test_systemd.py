"""deploy/pi/install.sh, as it is, in a container that systemd has booted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.system import ROOT

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]
BASE = "python:3.11-slim-bookworm"
IMAGE = "posewire-test-systemd"
SERVICES = ("bus", "tracker", "api", "capture@all", "inference@CPU")
_DOCKERFILE = f"""
FROM {BASE}
RUN apt-get update -q \\
 && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends \\
    systemd systemd-sysv dbus
"""
_NAMES = "find / -xdev -iname '*posewire*' -not -path '/proc/*' -not -path '/src/*'"


def docker(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *arguments], input=stdin, capture_output=True, text=True, check=False,
        timeout=600, env=os.environ | {"DOCKER_BUILDKIT": os.environ.get("DOCKER_BUILDKIT", "0")},
    )  # fmt: skip


class Machine:
    """A container with systemd as its first process, and the checkout in /src."""

    def __init__(self, models: Path | None) -> None:
        self.name = f"posewire-test-systemd-{os.getpid()}"
        mounts = ["--volume", f"{ROOT}:/src:ro"]
        if models is not None:
            mounts += ["--volume", f"{models}:/models:ro"]
        started = docker(
            "run", "--detach", "--rm", "--name", self.name, "--cgroupns=private",
            "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined",
            "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec",
            "--stop-signal", "SIGRTMIN+3",  # what systemd takes for a shutdown
            *mounts, IMAGE, "/sbin/init",
        )  # fmt: skip
        if started.returncode:
            pytest.skip(f"no container for systemd: {started.stderr.strip()[-300:]}")

    def booted(self) -> str:
        """Return the state that systemd is in after at most a minute."""
        state = ""
        for _ in range(120):
            state = docker("exec", self.name, "systemctl", "is-system-running").stdout.strip()
            if state in ("running", "degraded"):
                break
            time.sleep(0.5)
        return state

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return docker("exec", self.name, "bash", "-c", command)

    def __call__(self, command: str) -> str:
        """Return what a command prints; it has to succeed."""
        done = self.run(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}\n{self.journal()}"
        return done.stdout.strip()

    def install(self, *options: str) -> str:
        """Return what the installer prints."""
        return self(f"/src/deploy/pi/install.sh {' '.join(options)}")

    def journal(self, unit: str = "posewire-*") -> str:
        return self.run(f"journalctl --no-pager -o cat -u '{unit}' | tail -n 60").stdout

    def show(self, service: str) -> dict[str, str]:
        """Return systemd's properties of a service, or of the target."""
        unit = service if service.endswith(".target") else f"posewire-{service}.service"
        lines = self(f"systemctl show {unit}").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def events(self) -> list[dict[str, Any]]:
        text = self("posewire events export --format ndjson")
        return [json.loads(line) for line in text.splitlines()]

    def until(self, condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := condition():
                return found
            time.sleep(0.3)
        pytest.fail(f"not within {seconds} s: {what}\n{self.journal()}")

    def events_go_on(self) -> None:
        before = self.events()[-1]["ord"]
        self.until(lambda: self.events()[-1]["ord"] > before, "events go on")


@pytest.fixture(scope="module")
def blank() -> Iterator[Machine]:
    """A booted machine. Skips where that cannot be had here."""
    if shutil.which("docker") is None:
        pytest.skip("no docker (apt-get install docker.io)")
    engine = docker("info")
    if engine.returncode or "Cannot connect" in engine.stderr + engine.stdout:
        pytest.skip("no Docker engine runs")
    if docker("image", "inspect", BASE).returncode and docker("pull", "--quiet", BASE).returncode:
        pytest.skip(f"{BASE} cannot be had")
    built = docker("build", "--quiet", "--tag", IMAGE, "-", stdin=_DOCKERFILE)
    if built.returncode:
        pytest.skip(f"systemd cannot be installed in an image: {built.stderr[-300:]}")
    models = ROOT.parent / "shared" / "data" / "models"
    machine = Machine(models if models.is_dir() else None)
    try:
        if (state := machine.booted()) not in ("running", "degraded"):
            pytest.skip(f"systemd does not boot in a container here (cgroups?): {state or 'dead'}")
        yield machine
    finally:
        docker("rm", "--force", machine.name)


@pytest.fixture(scope="module")
def machine(blank: Machine) -> Machine:
    """The machine with Posewire on it. From here on whatever fails is a failure."""
    blank("getent passwd > /var/tmp/passwd; getent group > /var/tmp/group")
    blank("mkdir -p /etc/posewire /etc/systemd/system/posewire-tracker.service.d")
    # What an administrator may have added. The short watchdog saves the test half a minute.
    blank("echo '[Service]\nWatchdogSec=4' > /etc/systemd/system/posewire-tracker.service.d/x.conf")
    variables = ["POSEWIRE_TELEMETRY__LOG_LEVEL=info"]
    variables += (
        ["POSEWIRE_MODELS_DIR=/models"] if blank.run("test -d /models").returncode == 0 else []
    )
    variables += filter(None, [blank.run("env | grep SSL_CERT_FILE=").stdout.strip()])
    blank(f"printf '%s\\n' {' '.join(variables)} > /etc/posewire/posewire.env")
    said = blank.install()
    assert "posewire: adding the user posewire" in said
    assert "posewire: the page: http://localhost:8000" in said
    return blank


def test_services_come_up_in_order_and_say_what_they_do(machine: Machine) -> None:
    units = {name: machine.show(name) for name in (*SERVICES, "posewire.target")}
    up = {name: int(unit["ActiveEnterTimestampMonotonic"]) for name, unit in units.items()}
    begun = {name: int(unit["InactiveExitTimestampMonotonic"]) for name, unit in units.items()}
    assert {unit["ActiveState"] for unit in units.values()} == {"active"}
    for first, then in (
        ("bus", "tracker"), ("tracker", "api"), ("bus", "capture@all"), ("bus", "inference@CPU"),
    ):  # fmt: skip
        assert 0 < up[first] <= begun[then], (first, then)
    assert up["posewire.target"] >= max(up[name] for name in SERVICES)
    assert units["tracker"]["StatusText"] == "Ready: follows main"
    assert units["capture@all"]["StatusText"] == "Ready: plays main"
    assert units["api"]["StatusText"] == "Ready: serves http://127.0.0.1:8000/"
    assert units["inference@CPU"]["StatusText"].startswith("Ready: examines main by ")
    assert {unit["NRestarts"] for name, unit in units.items() if name in SERVICES} == {"0"}


def test_services_have_no_rights_they_do_not_need(machine: Machine) -> None:
    complaints = (
        "cd /etc/systemd/system && systemd-analyze verify posewire.target posewire-*.service"
    )
    assert machine(f"{complaints} 2>&1") == ""
    for service in SERVICES:
        machine(f"systemd-analyze security --threshold=30 posewire-{service}.service")
        pid = machine.show(service)["MainPID"]
        status = machine(f"cat /proc/{pid}/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["NoNewPrivs"] == "1"
        assert fields["Seccomp"] == "2"
        assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
        assert machine(f"stat -c %U /proc/{pid}") == "posewire"
        # Its own view of the file system, where nothing of the system can be written to.
        mounts = [line.split() for line in machine(f"cat /proc/{pid}/mountinfo").splitlines()]
        options = {mount[4]: mount[5].split(",")[0] for mount in mounts}
        assert options["/"] == "ro"
        assert options["/var/lib/posewire"] == "rw"
    assert machine("stat -c '%a %U %G' /etc/posewire/posewire.toml") == "640 root posewire"
    # The machine's own Redis is not ours, and was not started.
    assert (
        machine.run("systemctl is-active redis-server valkey-server").stdout.split()[0] != "active"
    )


def test_events_flow_and_the_page_is_there(machine: Machine) -> None:
    found = machine.until(lambda: len(events := machine.events()) >= 4 and events, "events")
    assert [event["kind"] for event in found[:3]] == ["entered"] * 3
    assert {event["camera"] for event in found} == {"main"}
    alive = "/opt/posewire/venv/bin/posewire-alive http://127.0.0.1:8000/"
    for path in ("", "readyz", "metrics"):
        machine(alive + path)


def test_a_second_run_changes_nothing(machine: Machine) -> None:
    before = {name: machine.show(name)["InvocationID"] for name in SERVICES}
    said = machine.install()
    for word in ("writing", "adding", "installing", "enabling", "restarting", "apt-get"):
        assert f"posewire: {word}" not in said, said
    assert {name: machine.show(name)["InvocationID"] for name in SERVICES} == before


def test_only_what_changed_is_restarted(machine: Machine) -> None:
    before = {name: machine.show(name)["InvocationID"] for name in SERVICES}
    time.sleep(1.1)  # files have whole seconds here
    machine("echo POSEWIRE_TRACKER__EXIT_AFTER_S=2 > /etc/posewire/posewire-tracker.env")
    assert "restarting posewire-tracker.service: /etc/posewire/posewire-tracker.env is newer" in (
        machine.install()
    )
    after = {name: machine.show(name)["InvocationID"] for name in SERVICES}
    assert {name for name in SERVICES if after[name] != before[name]} == {"tracker"}


def test_instances_are_cameras(machine: Machine) -> None:
    wrong = machine.run("/src/deploy/pi/install.sh --cameras dor")
    assert wrong.returncode == 1
    assert "posewire-capture@dor.service is not up" in wrong.stdout
    assert "no camera is called 'dor'; there are: main" in machine.journal("posewire-capture@dor")
    # A restart by hand does not wait for the pause that has grown meanwhile.

    def paused() -> bool:
        unit = machine.show("capture@dor")
        return unit["SubState"] == "start-pre" and int(unit["NRestarts"]) >= 3

    machine.until(paused, "the pauses grow")
    time.sleep(0.3)
    machine("systemctl stop posewire-capture@dor")
    assert machine.run("cat /run/posewire-capture@dor/failures").returncode != 0
    said = machine.install("--cameras main")
    assert "disabling posewire-capture@dor" in said
    assert machine.show("capture@main")["StatusText"] == "Ready: plays main"
    assert machine.show("capture@dor")["ActiveState"] == "inactive"
    machine.events_go_on()
    assert "disabling posewire-capture@main" in machine.install("--cameras all")


def test_a_hung_service_is_restarted_by_its_watchdog(machine: Machine) -> None:
    before = machine.show("tracker")
    assert before["WatchdogUSec"] == "4s"
    machine(f"kill -STOP {before['MainPID']}")

    def again() -> bool:
        now = machine.show("tracker")
        return now["ActiveState"] == "active" and now["MainPID"] != before["MainPID"]

    machine.until(again, "the tracker was restarted")
    journal = machine.journal("posewire-tracker")
    assert "Watchdog timeout (limit 4s)!" in journal
    assert "Failed with result 'watchdog'" in journal
    assert "(most recent call first)" in journal  # where it hung
    assert "has failed 1 times in a row: starts in 1 s" in journal
    machine.events_go_on()


def test_whatever_is_killed_comes_back(machine: Machine) -> None:
    for service in SERVICES:
        before = machine.show(service)
        machine(f"kill -KILL {before['MainPID']}")

        def again(service: str = service, pid: str = before["MainPID"]) -> bool:
            now = machine.show(service)
            return now["ActiveState"] == "active" and now["MainPID"] != pid

        machine.until(again, f"{service} is up again")
    machine.events_go_on()
    # What services say has its priority: they were without a bus for a while.
    warned = machine("journalctl --no-pager -o cat -p 4 -u posewire-tracker -t posewire-tracker")
    assert '"event": "worker.waits"' in warned
    assert '"level": "info"' not in warned
    machine("systemctl restart postgresql")
    machine.events_go_on()
    # One event each, whatever happened.
    ids = [event["id"] for event in machine.events()]
    assert len(ids) == len(set(ids))


def test_it_is_there_after_a_boot(machine: Machine) -> None:
    docker("restart", "--time", "30", machine.name)
    assert machine.booted() == "running"
    units = {name: machine.show(name) for name in (*SERVICES, "posewire.target")}
    assert {unit["ActiveState"] for unit in units.values()} == {"active"}
    database = machine("systemctl show --value -p ActiveEnterTimestampMonotonic postgresql")
    assert int(database) <= int(units["tracker"]["InactiveExitTimestampMonotonic"])
    machine.events_go_on()


def test_uninstalling_may_keep_the_data(machine: Machine) -> None:
    known = {event["id"] for event in machine.events()}
    machine("echo '# mine' >> /etc/posewire/posewire.toml")
    machine.install("--uninstall", "--keep-data")
    left = machine(_NAMES).splitlines()
    assert [path for path in left if not path.startswith("/etc/posewire")] == []
    machine.install()
    assert machine("tail -n 1 /etc/posewire/posewire.toml") == "# mine"
    assert known <= {event["id"] for event in machine.events()}


def test_uninstalling_leaves_nothing(machine: Machine) -> None:
    said = machine.install("--uninstall")
    assert "apt-get autoremove --purge postgresql redis-server" in said
    assert machine(_NAMES) == ""
    assert machine("systemctl list-units --all --no-legend 'posewire*' '*-posewire*'") == ""
    assert machine.run("grep -l 'pose[w]ire' /proc/[0-9]*/cmdline").stdout == ""
    for kind in ("passwd", "group"):
        new = machine(f"getent {kind} | sort | comm -13 <(sort /var/tmp/{kind}) -")
        assert {line.split(":")[0] for line in new.splitlines()} <= {
            "postgres",
            "redis",
            "ssl-cert",
        }
    query = "select datname from pg_database union select rolname from pg_roles"
    names = machine(f"cd / && runuser -u postgres -- psql -At -c '{query}'").splitlines()
    assert "postgres" in names
    assert "posewire" not in names
    assert machine("systemctl is-system-running") == "running"
