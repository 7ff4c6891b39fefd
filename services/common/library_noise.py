"""What libraries log and nobody needs to read: held back before it is written."""

import logging
import time

_REPEAT_AFTER = 30.0


class OnceInAWhile(logging.Filter):
    """Lets the Kafka client's same complaint through once in 30 s: it repeats it ten times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is written."""
        if not record.name.startswith("aiokafka"):
            return True
        key = (record.name, str(record.msg))
        last, held_back = self._seen.get(key, (float("-inf"), 0))
        now = time.monotonic()
        if now - last < _REPEAT_AFTER:
            self._seen[key] = (last, held_back + 1)
            return False
        self._seen[key] = (now, 0)
        record.repeated = held_back
        return True


class NoAbandonedCommit(logging.Filter):
    """Holds back that a commit of the consumer group failed after we had stopped waiting for it.

    The client shields the commit from our cancelling, so that its failure has no reader left and asyncio logs it as an
    error. The group is for lag tools only, and `kafka.unreachable` says that Kafka is away. Any other error, and that
    of any other task, is let through.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is written."""
        if record.name != "asyncio" or not isinstance(record.exc_info, tuple):
            return True
        error = record.exc_info[1]
        of_kafka = isinstance(error, OSError) or type(error).__module__.startswith("aiokafka.")
        return not (of_kafka and "GroupCoordinator._do_commit_offsets" in record.getMessage())
