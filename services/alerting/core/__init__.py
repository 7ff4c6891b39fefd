"""The pure core: what to do about an event, a deadline, a click or a mail's result.

No await, clock, log, random, environment or I/O here (import-linter holds it); `now` is always passed in.
"""
