"""Python's garbage collector, kept from stopping what is urgent."""

import gc


def calm() -> None:
    """Leave what a start has built out of garbage collection, and collect less often: each round stops everything."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
