"""Ingest: receives presses and forms, answers when they are safe on Kafka."""
