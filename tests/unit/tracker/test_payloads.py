"""What webhooks and MQTT say, and how answers are read."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from posewire.shared.errors import ConfigError
from posewire.shared.settings import Settings, WebhookSettings, load_settings
from posewire.tracker.integrations.destination import Gone, Undelivered
from posewire.tracker.integrations.home_assistant import Topics, device
from posewire.tracker.integrations.payload import event_data
from posewire.tracker.integrations.webhook import encode, judge, pause, signed
from posewire.tracker.store.outbox import Delivery

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "https://hooks.example.org/x?token=abc"


def delivery(**changes: object) -> Delivery:
    moment = datetime(2026, 3, 2, 12, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=1)))
    values: dict[str, object] = {
        "ord": 1, "attempts": 0, "id": "6f1c", "camera": "door", "source": "film", "session": "s",
        "visit": "v", "kind": "entered", "reason": "walked_in", "people": 2, "zone": None,
        "direction": None, "seconds": None, "occurred_at": moment,
        "confirmed_at": moment + timedelta(seconds=1),
    }  # fmt: skip
    return Delivery(**(values | changes))  # type: ignore[arg-type]


def test_an_event_as_others_see_it() -> None:
    assert event_data(delivery()) == {
        "id": "6f1c", "camera": "door", "source": "film", "kind": "entered", "reason": "walked_in",
        "people": 2, "visit": "v", "occurred_at": "2026-03-02T11:00:00.250Z",
        "confirmed_at": "2026-03-02T11:00:01.250Z",
    }  # fmt: skip
    assert json.loads(encode(delivery()))["type"] == "posewire.entered"


@given(st.text(), st.integers(0, 10_000))
def test_signatures_are_those_of_the_specification(camera: str, people: int) -> None:
    """Verified by the reference library, which refuses what was changed."""
    body = encode(delivery(camera=camera, people=people))
    headers = signed("6f1c", datetime.now().timestamp(), body, SECRET)
    assert Verifier(SECRET).verify(body, headers)["data"]["people"] == people
    with pytest.raises(WebhookVerificationError):
        Verifier(SECRET).verify(body + b" ", headers)


def test_the_example_of_the_specification() -> None:
    headers = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', SECRET)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_without_a_secret_nothing_is_signed() -> None:
    assert set(signed("a", 0, b"", None)) == {"webhook-id", "webhook-timestamp"}


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_acknowledged(status: int) -> None:
    judge(URL, status)


@pytest.mark.parametrize(
    ("status", "refused"),
    [(302, True), (400, True), (404, True), (408, False), (425, False), (429, False), (500, False),
     (503, False)],
)  # fmt: skip
def test_not_acknowledged(status: int, refused: bool) -> None:
    with pytest.raises(Undelivered, match=str(status)) as error:
        judge(URL, status, "7")
    assert error.value.refused is refused
    assert status == 302 or error.value.pause_s == 7


def test_gone() -> None:
    with pytest.raises(Gone):
        judge(URL, 410)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None), ("0", 0), ("12", 12), ("999999999", 3600), ("-5", None), ("soon", None),
        ("Mon, 02 Mar 2026 12:00:30 GMT", 30), ("Mon, 02 Mar 2026 11:00:00 GMT", 0),
    ],
)  # fmt: skip
def test_pauses_that_are_asked_for(header: str | None, seconds: float | None) -> None:
    noon = datetime(2026, 3, 2, 12, tzinfo=timezone.utc).timestamp()
    assert pause(header, noon) == seconds


@given(st.text())
@example("0\x1f")
def test_any_header_is_read(header: str) -> None:
    found = pause(header)
    assert found is None or 0 <= found <= 3600


def test_home_assistants_names_are_unique_and_its_topics_ours() -> None:
    topics = Topics("posewire", "homeassistant")
    described = [device(topics, camera, "1") for camera in ("door", "hall")]
    ids = [c["unique_id"] for d in described for c in d["components"].values()]
    assert len(set(ids)) == len(ids) == 6
    assert described[0]["availability_topic"] == "posewire/status"
    for component in described[0]["components"].values():
        assert component["state_topic"].startswith("posewire/door/")
    assert "line_crossed" in described[0]["components"]["posewire_door_event"]["event_types"]
    assert Topics("shop/2", "ha").device("door") == "ha/device/shop_2_door/config"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"webhooks": {"x": {"url": "ftp://a"}}}, "webhooks.x.url"),
        ({"webhooks": {"x": {"url": "https://a", "secret": "abcabc"}}}, "base64 of 24 to 64 bytes"),
        ({"webhooks": {"x": {"url": "https://a", "kinds": ["came"]}}}, "kinds"),
        ({"mqtt": {"url": "broker:1883"}}, "mqtt.url"),
        ({"mqtt": {"url": "mqtt://a", "topic": "a/#"}}, "topic"),
        ({"webhooks": {"x": {"url": "https://a", "secret_file": "/no/such"}}}, "secret_file"),
    ],
)
def test_wrong_settings_are_named_and_secrets_are_not_shown(
    settings: dict[str, object], text: str
) -> None:
    with pytest.raises(ConfigError, match=text) as error:
        load_settings(overrides={"integrations": settings})
    assert "abcabc" not in str(error.value)


def test_secrets_do_not_stand_in_what_is_printed() -> None:
    webhook = WebhookSettings(url="https://a", secret=SECRET)
    assert SECRET not in repr(
        Settings.model_validate({"integrations": {"webhooks": {"x": webhook}}})
    )
