"""Kafka, PostgreSQL and a mail catcher from packages, for `rufkette run` and the tests; never used in production."""
