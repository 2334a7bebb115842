"""New key pairs for users who bring none (microversions below 2.92)."""

from __future__ import annotations

__all__ = ["new_key"]


def new_key() -> tuple[str, str]:
    """Return a new private key (PEM) and its public key in OpenSSH's form, as nova makes them: ECDSA, 384 bits."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP384R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} Generated-by-Nova"
