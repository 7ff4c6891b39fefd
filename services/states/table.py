"""docs/states.md: what becomes of each state by each input, as `decide` says it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from schemas.events import Event, Reported
from services.alerting.core.decide import decide
from services.alerting.core.effects import Effect, Input, Notify, Relay, Withdraw
from services.alerting.core.incident import Incident, Status
from services.alerting.core.learning import keys_of
from services.states.scenes import INPUTS, Scene, states

CANNOT_HAPPEN = "cannot happen"


@dataclass(frozen=True, slots=True)
class Pair:
    """One state with one input, and what comes of it, in words."""

    state: str
    input: str
    reason: str
    after: str = "–"
    effects: str = "–"

    @property
    def outcome(self) -> str:
        """Reason, state afterwards and effects in one line."""
        return " | ".join((self.reason, self.after, self.effects))


def pairs() -> Iterator[Pair]:
    """Every state with every input."""
    for state, scene in states().items():
        for name, make in INPUTS.items():
            made = make(scene)
            yield Pair(state, name, CANNOT_HAPPEN) if made is None else _decided(state, name, *made)


def _decided(state: str, name: str, cause: Input, scene: Scene) -> Pair:
    decision = decide(_candidates(cause, scene), cause, now=scene.now, rules=scene.rules)
    after = _after(scene.incident, decision.incident, scene.now)
    return Pair(state, name, decision.reason.value, after, _in_words(decision.effects))


def _candidates(cause: Input, scene: Scene) -> Sequence[Incident]:
    """What the shell hands over: for a report, incidents that share a key with it, or know the event."""
    if scene.incident is None:
        return ()
    if isinstance(cause, Event) and isinstance(cause.data, Reported):
        known = cause.id in scene.incident.event_ids
        shared = set(keys_of(cause, scene.rules)) & set(scene.incident.keys)
        return (scene.incident,) if known or shared else ()
    return (scene.incident,)


def _after(before: Incident | None, after: Incident | None, now: datetime) -> str:
    if after is None:
        return "–"
    if after == before:
        return "unchanged"
    parts = [_status(after, now)]
    if before is None or before.id != after.id:
        parts[0] = f"new: {parts[0]}"
        before = None
    parts += _changes(before, after)
    return ", ".join(parts)


def _status(incident: Incident, now: datetime) -> str:
    match incident.status:
        case Status.CLOSED:
            if incident.learning:
                return "learning, over"
            return "closed" if incident.joined is None else "part of another"
        case Status.ACKNOWLEDGED:
            return f"taken over{_due(incident, now)}"
        case Status.OPEN if incident.imported:
            return "open, told to nobody"
        case Status.OPEN if incident.step < 0:
            return f"held back{_due(incident, now)}"
        case Status.OPEN:
            who = "emergency contacts" if incident.emergency else f"step {incident.step + 1}"
            repeated = f", repetition {incident.repetition}" if incident.repetition else ""
            return f"open, {who}{repeated}{_due(incident, now)}"
        case _:
            assert_never(incident.status)


def _due(incident: Incident, now: datetime) -> str:
    if incident.due_at is None:
        return ""
    left = incident.due_at - now
    if left > timedelta(hours=12):
        return f", due {incident.due_at:%A %H:%M} UTC"
    minutes, seconds = divmod(int(left.total_seconds()), 60)
    return f", due in {minutes}m" + (f"{seconds}s" if seconds else "")


def _changes(before: Incident | None, after: Incident) -> Iterator[str]:
    """What else is different, as far as rules look at it."""
    watched: dict[str, Callable[[Incident], object]] = {
        "level": lambda i: i.level,
        "policy": lambda i: i.policy_name,
        "police": lambda i: i.police,
        "cycle": lambda i: i.cycle,
        "acute": lambda i: "yes" if i.acute else "no",
        "reports": lambda i: len(i.reports),
        "calls": lambda i: len(i.calls),
        "hand-overs": lambda i: len(i.hand_overs),
        "measures": lambda i: len(i.closing.measures) if i.closing else 0,
        "absorbed": lambda i: len(i.absorbed),
        "awaited": lambda i: len(i.awaited),
        "reached": lambda i: "yes" if i.reached else "no",
        "notified": lambda i: "yes" if i.notified else "no",
    }
    new_ones = ("level", "policy", "police")
    for name, look in watched.items():
        if name in new_ones if before is None else look(before) != look(after):
            yield f"{name} {look(after)}"


def _in_words(effects: Sequence[Effect]) -> str:
    """For example `withdraw waiting mails; taken_over to deputy; publish acknowledged`."""
    mails: dict[str, list[str]] = {}
    for effect in effects:
        if isinstance(effect, Notify):
            mails.setdefault(effect.purpose.value, []).append(effect.recipient.role)
    words = ["withdraw waiting mails"] if any(isinstance(effect, Withdraw) for effect in effects) else []
    words += [f"{purpose} to {' + '.join(roles)}" for purpose, roles in mails.items()]
    changes = [effect.change.value for effect in effects if isinstance(effect, Relay)]
    if changes:
        words.append(f"publish {' + '.join(changes)}")
    return "; ".join(words) or "–"


_HEAD = """\
# Every state, every input

<!-- Generated from services/alerting/core by `make generate`; a test holds it current. -->

What becomes of an incident, told by the code itself: `decide` was run for each line. What the words mean is explained
in [rules.md](rules.md). The office of these tables: level 2 takes the policy `urgent` (house security and site
management at once, the deputy after 2 minutes, on call after 5, repeated every 5; a takeover lasts 30 minutes), level 3
`maximal` (house security and on call at once, repeated every 2 minutes), all else `normal` (site management, repeated
every 15 minutes), a report after the event `notice` (site management, then on each opening day). Reports merge within
10 minutes.

"new:" is another incident beside the first, which stays as it was. "publish" names the lifecycle events on Kafka;
"cannot happen" is an input that needs an incident, a mail or a page which is not there.
"""
_STATES = {
    "none": "no incident yet",
    "held back": "a form of level 1, one minute ago, during a planned silence",
    "open": "pressed one minute ago, level 2; two people were told",
    "open, last step": "nobody has answered for six minutes; everybody was told",
    "open, an hour old": "pressed 64 minutes ago, so no longer within the time of merging",
    "not acute": "a report after the event, one minute ago",
    "just taken over": "a person took over one minute ago",
    "taken over": "a person took over three minutes ago",
    "taken over, reminded": "taken over 26 minutes ago; the person was reminded one minute ago",
    "closed": "closed five minutes ago",
    "closed long ago": "closed two hours ago",
    "exercise": "an exercise that began one minute ago",
    "learning": "pressed one minute ago; the source is in learning mode, so its test address alone was told",
    "announced test": "pressed one minute ago during an announced test of the site's buttons",
    "two reports": "pressed three minutes ago and again two minutes ago; the deputy was told one minute ago",
    "joined into another": "a person made it part of the incident in room 113 one minute ago",
    "imported": "a press that a file told; its own time is one minute ago",
    "imported, closed": "the same, closed one minute ago",
}


def document() -> str:
    """docs/states.md."""
    by_state: dict[str, list[Pair]] = {state: [] for state in _STATES}
    for pair in pairs():
        by_state[pair.state].append(pair)
    lines = [_HEAD]
    for state, found in by_state.items():
        lines += [f"## {state}", "", f"{_STATES[state][0].upper()}{_STATES[state][1:]}.", ""]
        lines += ["| input | reason | afterwards | what happens |", "|---|---|---|---|"]
        lines += [f"| {pair.input} | {pair.outcome} |" for pair in found]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"
