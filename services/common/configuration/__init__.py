"""The configuration file: read, checked with every mistake at its place."""
