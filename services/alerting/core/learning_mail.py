"""The mail about a report of a source in learning mode, to its test address alone."""

from services.alerting.core.mail_parts import Letter, Section, tone_of
from services.alerting.core.plain_text import many_lines, one_line
from services.alerting.core.policy import EMERGENCY_ROLE
from services.alerting.core.telling import Telling

_DESCRIPTION_LIMIT = 4_000


def learning(telling: Telling, link: str, *, full: bool) -> Letter:
    """What was understood, whom the rules would have told first – and plainly that nobody was."""
    words, incident = telling.words, telling.incident
    report = incident.reports[0]
    sections: list[Section] = []
    if full and report.description:
        text = many_lines(report.description, _DESCRIPTION_LIMIT, words.shortened)
        sections.append(Section(words.description, text))
    if warnings := telling.warnings():
        sections.append(Section(words.warnings, "\n".join(f"– {warning}" for warning in warnings)))
    without = words.learning_rule.format(
        rule=one_line(incident.rule, 80), policy=one_line(incident.policy_name, 80), roles=", ".join(_first(telling))
    )
    return Letter(
        language=words.code,
        tone=tone_of(incident),
        word=words.subject_learning,
        headline=telling.headline,
        lead=(*telling.test_line(), telling.level_line, *telling.context()),
        alert=telling.police,
        alert_strong=True,
        advice=(),
        button=words.see_incident,
        link=link,
        sections=tuple(sections),
        tail=(without, words.learning_fields, words.reference.format(code=incident.code)),
    )


def _first(telling: Telling) -> tuple[str, ...]:
    """The roles of the first step at which somebody is present now."""
    incident, rules, now = telling.incident, telling.rules, telling.now
    for step in incident.policy.steps:
        present = tuple(role for role in step.tell if rules.people(incident.site, role, now))
        if present:
            return tuple(map(telling.words.role, present))
    return (telling.words.role(EMERGENCY_ROLE),)
