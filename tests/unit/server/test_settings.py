"""Settings come from the environment, and a service that others can reach needs a token."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from featurescape.data_home import data_home
from featurescape.server.settings import Settings, is_loopback, unknown_variables

TOKEN = "a-token-of-24-characters"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"FEATURESCAPE_{name.upper()}", raising=False)


def test_the_defaults_serve_this_machine_alone() -> None:
    settings = Settings()
    assert settings.host == "127.0.0.1"
    assert settings.port == 8090
    assert settings.embedded
    assert settings.running_cap == 1
    assert settings.storage == str(data_home().resolve())
    assert settings.database_path == Path(settings.storage) / "service" / "jobs.db"


def test_every_setting_is_documented() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name


def test_the_environment_is_read_and_lists_are_split_at_commas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FEATURESCAPE_PORT", "9000")
    monkeypatch.setenv("FEATURESCAPE_ALLOWED_ROOTS", "/data, s3://bucket/x")
    settings = Settings()
    assert settings.port == 9000
    assert settings.roots == ("/data", "s3://bucket/x")


def test_another_address_than_loopback_needs_a_token() -> None:
    with pytest.raises(ValidationError, match="FEATURESCAPE_TOKEN"):
        Settings(host="0.0.0.0")
    assert Settings(host="0.0.0.0", token=TOKEN).host == "0.0.0.0"


def test_a_short_token_is_refused_and_no_token_is_shown() -> None:
    with pytest.raises(ValidationError, match="16"):
        Settings(token="short")
    assert TOKEN not in repr(Settings(token=TOKEN))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1", "[::1]"])
def test_loopback_addresses_are_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org", "::"])
def test_other_addresses_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_roots_are_open_at_home_and_closed_elsewhere(tmp_path: Path) -> None:
    assert str(Path.home()) in Settings().roots
    assert Settings(host="0.0.0.0", token=TOKEN).roots == ()
    assert Settings(ray_address="http://ray-head:8265").roots == ()
    assert Settings(allowed_roots=(str(tmp_path),)).roots == (str(tmp_path),)


def test_the_whole_disk_is_no_default_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert "/" not in Settings().roots


@pytest.mark.parametrize(
    "wrong",
    [
        {"storage": "ftp://x"},
        {"database": "postgresql://user@host/db"},
        {"ray_address": "ray://head:10001"},
        {"ray_address": "http://user:secret@head:8265"},
        {"port": 70000},
        {"no_such_setting": 1},
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)  # type: ignore[arg-type]


def test_a_cluster_runs_more_jobs_and_keeps_the_record_on_this_machine() -> None:
    settings = Settings(ray_address="http://ray-head:8265", storage="s3://bucket/prefix")
    assert settings.running_cap == 8
    assert settings.driver_cap == 2
    assert settings.database_path == data_home() / "service" / "jobs.db"


def test_misspelled_variables_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURESCAPE_PROT", "1")
    monkeypatch.setenv("FEATURESCAPE_URL", "http://127.0.0.1:1")
    assert unknown_variables() == ["FEATURESCAPE_PROT"]
