"""One module per emitter: raw request -> events, or a named reason why not."""
