"""What driftd may do for an app, and what it should do now. Pure: no I/O, no clock."""
