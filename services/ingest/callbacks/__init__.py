"""Answers to buttons: what became of a press, told to the device that it came from. Off unless configured."""
