"""One module a version, applied in order."""
