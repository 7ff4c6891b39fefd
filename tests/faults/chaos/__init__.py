"""A seeded schedule of faults under load, and a checker over everything that happened."""
