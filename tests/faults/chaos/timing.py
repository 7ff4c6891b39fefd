"""How long things may take: what the promise says, and what the services are built for. All in seconds."""

from typing import Final

WATCH_AFTER: Final = 5.0
"""The setting of the runs; shorter than in real life, so that the watch has something to do."""
CONVERSATION: Final = 20.0
"""One attempt at a mail: what was claimed before a take-over may still arrive within it."""
COMMIT: Final = 5.0
"""From a decision to its commit at the latest: `transaction_timeout`."""
QUICK_COMMIT: Final = 2.0
"""The same, if nothing is wrong with the database; a hundred times what it takes on a quiet machine."""
ORPHANED: Final = 7.0
"""After so long a mail whose sender is gone is sent by another one: 5 s without life, or a first lease of 6 s."""
RECORDED: Final = COMMIT
"""From a mail server's answer to its record, if nothing is away: a tenth of a second, and on a busy machine what one
commit may take, as the next answers wait for it."""
MOMENT: Final = 1.0
"""From the end of a mail to the answer and its line in the log, if nothing is in the way."""
NOTED: Final = 4.0
"""From a mail server's answer to the watch until that is on the disk, if nothing is away; a disk is given 2 s."""
REWRITTEN: Final = 2.0
"""From when a disk is back until the journal has everything again: it is tried each second."""
APART: Final = 60.0
"""Between two mails of one watch about a site."""
WATCH_TRIES: Final = (5.0, 10.0, 20.0, 40.0, 60.0)
"""Pauses of the watch between attempts at a mail, the last for ever; each attempt asks two servers."""
WATCH_ATTEMPT: Final = 25.0
PATIENCE: Final = 5.0
"""For a mail server while another one can be asked; what it takes to answer longer than that, nobody hears."""
CONFIRMED: Final = 2.0
"""From a record on the lifecycle to every ingest that reads it, if nothing is away."""
BACK: Final = 20.0
"""From the end of a fault until all goes its normal way: clients reconnect, partitions are claimed, queues empty."""
LONGEST_WAIT: Final = WATCH_AFTER + APART + 30.0
"""The watch's time, its minute between two mails, and a restart with all that it reads first."""
