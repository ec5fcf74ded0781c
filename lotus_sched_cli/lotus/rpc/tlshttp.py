"""The connection of `plainhttp` over TLS."""

from __future__ import annotations

import ssl

from .plainhttp import Connection


class TlsConnection(Connection):
    """Certificates are checked against the system's."""

    def connect(self) -> None:
        super().connect()
        assert self.sock is not None and self._file is not None
        self._file.close()
        self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self._host)
        self._file = self.sock.makefile("rb")
