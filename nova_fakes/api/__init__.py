"""Fakes of the OpenStack APIs that nova calls, and the server that they share.

Each service is a plain, thread-safe model (`IdentityService`, `ImageService`, …) under a thin Flask application that
gives it the real one's paths, shapes and errors. `nova_fakes.api.server.Server` mounts them side by side on one port.
"""
