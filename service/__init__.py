"""Gaugewatch: the service that scores every point of every entity. Installs without torch."""
