"""The pure floor: bundle, detector, normaliser, tail, incidents, fold. No Redis, no HTTP."""
