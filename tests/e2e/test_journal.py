"""Ingest's journal at the end of the whole chain: confirmed, then empty of every word."""

from pathlib import Path

from tests.ingest.reading import until
from tests.support.chain import Chain

WORDS = "Herr Beispielmann droht mit Anwalt"


def files_with_words(journal: Path) -> list[str]:
    files = [journal, journal.with_name(f"{journal.name}-wal")]
    return [file.name for file in files if file.exists() and WORDS.encode() in file.read_bytes()]


def journal_of(chain: Chain) -> Path:
    return Path(chain.ingest.environment["RUFKETTE_JOURNAL_PATH"])


async def test_nothing_of_a_report_stays_once_somebody_was_told(chain: Chain) -> None:
    journal = journal_of(chain)
    chain.alerting.stop()
    report = {"site": "bernburg", "location": "Zimmer 112", "description": WORDS, "danger_level": 2}
    event_id = await chain.press(report)
    exercise_id = await chain.press({**report, "mode": "exercise"})
    await until(lambda: bool(files_with_words(journal)))

    chain.ingest.kill()
    await chain.ingest.start()
    assert chain.ingest.events("journal.loaded", entries=2)
    assert files_with_words(journal)

    await chain.alerting.start()
    await chain.sink.wait_for(2)
    await until(lambda: files_with_words(journal) == [], within=30)
    chain.ingest.stop()
    assert files_with_words(journal) == []
    await chain.ingest.start()
    assert len(chain.ingest.events("journal.loaded")) == 1, "the second start found an empty journal"
    opened = [line["event_id"] for line in chain.alerting.events("incident.opened")]
    assert sorted(opened) == sorted([event_id, exercise_id])
