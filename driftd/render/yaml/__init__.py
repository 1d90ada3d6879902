"""YAML and JSON documents as values with the positions of their lines, read within limits."""
