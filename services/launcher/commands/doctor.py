"""posewire doctor: each thing that Posewire needs is ok, or what to do."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from posewire.launcher.embedded import EmbeddedPostgres, EmbeddedServerError, EmbeddedValkey
from posewire.launcher.options import settings_for
from posewire.shared import checks
from posewire.shared.bus import RedisBus
from posewire.shared.checks import Check
from posewire.shared.errors import BusUnavailable, DeviceError, ModelError, PosewireError
from posewire.shared.redact import redact
from posewire.shared.settings import Settings
from posewire.shared.telemetry import configure_logging


def doctor(config: Path | None, *, as_json: bool) -> bool:
    """Print all checks; return whether everything needed is there."""
    settings = settings_for(config, {})
    configure_logging(settings.telemetry)  # to stderr: stdout is the report
    found = [
        checks.python(),
        *_packages(),
        *_devices(settings),
        *asyncio.run(_models(settings)),
        *checks.cameras(settings),
        asyncio.run(bus_check(settings)),
        asyncio.run(_database(settings)),
        *checks.integrations(settings),
        checks.disk(settings),
    ]
    good = all(check.ok is not False for check in found)
    if as_json:
        report = {"ok": good, "checks": [asdict(check) for check in found]}
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
        return good
    console = Console(highlight=False)
    marks = {True: "[green]ok  [/green]", False: "[red]BAD [/red]", None: "[dim]-   [/dim]"}
    width = max(len(check.name) for check in found) + 1
    for check in found:
        console.print(f"{marks[check.ok]} {check.name:<{width}}", end="")
        console.print(check.text, markup=False, soft_wrap=True)
    return good


def _packages() -> Iterator[Check]:
    yield _engine()
    for name, module, extra in (
        ("OpenCV", "cv2", "inference"),
        ("PyAV", "av", "capture"),
        ("asyncpg", "asyncpg", "tracker"),
        ("FastAPI", "fastapi", "api"),
    ):
        if importlib.util.find_spec(module) is None:
            yield Check(name, False, f"missing: pip install 'posewire[{extra}]'")
        else:
            version = str(getattr(importlib.import_module(module), "__version__", "installed"))
            yield Check(name, True, version)


def _engine() -> Check:
    if importlib.util.find_spec("openvino") is not None:
        version = getattr(importlib.import_module("openvino"), "__version__", None)
        # 2022.3 does not have it at the top.
        version = version or importlib.import_module("openvino.runtime").get_version()
        return Check("OpenVINO", True, str(version))
    try:
        from posewire.inference.engines import devices

        return Check("OpenVINO", None, f"not installed; networks run {devices()['CPU']}")
    except (ImportError, DeviceError) as error:
        return Check("OpenVINO", False, f"missing: {error}")


def _devices(settings: Settings) -> Iterator[Check]:
    try:
        from posewire.inference.engines import choose_device, devices

        for name, full in devices().items():
            yield Check(f"device {name}", True, full)
    except (ImportError, DeviceError) as error:
        yield Check("devices", False, str(error))
        return
    try:
        device, why = choose_device(settings.inference)
        yield Check("device", True, f"{device} ({why})")
    except DeviceError as error:
        yield Check("device", False, str(error))


async def _models(settings: Settings) -> list[Check]:
    from posewire.inference.registry import resolve

    try:
        selection = await resolve(settings.inference, allow_download=False)
    except ModelError as error:
        # The first run fetches them: nothing is wrong with this machine yet.
        return [Check("models", None, f"not on this machine yet ({error}); 'posewire models pull'")]
    return [
        Check("model", True, f"{files.spec.name} {files.spec.precision} ({selection.reason})")
        for files in (selection.detector, selection.pose)
        if files is not None
    ]


async def bus_check(settings: Settings) -> Check:
    """The bus: whether it answers, and keeps what it is given."""
    if settings.bus.url is None:
        try:
            return Check("Redis", True, f"embedded: {EmbeddedValkey.binary()}")
        except EmbeddedServerError as error:
            return Check("Redis", False, str(error))
    bus, url = RedisBus(settings.bus.url), redact(settings.bus.url)
    try:
        await bus.ping()
        memory = await bus.memory()
    except BusUnavailable as error:
        return Check("Redis", False, str(error))
    finally:
        await bus.close()
    if memory is None:
        unseen = "its user may not ask for its eviction policy, which has to be noeviction (INFO)"
        return Check("Redis", True, f"{url}; {unseen}")
    for info in memory:
        policy = str(info.get("maxmemory_policy", "noeviction"))
        if policy != "noeviction" and int(info.get("maxmemory", 0)) > 0:
            return Check(
                "Redis", False,
                f"{url} evicts by {policy} when it is full: leases vanish, and two workers take "
                "one camera; set maxmemory-policy noeviction, or give Posewire a server of its own",
            )  # fmt: skip
    return Check("Redis", True, url)


async def _database(settings: Settings) -> Check:
    if settings.database.url is None:
        try:
            return Check("Postgres", True, f"embedded: {EmbeddedPostgres.binaries() / 'postgres'}")
        except EmbeddedServerError as error:
            return Check("Postgres", False, str(error))
    from posewire.shared.database import inspect

    try:
        schema = await inspect(settings.database)
        schema.require()
    except PosewireError as error:
        return Check("Postgres", False, str(error))
    text = f"{redact(settings.database.url)}, schema {schema.version}"
    if not schema.pending:
        return Check("Postgres", True, text)
    text += f" of {schema.newest}: "
    if settings.database.migrate:
        return Check("Postgres", True, text + "the tracker brings it up to date when it starts")
    return Check("Postgres", False, text + "run 'posewire db upgrade'")
