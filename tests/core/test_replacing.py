"""The quick `replace` does what the standard one does."""

import dataclasses

import pytest

from services.alerting.core.incident import Incident, Status
from services.alerting.core.replacing import replace
from tests.core.office import Desk


def test_it_gives_what_the_standard_one_gives() -> None:
    incident = Desk().press()
    changed = replace(incident, status=Status.CLOSED, due_at=None, told=())
    assert changed == dataclasses.replace(incident, status=Status.CLOSED, due_at=None, told=())
    assert type(changed) is Incident
    assert (incident.status, changed.status) == (Status.OPEN, Status.CLOSED)


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError):
        replace(Desk().press(), statuss=Status.CLOSED)  # type: ignore[call-arg]


def test_the_copy_is_frozen_as_well() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        replace(Desk().press(), cycle=1).cycle = 2  # type: ignore[misc]
