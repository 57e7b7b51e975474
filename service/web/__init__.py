"""Faces: translation between HTTP and the stream floor, no decisions."""
