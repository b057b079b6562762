"""A database that follows the Multi-PIE protocol, rendered from a morphable head with clean terms."""
