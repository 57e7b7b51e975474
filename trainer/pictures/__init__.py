"""The pictures of the report page, one kind each: arrays in, a figure out."""
