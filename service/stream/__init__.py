"""State and delivery: the store, the batcher, the path of a point, the alert log."""
