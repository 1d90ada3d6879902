"""The configuration: one YAML file, validated with the place of every mistake. `load` of `loading` reads it."""
