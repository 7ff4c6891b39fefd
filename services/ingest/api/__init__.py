"""HTTP: who may send, what a body may be, what the answers say, and how all of it is documented."""
