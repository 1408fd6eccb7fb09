"""Packs replayed by the servers and runtimes that they are for: `make test-deploy`.

What cannot be installed is a failure here, not a skip.
"""
