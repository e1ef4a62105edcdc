"""Events told to others, from the outbox: MQTT with Home Assistant, webhooks."""

from posewire.tracker.integrations.delivery import Integrations

__all__ = ["Integrations"]
