"""Webhooks: an event is a POST, signed after the Standard Webhooks specification 1.0.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Sequence
from email.utils import parsedate_to_datetime
from importlib import metadata

import httpx

from posewire.shared.settings import WebhookSettings
from posewire.shared.settings.integrations import signing_key
from posewire.tracker.integrations.destination import Gone, Undelivered
from posewire.tracker.integrations.payload import event_data, stamp
from posewire.tracker.store.outbox import Delivery, Outbox

_PASSING = frozenset({408, 425, 429})
"""Answers to a client that mean: later, perhaps."""
_LONGEST_PAUSE_S = 3600.0


class Webhook:
    """One receiver; ``connected`` has to be entered before ``tell``."""

    def __init__(self, name: str, settings: WebhookSettings) -> None:
        self.name = f"webhook:{name}"
        self._settings = settings
        self._client: httpx.AsyncClient | None = None

    def wants(self, camera: str, kind: str) -> bool:
        kinds, cameras = self._settings.kinds, self._settings.cameras
        return (not kinds or kind in kinds) and (not cameras or camera in cameras)

    @contextlib.asynccontextmanager
    async def connected(self, _outbox: Outbox) -> AsyncIterator[None]:
        # Redirects are not followed: events go where the configuration says, nowhere else.
        async with httpx.AsyncClient(timeout=self._settings.timeout_s) as client:
            self._client = client
            yield

    async def tell(self, delivery: Delivery) -> None:
        assert self._client is not None
        body = encode(delivery)
        headers = {"Content-Type": "application/json", "User-Agent": f"Posewire/{_version()}"}
        headers |= signed(delivery.id, time.time(), body, self._settings.secret)
        try:
            async with self._client.stream(
                "POST", self._settings.url, content=body, headers=headers
            ) as response:
                status, after = response.status_code, response.headers.get("retry-after")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            what = str(error) or type(error).__name__
            raise Undelivered(f"{self._settings.url} cannot be reached: {what}") from None
        judge(self._settings.url, status, after)

    async def settle(self, deliveries: Sequence[Delivery], outbox: Outbox) -> None:
        return None


def encode(delivery: Delivery) -> bytes:
    """Return the body of an event's POST."""
    message = {
        "type": f"posewire.{delivery.kind}",
        "timestamp": stamp(delivery.occurred_at),
        "data": event_data(delivery),
    }
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


def signed(message_id: str, now: float, body: bytes, secret: str | None) -> dict[str, str]:
    """Return the headers that name a message, and with ``secret`` prove where it is from."""
    headers = {"webhook-id": message_id, "webhook-timestamp": str(int(now))}
    if secret is not None:
        content = f"{message_id}.{int(now)}.".encode() + body
        digest = hmac.new(signing_key(secret), content, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def judge(url: str, status: int, retry_after: str | None = None) -> None:
    """Return where an answer acknowledges an event.

    Raises Gone for 410, else Undelivered: ``refused`` for answers that blame the event itself.
    """
    if 200 <= status < 300:
        return
    if status == 410:
        raise Gone(f"{url} answers 410: it wants no events any more")
    if 300 <= status < 400:
        text = f"{url} answers {status}, a redirect; set the address that it leads to"
        raise Undelivered(text, refused=True)
    refused = 400 <= status < 500 and status not in _PASSING
    raise Undelivered(f"{url} answers {status}", pause_s=pause(retry_after), refused=refused)


def pause(retry_after: str | None, now: float | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks for, an hour at most."""
    if retry_after is None:
        return None
    if retry_after.strip().isascii() and retry_after.strip().isdigit():
        seconds = float(retry_after.strip())
    else:
        try:
            then = parsedate_to_datetime(retry_after).timestamp()
        except (ValueError, TypeError, OverflowError):
            return None
        seconds = then - (time.time() if now is None else now)
    return min(max(seconds, 0.0), _LONGEST_PAUSE_S)


def _version() -> str:
    try:
        return metadata.version("posewire")
    except metadata.PackageNotFoundError:
        return "0"
