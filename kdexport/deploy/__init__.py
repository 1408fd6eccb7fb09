"""Bundle to packs that servers and runtimes load as they are. Needs no torch."""
