"""Devices that must report: who is silent, and the mails about them."""
