"""A server for one page on this machine: loopback only, a token in every request, names checked."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import parse_qs, urlsplit

from affinitynet.errors import InputError, system_error
from affinitynet.files import voc_palette
from affinitynet.tools.review.session import ConflictError, ReviewSession, UnknownImageError

LARGEST_BODY = 2**20  # bytes; a long stroke has fifty thousand
MOST_DIGITS = 12  # of a request's length; Python refuses to read thousands of them
HOST = "127.0.0.1"

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class ReviewServer(ThreadingHTTPServer):
    """Serves the page and what it asks for.

    Args:
        session: the images under review.
        port: 0 for a free one.

    Raises:
        InputError: the port is in use.
    """

    daemon_threads = True

    def __init__(self, session: ReviewSession, port: int = 0) -> None:
        self.session, self.token = session, secrets.token_urlsafe(24)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise InputError(f"--port {port}: cannot be used ({error.strerror}); choose another, or 0") from None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that has gone away before it had its answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{HOST}:{self.server_port}/?token={self.token}"

    def page(self) -> str:
        """Return the page, with everything it needs."""
        folder, nonce = resources.files("affinitynet.tools.review"), secrets.token_urlsafe(12)
        text = {
            part: (folder / f"page.{part}").read_text(encoding="utf-8") for part in ("html", "css", "js", "canvas.js")
        }
        facts = {"classes": self.session.classes, "colours": _colours(), "token": self.token}
        page = text["html"].replace("NONCE", nonce).replace("/* STYLE */", text["css"])
        script = text["js"].replace("FACTS", json.dumps(facts).replace("<", "\\u003c")) + text["canvas.js"]
        return page.replace("/* SCRIPT */", script)


def _colours() -> list[str]:
    """Return the colours of the labels, VOC's hues, bright enough to see on a photograph."""
    palette = voc_palette()
    found = []
    for value in range(256):
        colour = palette[3 * value : 3 * value + 3]
        brightest = max(*colour, 1)
        found.append("#" + "".join(f"{255 * part // brightest:02x}" for part in colour))
    return found


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: ReviewServer
    server_version, sys_version = "affinitynet", ""
    timeout = 30

    def do_GET(self) -> None:
        """Answer what only looks."""
        address = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(address.query).items()}
        if address.path == "/":
            if self._may(query.get("token")):
                self._page()
            return
        if not self._may(self.headers.get("X-Token")):
            return
        session, name = self.server.session, _named(query.get("name", ""))
        if address.path == "/api/images":
            self._answer(lambda: [asdict(image) for image in session.images()])
        elif address.path == "/api/state":
            self._answer(lambda: session.state(name))
        elif address.path == "/api/prepare":
            self._answer(lambda: session.prepare(name))
        elif address.path == "/api/picture":
            self._picture(name)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "no such page")

    def do_POST(self) -> None:
        """Answer what changes an image."""
        length = self.headers.get("Content-Length", "")
        readable = length.isascii() and length.isdigit() and len(length) <= MOST_DIGITS
        size = int(length) if readable else 0
        if not readable or size > LARGEST_BODY:
            if size <= 2 * LARGEST_BODY:
                self.rfile.read(size)  # who is still sending would find a broken line instead of the answer
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request is too large")
            return
        body = self.rfile.read(size)
        if not self._may(self.headers.get("X-Token")):
            return
        found = asked(body)
        if urlsplit(self.path).path != "/api/act":
            self._refuse(HTTPStatus.NOT_FOUND, "no such page")
        elif found is None:
            self._refuse(HTTPStatus.BAD_REQUEST, "not an action on an image")
        else:
            self._answer(lambda: self.server.session.act(*found))

    def _may(self, token: str | None) -> bool:
        """Return whether a request comes from our page; if not, refuse it.

        A page of another site can neither know the token nor set the header; one that has taken over a name of its
        own to lead here gives itself away by the name.
        """
        own = {f"{host}:{self.server.server_port}" for host in (HOST, "localhost")}
        origin = self.headers.get("Origin")
        known = token is not None and secrets.compare_digest(token.encode(), self.server.token.encode())
        if known and self.headers.get("Host") in own and (origin is None or urlsplit(origin).netloc in own):
            return True
        self._refuse(HTTPStatus.FORBIDDEN, "open the address that `affinitynet review` printed")
        return False

    def _answer(self, make: Callable[[], Any]) -> None:
        """Send what a function returns as JSON."""
        self._try("application/json", lambda: json.dumps(make()).encode())

    def _picture(self, name: str) -> None:
        self._try("image/jpeg", lambda: self.server.session.picture(name))

    def _try(self, kind: str, make: Callable[[], bytes]) -> None:
        """Send what a function returns, or say what is wrong."""
        try:
            content = make()
        except UnknownImageError:
            self._refuse(HTTPStatus.NOT_FOUND, "no such image")
        except ConflictError:
            self._refuse(HTTPStatus.CONFLICT, "the image was changed in another tab: this is how it is now")
        except InputError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        except OSError as error:
            cure = "make sure that its drive is there and has room, and do it again"
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"{system_error(error)}; {cure}")
        else:  # an error of sending is none of the drive
            self._send(HTTPStatus.OK, kind, content)

    def _page(self) -> None:
        page = self.server.page()
        nonce = page.partition('nonce="')[2].partition('"')[0]
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src blob:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        self._send(HTTPStatus.OK, "text/html; charset=utf-8", page.encode(), {"Content-Security-Policy": policy})

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._send(status, "application/json", json.dumps({"error": why}).encode())

    def _send(self, status: HTTPStatus, kind: str, content: bytes, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **HEADERS, **(more or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Keep the terminal for what people should read."""


def _named(text: str) -> str:
    r"""Return the name in an address: it is written as in JSON, since file names need not be text.

    Example:
        >>> ascii(_named(r"caf\udce9")), _named("garden/cat 1"), _named('"')
        ("'caf\\udce9'", 'garden/cat 1', '')
    """
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return ""


def asked(body: bytes) -> tuple[str, int, dict[str, Any]] | None:
    """Return name, version and action of a request; ``None`` if it is something else."""
    try:
        content = json.loads(body)
        name, version, action = content["name"], content["version"], content["action"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    fits = isinstance(name, str) and type(version) is int and isinstance(action, dict)
    return (name, version, action) if fits else None
