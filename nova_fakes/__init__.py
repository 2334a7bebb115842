"""A compute cloud without hypervisors."""

__version__ = "0.1.0"

__all__ = ["__version__"]
