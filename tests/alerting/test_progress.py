from services.alerting.reading.progress import STANDSTILL, Progress, Stand
from services.common.outage import Outage


def progress() -> tuple[Progress, list[str], Outage]:
    condemned: list[str] = []
    database = Outage("database")
    database.over()

    async def nothing() -> dict[int, Stand]:
        return {}

    return Progress(nothing, condemned.append, database), condemned, database


def test_a_partition_that_stands_still_with_records_waiting_is_named() -> None:
    watch, condemned, _ = progress()
    for now in (0.0, STANDSTILL - 1):
        watch.consider({0: Stand(5, waiting=False), 3: Stand(7, waiting=True)}, now)
    assert condemned == []
    watch.consider({0: Stand(5, waiting=False), 3: Stand(7, waiting=True)}, STANDSTILL)
    assert condemned == ["partition 3"]


def test_each_step_gives_it_time_again() -> None:
    watch, condemned, _ = progress()
    for step in range(20):
        watch.consider({0: Stand(step, waiting=True)}, step * (STANDSTILL - 1))
    assert condemned == []


def test_a_pause_without_waiting_records_or_without_the_partition_does_too() -> None:
    watch, condemned, _ = progress()
    watch.consider({0: Stand(5, waiting=True)}, 0)
    watch.consider({0: Stand(5, waiting=False)}, 20)
    watch.consider({0: Stand(5, waiting=True)}, 21)
    watch.consider({}, 40)
    watch.consider({0: Stand(5, waiting=True)}, 41)
    watch.consider({0: Stand(5, waiting=True)}, 41 + STANDSTILL - 1)
    assert condemned == []


def test_a_database_that_is_away_excuses_everything() -> None:
    watch, condemned, database = progress()
    watch.consider({0: Stand(5, waiting=True)}, 0)
    database.noticed(ConnectionError())
    watch.consider({0: Stand(5, waiting=True)}, STANDSTILL + 1)
    database.over()
    watch.consider({0: Stand(5, waiting=True)}, STANDSTILL + 2)
    assert condemned == []
