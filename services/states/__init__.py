"""Every state of an incident with every input: made from the code, for docs/states.md and its test."""
