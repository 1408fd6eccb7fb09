"""Evidence: what was measured about a bundle. No torch in here."""
