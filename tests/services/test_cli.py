"""The command line as operators and scripts use it."""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from schemas import topics
from tests.support import warm
from tests.support.organisation import write_configuration

ROOT = Path(__file__).parents[2]


def rufkette(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("RUFKETTE_")}
    return warm.run(*arguments, env=clean | environment, cwd=ROOT)


def test_help_names_every_command() -> None:
    done = rufkette("--help")
    assert done.returncode == 0
    for command in (
        "announce-test",
        "silence",
        "hold",
        "end-hold",
        "holds",
        "run",
        "ingest",
        "alerting",
        "migrate",
        "topics",
        "press",
        "new-key",
        "check-config",
    ):
        assert re.search(rf"^  {command} ", done.stdout, re.MULTILINE), command
        assert rufkette(command, "--help").returncode == 0


def test_help_imports_no_heavy_library() -> None:
    code = "import sys, services.cli; print([m for m in ('aiokafka', 'fastapi', 'sqlalchemy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("service", ["ingest", "alerting", "migrate", "topics"])
def test_a_missing_setting_is_one_line_and_exit_code_2(service: str) -> None:
    done = rufkette(service)
    assert done.returncode == 2
    # What names a file already is not looked for in another one.
    assert re.fullmatch(r"RUFKETTE_CONFIG is not set\n|(RUFKETTE_\w+) is not set \(or \1_FILE\)\n", done.stderr)


@pytest.mark.parametrize("command", [["report", "2026"], ["deliveries"], ["import", "past.jsonl"]])
def test_without_settings_and_without_a_stack_both_are_named(command: list[str], tmp_path: Path) -> None:
    done = rufkette(*command, "--data-dir", str(tmp_path))
    assert done.returncode == 2
    assert re.match(r"RUFKETTE_\w+ is not set.*, and ", done.stderr)
    assert done.stderr.endswith(f"`rufkette run` is not running in {tmp_path} (--data-dir names another place)\n")


def test_importing_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    for missing, why in ((tmp_path / "past.jsonl", "No such file or directory"), (tmp_path, "Is a directory")):
        done = rufkette("import", str(missing), RUFKETTE_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
        assert (done.returncode, done.stderr) == (2, f"cannot read {missing}: {why}\n")


@pytest.mark.parametrize("sender", ["nix", "a b c", "Rufkette <>", "a@b@c, d@e"])
def test_a_sender_that_is_no_address_is_one_line_and_exit_code_2(sender: str) -> None:
    done = rufkette(
        "ingest", RUFKETTE_CONFIG="config/example.yaml", RUFKETTE_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1",
        RUFKETTE_SMTP_URL="smtp://127.0.0.1:1", RUFKETTE_MAIL_FROM=sender,
    )  # fmt: skip
    assert done.returncode == 2
    assert re.fullmatch(r"RUFKETTE_MAIL_FROM: .*rufkette@example\.org.*\n", done.stderr)


def test_new_key_prints_a_key_and_its_hash() -> None:
    first, second = rufkette("new-key").stdout, rufkette("new-key").stdout
    key = re.search(r"rk_[\w-]{43}", first)
    assert key is not None
    assert f'key_sha256: "{hashlib.sha256(key[0].encode()).hexdigest()}"' in first
    assert key[0] not in second


def test_check_config_accepts_the_example() -> None:
    done = rufkette("check-config", "config/example.yaml")
    assert (done.returncode, done.stdout) == (0, "config/example.yaml: OK – 5 sites, 4 sources\n")


def test_check_config_names_every_mistake(tmp_path: Path) -> None:
    def spoil(content: dict[str, Any]) -> None:
        content["sources"]["buttons"]["devices"]["btn-112"]["site"] = "atlantis"
        content["rules"][0]["policy"] = "unknown"

    file = write_configuration(tmp_path / "config.yaml", spoil)
    done = rufkette("check-config", RUFKETTE_CONFIG=str(file))
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert any(re.match(rf"{re.escape(str(file))}:\d+: sources\.buttons.*; expected ", line) for line in lines)
    assert any(re.match(rf"{re.escape(str(file))}:\d+: rules.*; expected ", line) for line in lines)


def test_a_strict_check_fails_on_hints_too(tmp_path: Path) -> None:
    def share_a_key(content: dict[str, Any]) -> None:
        content["sources"]["forms"]["key_sha256"] = content["sources"]["buttons"]["key_sha256"]

    file = str(write_configuration(tmp_path / "config.yaml", share_a_key))
    lenient, strict = rufkette("check-config", file), rufkette("check-config", "--strict", file)
    assert (lenient.returncode, lenient.stdout != "") == (0, True)
    assert (strict.returncode, strict.stdout) == (1, "")
    assert lenient.stderr == strict.stderr
    assert strict.stderr.startswith("hint: ")
    assert rufkette("check-config", "--strict", "config/example.yaml").returncode == 0


def test_check_config_without_a_file_says_what_to_do() -> None:
    done = rufkette("check-config")
    assert (done.returncode, done.stderr) == (2, "name a file, or set RUFKETTE_CONFIG\n")


def test_topics_are_created_once(kafka: str) -> None:
    setting = {"RUFKETTE_KAFKA_BOOTSTRAP_SERVERS": kafka, "RUFKETTE_TOPIC_PREFIX": f"cli{os.getpid()}."}
    first = rufkette("topics", "--config", "flush.messages=1", **setting)
    assert first.stdout.splitlines() == [f"created cli{os.getpid()}.{topic.name}" for topic in topics.ALL]
    assert rufkette("topics", **setting).stdout == "all topics exist\n"
    asked = ("--replication", "3", "--config", "min.insync.replicas=2", "--config", "min.insync=2")
    other = rufkette("topics", *asked, **setting)
    assert (other.returncode, other.stdout) == (0, "all topics exist\n")
    name = f"cli{os.getpid()}.{topics.EVENTS}"
    assert other.stderr.splitlines()[:3] == [
        f"warning: {name} exists and keeps 1 of 3 copies of each record; kafka-reassign-partitions changes that",
        f"warning: {name} exists with min.insync.replicas=1, not 2; kafka-configs changes that",
        f"warning: {name}: a topic has no setting min.insync",
    ]
    assert len(other.stderr.splitlines()) == 3 * len(topics.ALL)
    assert rufkette("topics", *asked, "--strict", **setting).returncode == 1
    assert rufkette("topics", "--config", "flush.messages=1", "--strict", **setting).returncode == 0
    wrong = rufkette("topics", "--config", "flush.messages", **setting)
    assert (wrong.returncode, wrong.stderr.startswith("--config flush.messages: write name=value")) == (2, True)


def test_topics_without_kafka_is_one_line() -> None:
    done = rufkette("topics", RUFKETTE_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.startswith("cannot create the topics on 127.0.0.1:9")
    assert len(done.stderr.splitlines()) == 1


def test_migrate_creates_the_tables_and_can_be_repeated(empty_database_url: str) -> None:
    for _ in range(2):
        done = rufkette("migrate", RUFKETTE_DATABASE_URL=empty_database_url)
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("the database is up to date\n")


def test_migrate_without_a_database_is_one_line() -> None:
    done = rufkette("migrate", RUFKETTE_DATABASE_URL="postgresql://u:secret@127.0.0.1:9/x")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "secret" not in done.stderr


class Ingest(BaseHTTPRequestHandler):
    """Answers as ingest would; `seen` keeps what was posted."""

    seen: list[tuple[str | None, dict[str, Any]]]
    refuse: bool

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.headers["Authorization"], body))
        answer: dict[str, Any] = {
            "event_id": "e1",
            "status": "accepted",
            "status_url": "/v1/events/e1",
            "warnings": ["w1"],
        }
        if self.refuse:
            answer = {"title": "Invalid report", "detail": "1 field", "errors": [{"pointer": "/site"}]}
        self.send_response(422 if self.refuse else 202)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 – the name of the method that it replaces
        return


@pytest.fixture
def ingest_at() -> Iterator[tuple[str, type[Ingest]]]:
    handler = type("Handler", (Ingest,), {"seen": [], "refuse": False})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()
        thread.join()


def test_press_posts_a_report(ingest_at: tuple[str, type[Ingest]]) -> None:
    url, handler = ingest_at
    options = ["--site", "bernburg", "--location", "Zimmer 112", "--level", "2", "--category", "threat", "--exercise"]
    done = rufkette("press", *options, "--url", url, RUFKETTE_API_KEY="rk_x")
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"event e1 accepted\n{url}/v1/events/e1\n",
        "warning: w1\n",
    )
    report = {"site": "bernburg", "location": "Zimmer 112", "danger_level": 2, "category": "threat", "mode": "exercise"}
    assert handler.seen == [("Bearer rk_x", report)]


def test_press_says_what_is_wrong_in_one_line(ingest_at: tuple[str, type[Ingest]], tmp_path: Path) -> None:
    url, handler = ingest_at
    handler.refuse = True
    refused = rufkette("press", "--site", "x", "--url", url, "--key", "k")
    assert refused.stderr == f'{url} refused the alarm: 422 Invalid report; 1 field; {{"pointer": "/site"}}\n'
    away = rufkette("press", "--site", "x", "--url", "http://127.0.0.1:9", "--key", "k")
    assert re.fullmatch(r"http://127\.0\.0\.1:9 does not answer: .*\n", away.stderr)
    nothing = rufkette("press", "--site", "x", "--data-dir", str(tmp_path))
    assert nothing.stderr.startswith("no stack runs in ")
    no_address = rufkette("press", "--site", "x", "--url", "quatsch", "--key", "k")
    assert no_address.stderr == "--url quatsch: write the address of ingest, for example http://127.0.0.1:8080\n"
    assert {refused.returncode, away.returncode, nothing.returncode, no_address.returncode} == {1}


def test_check_config_gives_hints_without_failing(tmp_path: Path) -> None:
    def spare(content: dict[str, Any]) -> None:
        content["policies"]["spare"] = content["policies"]["normal"]

    file = write_configuration(tmp_path / "office.yaml", spare)
    done = rufkette("check-config", str(file))
    assert done.returncode == 0
    assert done.stderr.startswith(f"hint: {file}:")
    assert "policies.spare: no rule takes this policy" in done.stderr
    assert "OK" in done.stdout


def test_check_config_names_files_of_secrets_that_are_not_there(tmp_path: Path) -> None:
    def add(content: dict[str, Any]) -> None:
        place = {"site": "bernburg", "location": "Zimmer 112"}
        content["sources"]["shelly"] = {
            "type": "http-button", "kind": "panic", "secret_file": "full",
            "devices": {"s1": place | {"secret_file": "own"}},
            "callback": {
                "on": ["closed"], "devices": ["s1"], "http": {"url": "https://x.org/", "secret_file": "empty"},
            },
        }  # fmt: skip
        topics = [{"filter": "a/+", "preset": "tasmota"}]
        content["sources"]["mqtt"] = {
            "type": "mqtt", "kind": "panic", "url": "mqtts://b.org", "password_file": "none", "topics": topics,
        }  # fmt: skip

    (tmp_path / "full").write_text("a secret")
    (tmp_path / "empty").write_text("\n")
    file = write_configuration(tmp_path / "office.yaml", add)
    done = rufkette("check-config", str(file))
    assert done.returncode == 0
    hints = [line.removeprefix(f"hint: {file}: ") for line in done.stderr.splitlines()]
    assert [hint.split(":")[0] for hint in hints] == [
        "sources.shelly.devices.s1.secret_file",
        "sources.shelly.callback.http.secret_file",
        "sources.mqtt.password_file",
    ]  # fmt: skip
    assert "own cannot be read here (No such file or directory)" in hints[0]
    assert "empty is empty" in hints[1]
    assert "a secret" not in done.stderr.replace("a file with the secret", "")
