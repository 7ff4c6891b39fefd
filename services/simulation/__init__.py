"""What would happen: imagined or past events played through the very code that decides about real ones."""
