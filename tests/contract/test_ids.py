"""Ids: of events whose senders gave none, and those that follow from a name."""

import os
import uuid
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import named_id, random_id


def test_they_are_uuids_of_version_4() -> None:
    for _ in range(1000):
        id_ = random_id()
        known = uuid.UUID(id_)
        assert (known.version, known.variant, str(known)) == (4, uuid.RFC_4122, id_)


def test_all_bits_but_those_of_version_and_variant_vary() -> None:
    ids = [uuid.UUID(random_id()).int for _ in range(500)]
    varying = 0
    for id_ in ids:
        varying |= id_ ^ ids[0]
    assert varying == (1 << 128) - 1 - (0xF << 76) - (0b11 << 62)


def test_threads_never_get_the_same_one() -> None:
    with ThreadPoolExecutor(8) as pool:
        found = [id_ for some in pool.map(lambda _: [random_id() for _ in range(2000)], range(8)) for id_ in some]
    assert len(set(found)) == len(found) == 16_000


def test_a_forked_process_gets_others() -> None:
    random_id()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, random_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 100).decode()
    os.close(reading)
    os.close(writing)
    assert len(theirs) == 36
    assert theirs != random_id()


@given(st.uuids(), st.text(st.characters(exclude_categories=["Cs"])))
def test_an_id_from_a_name_is_what_the_standard_library_makes_of_it(namespace: uuid.UUID, name: str) -> None:
    assert named_id(namespace, name) == str(uuid.uuid5(namespace, name))
