"""What somebody sent from the page of tests and silences, turned into a plan or into what is wrong with it."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from schemas.configuration_sources import normalise_device_id
from services.alerting.core.devices import look_up
from services.alerting.core.plain_text import one_line
from services.alerting.core.plans import AnnouncedTest, Mistake, Silence, mistakes_in
from services.alerting.core.policy import Rules
from services.alerting.desk.texts.plans import PlanWords

_SHOWN = 500


@dataclass(frozen=True, slots=True)
class Wish:
    """The fields as they were sent; shown again when something is missing."""

    action: str = ""
    plan: str = ""
    site: str = ""
    devices: tuple[str, ...] = ()
    where: str = ""
    starts: str = ""
    until: str = ""
    minutes: str = ""
    reason: str = ""
    name: str = ""

    @classmethod
    def parse(cls, body: bytes) -> "Wish":
        """Fields of a urlencoded body; unknown ones are ignored.

        Raises:
            ValueError: more fields than an office has devices.
        """
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=2000)
        names = ("action", "plan", "site", "where", "starts", "until", "minutes", "reason", "name")
        lines = {name: one_line(fields.get(name, [""])[0], _SHOWN) for name in names}
        devices = tuple(normalise_device_id(one_line(device, _SHOWN)) for device in fields.get("devices", []))
        return cls(devices=devices, **lines)


def understand(
    wish: Wish, words: PlanWords, rules: Rules, now: datetime
) -> tuple[AnnouncedTest | Silence | None, list[str]]:
    """The plan, or what is wrong in the words of the page."""
    plan: AnnouncedTest | Silence
    kind, _, where = wish.where.partition(":")
    site = (where if kind == "site" else None) if wish.action == "silence" else wish.site
    zone = rules.zone(site)
    starts = _time(wish.starts, zone) if wish.starts else now
    if starts is None:
        return None, [words.time_wrong.format(field=words.starts)]
    starts = max(starts, now)
    if wish.action == "silence":
        until = _time(wish.until, zone)
        if until is None:
            return None, [words.time_wrong.format(field=words.until)]
        device = normalise_device_id(where) if kind == "device" else None
        plan = Silence(_new_id(), site or None, device, starts, until, wish.reason, wish.name)
    else:
        if not (wish.minutes.isascii() and wish.minutes.isdigit() and 1 <= int(wish.minutes) <= 30):
            return None, [words.minutes_wrong]
        ends = starts + timedelta(minutes=int(wish.minutes))
        plan = AnnouncedTest(
            _new_id(), None if wish.devices else wish.site or None, wish.devices, starts, ends, wish.name
        )
    mistakes = mistakes_in(plan, rules.configuration, now)
    if wish.action != "silence" and _elsewhere(wish, rules):
        mistakes.append(Mistake.DEVICE_ELSEWHERE)
    return (None, [words.mistake[mistake] for mistake in mistakes]) if mistakes else (plan, [])


def _elsewhere(wish: Wish, rules: Rules) -> bool:
    """Whether a chosen device is at another site than the chosen one."""
    known = (look_up(rules.configuration, device_id) for device_id in wish.devices)
    return any(wish.site not in ("", one.device.site) for one in known if one is not None)


def name_mistakes(wish: Wish, words: PlanWords) -> list[str]:
    """Ending a plan takes a name, too."""
    return [] if wish.name else [words.mistake[Mistake.NAME_MISSING]]


def _time(text: str, zone: ZoneInfo) -> datetime | None:
    """A local time as browsers and people write it."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    try:
        return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        return None


def _new_id() -> str:
    return str(uuid.uuid4())
