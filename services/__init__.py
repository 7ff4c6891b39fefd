"""The two services, what they share, and the embedded default."""
