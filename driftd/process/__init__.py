"""What reaches into the interpreter or into another library: one function for each, with its reason."""
