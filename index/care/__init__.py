"""What keeps a gallery sound, small and portable."""
