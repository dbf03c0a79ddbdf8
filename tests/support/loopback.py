"""httpx for tests: straight to a loopback port, so no proxy of the environment, and no certificates to load.

Loading them takes each client 25 ms of CPU: for tests that ask a starting server again and again, almost all they did.
"""

from __future__ import annotations

import ssl
from functools import partial

import httpx2

_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

Client = partial(httpx2.Client, trust_env=False, verify=_NO_CERTIFICATES)
AsyncClient = partial(httpx2.AsyncClient, trust_env=False, verify=_NO_CERTIFICATES)
request = partial(httpx2.request, trust_env=False, verify=_NO_CERTIFICATES)
stream = partial(httpx2.stream, trust_env=False, verify=_NO_CERTIFICATES)
get = partial(httpx2.get, trust_env=False, verify=_NO_CERTIFICATES)
post = partial(httpx2.post, trust_env=False, verify=_NO_CERTIFICATES)
head = partial(httpx2.head, trust_env=False, verify=_NO_CERTIFICATES)
delete = partial(httpx2.delete, trust_env=False, verify=_NO_CERTIFICATES)
