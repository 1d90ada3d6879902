"""What the cluster has, and who changed it."""
