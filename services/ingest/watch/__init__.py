"""Mails the emergency contacts about presses that nobody is known to have heard of."""
