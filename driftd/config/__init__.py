"""The configuration: one YAML file, validated; every mistake is reported with its position. See `loading.load`."""
