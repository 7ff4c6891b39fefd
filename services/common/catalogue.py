"""Every log event there is: level, keys and meaning. `python -m services.common.catalogue` prints docs/logging.md.

Tests hold the code against this table in both directions. One line each; what a line is about
(`COMMON`) may be said with any event and is not repeated.
"""

import sys
from typing import Final, Literal, NamedTuple

LogLevel = Literal["debug", "info", "warning", "error", "critical"]


class Entry(NamedTuple):
    """One kind of log line: its level, the keys that it may carry besides `COMMON`, and what it means."""

    level: LogLevel
    keys: tuple[str, ...]
    meaning: str


STANDARD: Final = {
    "timestamp": "when it was written, ISO 8601 in UTC",
    "level": "debug, info, warning, error or critical",
    "event": "the name of what happened, as listed below",
    "service": "ingest, alerting or the command that writes",
    "version": "the version of Rufkette",
    "exception": "a list of `type`, `message` (errors of ours and of the operating system only) and `frames`; "
    "never local variables",
}
COMMON: Final = {
    "event_id": "the event, from the request to the mail",
    "incident_id": "the incident, that is the event id of its first report",
    "site": "the key of the site in the configuration",
    "source": "the key of the source in the configuration",
    "topic": "the Kafka topic",
    "partition": "its partition",
    "offset": "the position in it",
}

# fmt: off
CATALOGUE: Final[dict[str, Entry]] = {
    # processes
    "service.started": Entry("info", ("host", "port"), "The service is ready and listens on host and port."),
    "service.stopped": Entry("info", (), "Everything is closed."),
    "process.crashed": Entry("critical", (), "A bug ended the process; its supervisor restarts it."),
    "process.stuck": Entry("critical", ("what", "where"), "Only a restart frees what is stuck: the process ends with code 75; its supervisor restarts it."),
    "loop.crashed": Entry("error", ("loop",), "A background loop ended with a bug; the process ends with it."),
    "setting.unknown": Entry("warning", ("setting",), "An environment variable RUFKETTE_… that nothing reads."),
    "configuration.loaded": Entry("info", ("sites", "sources", "rules"), "The configuration was read; its counts."),
    "configuration.reloaded": Entry("info", ("sites", "sources", "rules"), "After a SIGHUP the new configuration is in force; its counts."),
    "configuration.refused": Entry("error", ("mistakes",), "After a SIGHUP the file has mistakes, each with line and path; the old configuration stays in force."),
    "migration.applied": Entry("info", ("revision",), "The database was brought to this revision."),
    "migration.newer": Entry("warning", ("revision",), "The database is of a newer version than this process, which goes on: migrations only add."),
    "migration.delayed": Entry("warning", ("attempt",), "A table that is to change is in use; tried again in a moment, so that nobody waits for us."),
    "audit.found": Entry("error", ("problem", "count", "ids"), "The self-audit found what must not be, and repaired it."),
    "log.lines_lost": Entry("error", ("lines",), "Nobody read the log for a while (a paused terminal, a log driver that hangs): so many lines after those before this one found no room. Nothing waited for them."),
    "library.logged": Entry("info", ("logger", "message", "repeated"), "A library's record, at the library's level."),
    # HTTP
    "request.handled": Entry("info", ("method", "route", "status", "duration_ms"), "A request was answered; ingest logs successful health checks, and what it accepted (`report.accepted` says more), at debug."),
    # the desk
    "page.refused": Entry("warning", ("status", "problem"), "A page could not be shown; the reader was told why."),
    "page.unavailable": Entry("error", ("error",), "A page needed the database, which did not answer."),
    # ingest
    "report.accepted": Entry("info", ("type", "status", "warnings", "duration_ms"), "The event is safe: `accepted`, on all replicas of Kafka; `queued`, on disk here. A press has the type `rufkette.incident.reported.v1`, a sign of life `rufkette.device.heartbeat.v1`."),
    "report.refused": Entry("warning", ("status", "problem", "fields"), "A report was answered with an error."),
    "report.ignored": Entry("info", ("reason",), "A message that is no press, such as a device's status."),
    "fields.learned": Entry("info", ("content", "fields", "unnamed", "left_out"), "A message of a source in learning mode: names and types of its fields; `unnamed` have names that may be values."),
    "report.differs": Entry("warning", (), "A sender used an id again for another body; the first one counts."),
    "event.forwarded": Entry("info", ("waited_s",), "Kafka has an event that was queued."),
    "event.unconfirmed": Entry("warning", ("publications",), "Alerting did not confirm a report, so it was published again; that doubles nothing."),
    "entry.given_up": Entry("error", (), "Alerting never confirmed the report for 7 days, though Kafka had it; it is dropped here."),
    "journal.loaded": Entry("info", ("entries",), "The journal holds events of an earlier process; this one answers for them now."),
    "journal.unavailable": Entry("error", ("reason", "since"), "The journal cannot be written; Kafka alone takes events; tried again without end."),
    "journal.recovered": Entry("info", ("after_s",), "The journal can be written again; what was kept in memory is on disk."),
    "journal.replaced": Entry("error", ("finding", "recovered"), "The journal's file is corrupt, foreign or newer: it is kept, another one is used."),
    "journal.entry_unreadable": Entry("error", (), "This version cannot read an entry of the journal; it stays there for one that can."),
    "journal.full": Entry("error", ("entries", "bytes"), "Too much waits to be confirmed; new events go to Kafka alone and are not watched."),
    "request.failed": Entry("error", ("method", "route"), "A bug: the request was answered with 500."),
    "watch.mailed": Entry("warning", ("mail_id", "reports"), "Nobody is known to have heard of these reports: ingest mailed the emergency contacts itself."),
    "watch.unmailable": Entry("error", ("mail_id", "contact", "relay", "attempt", "stage", "code"), "A mail server did not take the watch's mail for a contact (the first, second, … of the site, then of the organisation); the next server, then all again."),
    "watch.unpublished": Entry("warning", ("mail_id",), "What the watch mailed could not be published; alerting does not learn of it."),
    "callback.sent": Entry("info", ("status", "attempt"), "The receiver of a callback took the news for a device."),
    "callback.failed": Entry("warning", ("status", "attempt", "problem", "code"), "The receiver of a callback did not take it; tried again for an hour. `problem`: timeout, unreachable, redirected, refused or failing."),
    "callback.expired": Entry("warning", ("status",), "A callback could not be sent for an hour and is old news; dropped."),
    "callback.suspended": Entry("error", ("failures", "seconds"), "The receiver of a source's callbacks failed again and again; it is left alone for these seconds, then longer, up to 5 minutes."),
    "callback.resumed": Entry("info", (), "The receiver of a source's callbacks answers again."),
    "callback.forgotten": Entry("warning", (), "More than 5000 presses are remembered for callbacks; the oldest one's device hears no more of it."),
    "callback.unstored": Entry("error", ("error",), "The callbacks' file cannot be used; they go on from memory, and a restart may forget some."),
    "lifecycle.unreadable": Entry("warning", ("reason",), "A record of incidents.lifecycle that says nothing to us."),
    "lifecycle.interrupted": Entry("debug", ("error",), "Reading incidents.lifecycle failed; it starts again."),
    # what the services depend on
    "probe.missing": Entry("error", (), "A probe of the whole chain did not come back in time (or the journal cannot be written): `LIFESIGN_URL` is not called."),
    "probe.returned": Entry("info", ("after_s",), "Probes come back again."),
    "probe.unmailable": Entry("error", ("stage", "code"), "A probe came as far as the mail server, which would take no mail for the first emergency contact."),
    "lifesign.unheard": Entry("warning", ("code",), "The chain works, but the address of `LIFESIGN_URL` did not answer with success."),
    "source.limited": Entry("warning", (), "A source sends more than it may (never about presses): 429; said every half minute."),
    "source.learning": Entry("warning", (), "The source is in learning mode: a real alarm of it is mailed to its test address alone. Said at the start, at each reload and every hour."),
    "mqtt.connected": Entry("info", ("topics", "client_id"), "The source's MQTT broker took the subscriptions; it knows our session by `client_id`."),
    "mqtt.unreachable": Entry("error", ("error", "reason"), "The source's MQTT broker is away or refuses us; tried again without end, said every half minute."),
    "instance.unkept": Entry("warning", ("reason",), "The file beside the journal that tells this ingest from others, also after a restart, cannot be used: sessions at MQTT brokers go by hostname and path."),
    "mqtt.failed": Entry("error", (), "A bug: a message of the source's broker was not understood and is lost; the next ones go on."),
    "mqtt.recovered": Entry("info", ("after_s",), "The broker is back; what it kept for us comes now."),
    "kafka.unreachable": Entry("error", ("error", "since"), "Kafka does not answer; tried again without end."),
    "kafka.recovered": Entry("info", ("after_s",), "Kafka answers again."),
    "database.unreachable": Entry("error", ("error", "since"), "PostgreSQL does not answer; tried without end."),
    "database.recovered": Entry("info", ("after_s",), "PostgreSQL answers again."),
    "mail_server.unreachable": Entry("error", ("error", "since"), "The mail server cannot be reached; tried without end."),
    "mail_fallback.unreachable": Entry("error", ("error", "since"), "The fallback mail server cannot be reached; mails go over the normal one."),
    "mail_fallback.recovered": Entry("info", ("after_s",), "The fallback mail server can be reached again."),
    "fallback.engaged": Entry("error", ("stage", "code", "failures"), "The normal mail server is in trouble: all mails go over the fallback; said once."),
    "fallback.released": Entry("info", (), "The normal mail server takes mails again, and gets them."),
    "mail_server.recovered": Entry("info", ("after_s",), "The mail server can be reached again."),
    "name_service.unreachable": Entry("error", ("error", "since"), "A mail server's name cannot be looked up; where its address was known once, mails go there."),
    "name_service.recovered": Entry("info", ("after_s",), "Host names can be looked up again."),
    # what alerting reads
    "partition.claimed": Entry("info", ("offset",), "This process now reads the partition, from this offset."),
    "partition.released": Entry("info", (), "The partition went to another process: the share is fair, or the lease ran out."),
    "partition.lost": Entry("warning", (), "The lease ran out or was taken: what was not stored is read elsewhere."),
    "log.diverged": Entry("error", ("beginning",), "Kafka no longer holds what was read; the partition is read from its start."),
    "batch.redone": Entry("debug", ("error",), "Presses could not be written in one round trip, and are applied under locks."),
    "events.let_past": Entry("info", ("events",), "So much waits to be read that the most urgent events of the partition were applied before their turn."),
    "events.not_let_past": Entry("debug", ("error",), "Urgent events could not be applied before their turn; they are when it comes."),
    "clock.differs": Entry("warning", ("seconds",), "PostgreSQL's clock, which all steps go by, is ahead of this machine's by so many seconds."),
    "record.unforeseen": Entry("error", ("topic", "partition", "offset", "exception"), "A bug: a record could not be read for a reason that nobody thought of; it is rejected like an unreadable one."),
    "record.too_large": Entry("error", ("seq", "bytes"), "Kafka takes no record of this size on the topic: it stays in the table `relay` and is tried again every ten minutes; all others go on."),
    "record.rejected": Entry("error", ("reason",), "A record went to incidents.events.rejected; reading goes on."),
    "breaker.tripped": Entry("error", (), "Most records are unreadable: this process reads nothing more; see the runbook."),
    "deadline.set_aside": Entry("error", ("attempts", "minutes"), "The incident's next step ended the process three times; tried again after these minutes, the emergency contacts are told."),
    "trouble.told": Entry("info", ("mail_id", "attempt"), "An emergency contact's mail server took the mail about something set aside."),
    "trouble.untold": Entry("error", ("mail_id", "attempt", "stage", "code"), "The mail about something set aside was not taken; tried again."),
    "event.duplicate": Entry("info", ("differs",), "The event was applied before; `differs`: with another body, the first one counts."),
    "event.held": Entry("info", (), "The event's incident is not known yet; it waits for it for 24 hours."),
    "event.without_effect": Entry("info", ("danger_level", "mode", "reason"), "What another system said about the incident changed nothing; the reason names why."),
    "event.expired": Entry("warning", (), "The incident of a held event never came; the event is dropped."),
    # what happens to incidents
    "incident.opened": Entry("info", ("danger_level", "mode", "rule", "policy", "mails"), "A report opened an incident; `mails` are on their way."),
    "learning.ignored": Entry("warning", (), "A report is marked as learning, but this configuration does not say so of its source: it is treated as real."),
    "incident.merged": Entry("info", ("danger_level", "mode", "reason", "mails"), "A report joined an open incident at its place."),
    "incident.joined": Entry("info", ("danger_level", "mode", "into", "mails"), "A person made the incident part of another one, where it goes on."),
    "incident.split": Entry("info", ("danger_level", "mode", "new_id"), "A person split reports off the incident; they opened `new_id`."),
    "incident.suppressed": Entry("info", ("danger_level", "mode", "silence_id"), "A planned silence holds a harmless form's mails back until it ends."),
    "incident.escalated": Entry("info", ("danger_level", "mode", "reason", "step", "cycle", "repetition", "mails"), "A step was taken; the reason names why."),
    "incident.acknowledged": Entry("info", ("danger_level", "mode", "mails"), "A person took the incident over; those told are informed."),
    "incident.police_called": Entry("info", ("danger_level", "mode", "mails"), "A person confirmed that 110 was called; those told are informed of the first call."),
    "incident.handed_over": Entry("info", ("danger_level", "mode"), "A person passed the matter to the police."),
    "incident.closed": Entry("info", ("danger_level", "mode", "outcome", "mails"), "A person closed the incident."),
    "incident.changed": Entry("debug", ("danger_level", "mode", "reason"), "Another change, or none; the reason names it."),
    "nobody.present": Entry("error", ("danger_level", "mode", "step", "cycle", "repetition", "mails"), "Nobody of the rules can be told, or all were refused: the emergency contacts are told."),
    "upkeep.failed": Entry("error", ("loop",), "A bug in work that no alarm needs (mails about devices, callbacks, the end of silences, retention, the self-audit); alarms go on, it is tried again."),
    # devices: `device_id` is the id without case and separators
    "device.silent": Entry("warning", ("device_id",), "A device that must report did not for longer than `expect_every`; a mail goes to maintenance, once."),
    "device.recovered": Entry("info", ("device_id",), "A silent device reports again."),
    "device.battery_low": Entry("warning", ("device_id",), "The device's battery is at or below `battery_low`; a mail goes to maintenance, once."),
    "device.battery_restored": Entry("info", ("device_id",), "The device's battery is well above `battery_low` again."),
    # what people plan
    "test.announced": Entry("info", ("test_id", "devices", "minutes"), "Somebody announced a test of buttons; 0 devices: all of the site."),
    "silence.planned": Entry("info", ("silence_id", "device", "minutes"), "Somebody planned a silence for harmless forms; `device`: of one device only."),
    "plan.ended": Entry("info", ("plan_id", "kind"), "Somebody ended a test or a silence before its time."),
    "silence.ended": Entry("info", ("silence_id", "held_back"), "A silence is over; so many incidents that it held back are told now."),
    "hold.placed": Entry("info", (), "Somebody placed a hold: nothing of the incident is forgotten or deleted."),
    "hold.ended": Entry("info", (), "Somebody ended a hold; retention has the incident again."),
    "retention.applied": Entry("info", ("forgotten", "deleted"), "So many incidents lost their personal data, so many were deleted: their time was over, and no hold spared them."),
    # mails and changes going out
    "mails.not_taken": Entry("error", ("via", "stage", "code"), "Five mails in a row, whoever they were for, were not taken by a mail server that lets us in; said once."),
    "mails.taken_again": Entry("info", ("via",), "The mail server takes mails again."),
    "mail.accepted": Entry("info", ("mail_id", "purpose", "role", "step", "cycle", "repetition", "attempt", "via", "stage", "code", "duration_ms"), "A mail server took the mail."),
    "mail.deferred": Entry("warning", ("mail_id", "purpose", "role", "step", "cycle", "repetition", "attempt", "via", "stage", "code", "duration_ms", "seconds"), "Not taken now; tried again after these seconds."),
    "mail.unreadable": Entry("error", ("mail_id", "error"), "This version cannot read the mail: left to a newer one; looked at again after a minute, when the emergency contacts are told."),
    "mail.undecided": Entry("error", ("mail_id",), "A bug: a mail server's answer is recorded, but what follows from it could not be decided; the emergency contacts are told, others go on."),
    "mail.unwritable": Entry("error", ("mail_id", "attempt"), "A bug: the mail could not be composed or handed over; tried three times, then set aside; others go on."),
    "mail.refused": Entry("error", ("mail_id", "purpose", "role", "step", "cycle", "repetition", "attempt", "via", "stage", "code", "duration_ms"), "The mail server refuses this recipient or mail for good."),
    "mail.set_aside": Entry("error", ("mail_id", "purpose", "role", "step", "cycle", "repetition", "attempt", "via", "stage", "code", "duration_ms"), "The mail fails for its own sake (content refused, a bug, a process that ends over it); for an alarm the next step is taken and the emergency contacts get a plain mail."),
    "mail.expired": Entry("info", ("mail_id", "purpose", "role", "step", "cycle", "repetition", "attempt", "via", "stage", "code", "duration_ms"), "A mail that only informs could not be sent for so long that it is old news; dropped. Never an alarm."),
    "lifecycle.relayed": Entry("debug", ("records",), "Changes were written to incidents.lifecycle."),
    "lag.unshown": Entry("debug", ("error",), "The position could not be written for lag tools; nothing else needs it."),
    "client.abandoned": Entry("debug", ("error",), "A connection could not be closed in time; it is left to time out."),
}
# fmt: on


def document() -> str:
    """docs/logging.md."""
    lines = [
        "# Logs",
        "",
        "<!-- Generated from services/common/catalogue.py by `make generate`; a test holds it current. -->",
        "",
        "Both services write one JSON object a line to standard output (a terminal gets coloured text instead;",
        "`RUFKETTE_LOG_FORMAT` decides). Event names are static, values are in keys of their own, and there is no",
        "personal data: no names, mail addresses, descriptions, room names, links or keys. As a second net",
        "everything that looks like a mail address, a link to the desk or a key is replaced before it is written.",
        "",
        "Follow one press from request to mail by its `event_id`, for example",
        "`rufkette run --data-dir data | grep 2b6e1f0c` – and by `incident_id` from the mails on.",
        "",
        "## Keys of every line",
        "",
        "| key | meaning |",
        "|---|---|",
        *(f"| `{key}` | {meaning} |" for key, meaning in STANDARD.items()),
        "",
        "## Keys that any line may have",
        "",
        "| key | meaning |",
        "|---|---|",
        *(f"| `{key}` | {meaning} |" for key, meaning in COMMON.items()),
        "",
        "## Events",
        "",
        "| event | level | keys | meaning |",
        "|---|---|---|---|",
    ]
    for name, entry in sorted(CATALOGUE.items()):
        keys = ", ".join(f"`{key}`" for key in entry.keys) or "–"
        lines.append(f"| `{name}` | {entry.level} | {keys} | {entry.meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
