"""One conversation with a mail server, and which of two servers is spoken to."""
