"""The desired state of an app, fetched and rendered in this process or in a worker."""
