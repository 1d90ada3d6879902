"""What other deployers (Argo CD, Flux, Helm) deploy to a cluster, as apps."""
