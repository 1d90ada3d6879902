"""From a folder in Git to the objects it declares: plain YAML and JSON, Kustomize, Helm."""
