"""An event as others are told of it: the same in MQTT and in webhooks."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from posewire.tracker.store.outbox import Delivery


def event_data(delivery: Delivery) -> dict[str, Any]:
    """Return the event's fields as in the API; what does not apply to it is left out."""
    data = {
        "id": delivery.id,
        "camera": delivery.camera,
        "source": delivery.source,
        "kind": delivery.kind,
        "reason": delivery.reason,
        "people": delivery.people,
        "zone": delivery.zone,
        "direction": delivery.direction,
        "seconds": delivery.seconds,
        "visit": delivery.visit,
        "occurred_at": stamp(delivery.occurred_at),
        "confirmed_at": stamp(delivery.confirmed_at),
    }
    return {key: value for key, value in data.items() if value is not None}


def stamp(moment: datetime) -> str:
    """Return a time in ISO 8601, UTC, in milliseconds."""
    utc = moment.astimezone(timezone.utc)
    return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
