"""What is not confirmed yet: on disk before the answer, published again until alerting took it."""
