"""Training. The runtime never imports this wing."""
