"""The yearly report: from the database, as text, CSV and JSON, frozen and compared."""
