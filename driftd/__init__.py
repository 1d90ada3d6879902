"""driftd: GitOps drift detection and reconciliation for Kubernetes."""

__version__ = "0.1.0"
