"""What Git declares for an app, found in this process or in a worker."""
