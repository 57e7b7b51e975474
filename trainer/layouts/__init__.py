"""The published layouts of data sets, one file each: what lies where, and its quirks."""
