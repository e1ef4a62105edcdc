"""``bus.url``: what its forms mean, and what is said about one that is none of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posewire.shared.bus.address import Address, parse
from posewire.shared.errors import ConfigError
from posewire.shared.redact import redact
from posewire.shared.settings import load_settings


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://localhost", Address("single", hosts=(("localhost", 6379),))),
        ("redis://h:7/3", Address("single", hosts=(("h", 7),), db=3)),
        ("redis://h/?db=3", Address("single", hosts=(("h", 6379),), db=3)),
        ("REDISS://h:7", Address("single", tls=True, hosts=(("h", 7),))),
        ("redis://[::1]:7/1", Address("single", hosts=(("::1", 7),), db=1)),
        ("redis://[::1]", Address("single", hosts=(("::1", 6379),))),
        ("unix:///run/valkey.sock?db=2", Address("single", socket="/run/valkey.sock", db=2)),
        (
            "redis://pose:a%40%3A%2F%23%25b@h",
            Address("single", hosts=(("h", 6379),), username="pose", password="a@:/#%b"),
        ),
        ("redis://:only@h", Address("single", hosts=(("h", 6379),), password="only")),
        (
            "rediss://h?ssl_ca_certs=/etc/ca.pem&ssl_check_hostname=no",
            Address(
                "single", tls=True, hosts=(("h", 6379),),
                options={"ssl_ca_certs": "/etc/ca.pem", "ssl_check_hostname": False},
            ),
        ),
        (
            "redis+cluster://u:p@a:7001,[fd00::1]:7002,c",
            Address(
                "cluster", hosts=(("a", 7001), ("fd00::1", 7002), ("c", 6379)),
                username="u", password="p",
            ),
        ),
        ("rediss+cluster://a", Address("cluster", tls=True, hosts=(("a", 6379),))),
        (
            "redis+sentinel://a,b:26380/main/2?sentinel_password=s",
            Address(
                "sentinel", hosts=(("a", 26379), ("b", 26380)), service="main", db=2,
                sentinel_password="s",
            ),
        ),
        (
            "rediss+sentinel://a/main?db=1",
            Address("sentinel", tls=True, hosts=(("a", 26379),), service="main", db=1),
        ),
    ],
)  # fmt: skip
def test_forms(url: str, expected: Address) -> None:
    assert parse(url) == expected


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "is empty; write redis://host:6379/0"),
        ("localhost:6379", "has no scheme; write redis://"),
        ("http://localhost:6379", "unknown scheme"),
        ("redis://", "does not name a host"),
        ("redis://localhost:port", "port that is no number from 1 to 65535"),
        ("redis://localhost:0", "port that is no number"),
        ("redis://localhost:65536", "port that is no number"),
        ("redis://localhost:-1", "port that is no number"),
        ("redis://localhost/zero", "database index"),
        ("redis://[::1:6379", "brackets are not closed"),
        ("redis://a:1,b:2", "several hosts, which only a cluster"),
        ("redis+cluster://a:1,,b:2", "does not name a host"),
        ("redis+cluster://a:1/0", "a cluster has only one"),
        ("redis+sentinel://a:26379", "does not name the service"),
        ("redis://a?sentinel_password=hidden", "account for Sentinels, but names none"),
        ("redis://a?ssl_ca_cert=/x", "unknown option after the .; known: ssl_ca_certs;"),
        ("redis://a?protocol=three", "a value of protocol that does not fit"),
        ("unix://relative.sock", "no socket by its whole path"),
        ("redis://:hid#den@a", "write % as %25, # as %23"),
        ("redis://:hid/den@a", "/ as %2F"),
        ("redis://:hid?den@a", r"\? as %3F"),
        ("redis://u:1/hidden@a", "database index.*/ as %2F"),
        ("redis://u:1?hidden@a", "unknown option.*as %3F"),
        ("redis://:hidden", "port that is no number|does not name a host"),
        ("redis:// a", "white space"),
    ],
)
def test_what_is_malformed_is_explained_and_not_shown(url: str, said: str) -> None:
    Path("posewire.toml").write_text(f'[bus]\nurl = "{url}"\n')
    with pytest.raises(ConfigError, match=f"bus.url: .*{said}") as error:
        load_settings(Path("posewire.toml"))
    assert "hid" not in str(error.value)


@given(st.text(max_size=40), st.sampled_from(["", "redis://", "redis+sentinel://", "unix://"]))
def test_any_text_is_read_or_refused(text: str, scheme: str) -> None:
    try:
        parse(scheme + text)
    except ValueError as error:
        assert "write redis://" in str(error)


def test_cases_from_the_field(data_dir: Path) -> None:
    with pytest.raises(ConfigError, match="has no scheme"):
        load_settings(data_dir / "cases" / "bus_without_scheme.toml")
    assert load_settings(data_dir / "cases" / "sentinel_bus.toml").bus.url is not None


def test_passwords_are_masked() -> None:
    shown = redact("redis+sentinel://u:hidden@a,b/main?sentinel_password=hidden&db=1")
    assert shown == "redis+sentinel://***@a,b/main?sentinel_password=***&db=1"
    assert "hidden" not in repr(parse("redis+sentinel://u:hidden@a/m?sentinel_password=hidden"))


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
