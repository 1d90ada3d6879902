"""The kinds that the sandbox serves: their types, defaults and forms, built in or from CRDs."""
