"""The pages that people reach from a mail."""
