"""Alerting: applies the escalation rules to events, mails people, keeps what happened."""
