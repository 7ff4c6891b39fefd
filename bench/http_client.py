"""One HTTP connection kept open, blocking, with nothing in it that takes time of its own."""

import socket


class HttpError(Exception):
    """An answer that is no success."""


class HttpClient:
    """POSTs JSON to one path of a server on this machine. `headers` are whole lines."""

    def __init__(self, port: int, path: str, headers: tuple[str, ...] = ()) -> None:
        lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Type: application/json", *headers]
        self.head = "\r\n".join(lines).encode()
        self.port = port
        self._socket = _connected(port)

    def connect_anew(self) -> None:
        """Servers close connections that were idle for some seconds."""
        self.close()
        self._socket = _connected(self.port)

    def post(self, body: bytes) -> bytes:
        """Send a body; returns the answer's body.

        Raises:
            HttpError: the answer is not 2xx.
            OSError: the connection broke.
        """
        self._socket.sendall(b"%b\r\nContent-Length: %d\r\n\r\n%b" % (self.head, len(body), body))
        head, _, content = self._read_until(b"\r\n\r\n").partition(b"\r\n\r\n")
        length = length_in(head)
        while len(content) < length:
            content += self._receive()
        if not head.split(b" ", 2)[1].startswith(b"2"):
            raise HttpError(f"{head.splitlines()[0].decode()}: {content.decode(errors='replace')}")
        return content

    def close(self) -> None:
        self._socket.close()

    def _read_until(self, end: bytes) -> bytes:
        data = b""
        while end not in data:
            data += self._receive()
        return data

    def _receive(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data


def _connected(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def length_in(head: bytes) -> int:
    """The length of the content, by the lines of an answer's head."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
