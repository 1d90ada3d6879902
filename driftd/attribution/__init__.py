"""Attribution of drift in Git: the declaring line, its author, and whether the cluster only lags behind."""
