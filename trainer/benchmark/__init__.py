"""The detection benchmark: public and made suites, honest measures, tables for the docs."""
