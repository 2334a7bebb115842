"""Certificates that commands are given, for what they serve."""

from __future__ import annotations

import ssl
from pathlib import Path

from nova_fakes.exceptions import InvalidInput

__all__ = ["server_tls"]


def server_tls(
    option: str, certificate: Path | None, key: Path | None, client_ca: Path | None
) -> ssl.SSLContext | None:
    """Return a context for a server with these PEM files; None without a certificate.

    :param option: that named the certificate
    :param key: None: it is in the certificate's file
    :param client_ca: of those who sign clients' certificates; None: clients are asked for none
    :raises InvalidInput: the files do not belong together, or the certificate itself is missing
    """
    if certificate is None:
        if key is not None or client_ca is not None:
            given = str(key if key is not None else client_ca)
            raise InvalidInput("key" if key is not None else "client-ca", given, f"give --{option} with it")
        return None
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        tls.load_cert_chain(certificate, key)
        if client_ca is not None:
            tls.load_verify_locations(client_ca)
            tls.verify_mode = ssl.CERT_OPTIONAL
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(option, str(certificate), f"give PEM files that belong together ({error})") from None
    return tls
