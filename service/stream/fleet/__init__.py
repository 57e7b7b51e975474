"""The fleet: the newest of every entity and its cells of time, for who looks at all of them."""
