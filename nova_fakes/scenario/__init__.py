"""Scenarios that are run on a sandbox: the demo, its ping mesh, its leak check and its report."""
