"""What other deployers (Argo CD, Flux) deploy to a cluster, as apps."""
