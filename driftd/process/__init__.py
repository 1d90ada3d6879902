"""What reaches into the interpreter or into another library: one function for each, with its reason.

Nothing heavy is imported at the top of these modules, except where a module's name says so (`tls`, `lazy_ca`).
"""
