"""A real PgBouncer before a Postgres, in transaction mode."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from posewire.launcher.privileges import become_nobody_by_namespace, can_map_user

BINARY = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextlib.contextmanager
def pooled(url: str, folder: Path, *, connections: int = 3) -> Iterator[str]:
    """Yield the URL of a pooler with so few connections that clients have to share them."""
    if BINARY is None:
        pytest.skip("no pgbouncer (apt-get install pgbouncer)")
    if os.geteuid() == 0 and not can_map_user():
        pytest.skip("pgbouncer refuses to run as root, and there are no user namespaces")
    parts = urlsplit(url)
    server = parse_qs(parts.query)["host"][0]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    folder.mkdir(parents=True)
    log, config = folder / "pgbouncer.log", folder / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n* = host={server} user=posewire\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = any\npool_mode = transaction\ndefault_pool_size = {connections}\n"
        "max_client_conn = 100\nserver_reset_query =\n"
    )
    environment = os.environ | {"PGUSER": "posewire"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [BINARY, str(config)], stdout=output, stderr=output, env=environment,
            preexec_fn=become_nobody_by_namespace if os.geteuid() == 0 else None,  # noqa: PLW1509
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"pgbouncer does not start: {log.read_text()}")
            time.sleep(0.02)
        yield f"postgresql://posewire@127.0.0.1:{port}{parts.path}"
    finally:
        process.terminate()
        process.wait(10)
