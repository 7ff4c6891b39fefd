"""docker-compose.yml against the settings that the services read, in both directions."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_core import PydanticUndefined

from services.common.settings import AlertingSettings, IngestSettings, MigrateSettings, Settings, TopicsSettings

ROOT = Path(__file__).parents[2]
MODELS: dict[str, type[Settings]] = {
    "ingest": IngestSettings,
    "alerting": AlertingSettings,
    "migrate": MigrateSettings,
    "topics": TopicsSettings,
}
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def settings_of(service: str) -> dict[str, str]:
    given = SERVICES[service]["environment"]
    return {name: value for name, value in given.items() if name.startswith("RUFKETTE_")}


@pytest.mark.parametrize("service", MODELS)
def test_every_variable_is_a_setting_of_that_service(service: str) -> None:
    known = {f"RUFKETTE_{name.upper()}" for name in MODELS[service].model_fields}
    known |= {f"{name}_FILE" for name in known}
    assert set(settings_of(service)) <= known


@pytest.mark.parametrize("service", MODELS)
def test_every_required_setting_is_given(service: str) -> None:
    given = {name.removesuffix("_FILE") for name in settings_of(service)}
    required = {
        f"RUFKETTE_{name.upper()}"
        for name, field in MODELS[service].model_fields.items()
        if field.default is PydanticUndefined and field.default_factory is None
    }
    assert required <= given


@pytest.mark.parametrize("service", MODELS)
def test_the_values_are_valid(service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "database_url": "postgresql://rufkette:secret@postgres:5432/rufkette",
        "secret_key": "0123456789abcdef0123456789abcdef",
    }
    for name, value in settings_of(service).items():
        given = value
        if name.endswith("_FILE"):
            secret = value.removeprefix("/run/secrets/")
            assert secret in SERVICES[service]["secrets"]
            file = tmp_path / secret
            file.write_text(secrets[secret] + "\n")
            given = str(file)
        monkeypatch.setenv(name, given)
    MODELS[service]()


@pytest.mark.parametrize("service", ["ingest", "alerting"])
def test_the_published_port_is_the_one_that_is_listened_on(service: str) -> None:
    port = settings_of(service)[f"RUFKETTE_{service.upper()}_PORT"]
    assert SERVICES[service]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f":{port}/readyz" in SERVICES[service]["healthcheck"]["test"][-1]


def test_the_second_alerting_is_like_the_first() -> None:
    """One that hangs is noticed by the other at once, and by its own watchdog after 20 to 60 s."""
    first, second = SERVICES["alerting"], SERVICES["alerting-2"]
    assert second == first | {"ports": []}


def test_the_configuration_that_is_mounted_exists() -> None:
    mounted = SERVICES["ingest"]["environment"]["RUFKETTE_CONFIG"].replace("/etc/rufkette", "config")
    assert (ROOT / mounted).is_file()


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_locked_down(service: str) -> None:
    it = SERVICES[service]
    assert it["read_only"] is True
    assert it["cap_drop"] == ["ALL"]
    assert it["security_opt"] == ["no-new-privileges:true"]
    assert it["user"].split(":")[0] not in ("0", "root")
    assert it["restart"] in ("unless-stopped", "on-failure")
    assert "healthcheck" in it
    assert all(port.startswith("127.0.0.1:") for port in it.get("ports", ()))
    name, _, tag = it["image"].partition(":")
    assert name
    assert tag.count(".") >= 1, "an exact tag"


@pytest.mark.parametrize("service", SERVICES)
def test_everything_that_is_referred_to_exists(service: str) -> None:
    it = SERVICES[service]
    assert set(it.get("depends_on", {})) <= set(SERVICES)
    assert set(it.get("secrets", ())) <= set(COMPOSE["secrets"])
    named = {volume.split(":")[0] for volume in it.get("volumes", ()) if not volume.startswith(".")}
    assert named <= set(COMPOSE["volumes"])
    for other, how in it.get("depends_on", {}).items():
        one_shot = SERVICES[other]["restart"] == "on-failure"
        assert how["condition"] == ("service_completed_successfully" if one_shot else "service_healthy")


def test_the_image_is_the_one_of_this_version() -> None:
    version = next(
        line.split('"')[1] for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("version")
    )
    assert SERVICES["ingest"]["image"] == f"rufkette:{version}"
