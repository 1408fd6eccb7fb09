"""Nothing lost: faults, hostile files, bad input (`make test-faults`)."""
