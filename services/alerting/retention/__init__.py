"""How long incidents are kept: what is forgotten, what is deleted, and the holds that pause both."""
