"""What comes from elsewhere than Git: charts of Helm repositories, artifacts of registries. Each becomes a commit."""
