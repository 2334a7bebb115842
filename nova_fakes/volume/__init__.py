"""Fake volumes that hold bytes: copy-on-write disks, a store that refuses misuse, what serves them to others."""
