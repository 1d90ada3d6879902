"""The line in Git that a difference contradicts, who wrote it, and whether the cluster only lags behind."""
