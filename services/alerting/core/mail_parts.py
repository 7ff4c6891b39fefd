"""What every mail consists of, in reading order, and its plain text."""

from dataclasses import dataclass

from schemas.events import Mode
from services.alerting.core.incident import Incident


@dataclass(frozen=True, slots=True)
class Section:
    """A further paragraph; `body` may have several lines."""

    heading: str
    body: str


@dataclass(frozen=True, slots=True)
class Letter:
    """The content of a mail, in reading order. All texts are plain: whoever renders them escapes them.

    `tone` colours the HTML, `word` is shown in it. The plain text needs neither: the subject says it.
    """

    language: str
    tone: str
    word: str
    headline: str
    lead: tuple[str, ...]
    alert: str
    alert_strong: bool
    advice: tuple[str, ...]
    button: str
    link: str
    sections: tuple[Section, ...]
    tail: tuple[str, ...]
    call: tuple[str, str] | None = None
    """The number that a tap on a phone dials, and how that is headed. The plain text has it in its advice."""

    def as_text(self) -> str:
        """Plain text; the first line is what a phone previews."""
        blocks = [
            "\n".join((self.headline, *self.lead)),
            "\n".join((self.alert, *self.advice)),
            f"{self.button}:\n{self.link}",
            # Indented, so that no line of a description can pass for a line of ours.
            *(_indented(section) for section in self.sections),
            "\n".join(self.tail),
        ]
        return "\n\n".join(blocks) + "\n"


def _indented(section: Section) -> str:
    if not section.heading:
        return section.body
    return "\n".join((section.heading, *(f"  {line}" for line in section.body.split("\n"))))


def tone_of(incident: Incident) -> str:
    """The colour of what asks for something: by level, unless it is an exercise or is over."""
    if incident.mode is Mode.EXERCISE or incident.learning:
        return "exercise"
    return f"level{incident.level}" if incident.acute else "notice"
