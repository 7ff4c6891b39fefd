"""`python -m services.generate` (`make generate`): schemas/generated/ and docs/{logging,states}.md from the code.

Here and not in `schemas`, because OpenAPI and the catalogue of log events belong to the services.
"""

import json
import tomllib
from pathlib import Path

from pydantic import SecretStr

from schemas import generate
from schemas.configuration import Configuration
from services.common import catalogue
from services.common.settings import IngestSettings
from services.ingest.app import app_for
from services.states import table

ROOT = Path(__file__).resolve().parent.parent
_EXAMPLE = Configuration.model_validate(
    {
        "organisation": {"name": "Example", "emergency": ["emergency@example.org"]},
        "sites": {"bernburg": {"name": "Bernburg"}},
        "roles": {"on_call": ["emergency@example.org"]},
        "rules": [{"name": "everything", "policy": "normal"}],
        "policies": {"normal": {"steps": [{"after": "0s", "tell": ["on_call"]}], "repeat": "5m"}},
    }
)


def openapi(version: str) -> str:
    """OpenAPI of ingest, from the application itself; nothing is started."""
    settings = IngestSettings(
        config=Path("config.yaml"), kafka_bootstrap_servers="kafka:9092",
        smtp_url=SecretStr("smtp://mail"), mail_from="rufkette@example.org",
    )  # fmt: skip
    document = app_for(settings, _EXAMPLE).openapi()
    document["info"]["version"] = version
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def files() -> dict[Path, str]:
    """Every generated file, by its path from the repository's top."""
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    generated = Path("schemas/generated")
    documents = {generated / name: text for name, text in generate.documents(version).items()}
    documents[generated / "openapi.json"] = openapi(version)
    documents[Path("docs/logging.md")] = catalogue.document()
    documents[Path("docs/states.md")] = table.document()
    return documents


def main() -> None:
    """Write every generated file and remove those that are no longer generated."""
    wanted = files()
    for path in (ROOT / "schemas/generated").iterdir():
        if path.relative_to(ROOT) not in wanted:
            path.unlink()
    for path, text in wanted.items():
        (ROOT / path).write_text(text)


if __name__ == "__main__":
    main()
