"""Whether objects are healthy, read off the objects themselves. Pure: no I/O, no clock."""
