"""The pictures of the reports and of a training, one kind each: arrays in, a figure out."""
