"""From the outbox to the mail server: how a mail looks on the wire, and what became of it."""
