"""The access log of a small shop, a day of it, and what is planted there; `generate.py` writes it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
from logs import DAY, HOUR, MINUTE, MONTHS, START, STRANGERS, Log, over_the_day, pick, words

SITE = "https://shop.example"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:135.0) Gecko/20100101 Firefox/135.0"
AGENTS = (
    FIREFOX,
    "Mozilla/5.0 (Windows NT 10.0; rv:135.0) Gecko/20100101 Firefox/135.0",
    "Mozilla/5.0 (Android 14; Mobile; rv:135.0) Gecko/135.0 Firefox/135.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/133.0.0.0 Safari/537.36",
)
PAGES = ("/", "/new", "/sale", "/c/tea", "/c/coffee", "/c/cups", "/c/pots", "/about", "/shipping", "/search?q=oolong")
ASSETS = (("/s/shop.css", 18_422), ("/s/shop.js", 61_903), ("/s/logo.svg", 4_117), ("/s/serif.woff2", 28_664))
GONE = (
    "/favicon.ico",
    "/apple-touch-icon.png",
    "/c/gifts",
    "/p/1031",
    "/blog",
    "/s/old.css",
    "/.well-known/traffic-advice",
)
KNOCKS = ("/wp-login.php", "/.env", "/.git/config", "/xmlrpc.php", "/phpmyadmin/", "/", "/robots.txt")
PROBED = words(
    "/.env /.env.bak /.git/HEAD /.git/config /.svn/entries /.htaccess /.htpasswd /wp-login.php /wp-admin/  "
    "/xmlrpc.php /admin /admin/login /administrator/ /phpmyadmin/ /pma/ /mysql/ /backup.zip /backup.sql /db.sql  "
    "/dump.sql /www.zip /config.php /config.php.bak /config.json /web.config /server-status /server-info  "
    "/cgi-bin/test.cgi /shell.php /c99.php /upload.php /install.php /setup.php /info.php /phpinfo.php /test.php  "
    "/console /actuator/env /actuator/health /api/v1/users /api/swagger.json /graphql /debug/pprof/ /solr/admin/  "
    "/jenkins/ /manager/html /owa/ /remote/login /vpn/index.html /old/ /new/ /dev/ /staging/ /s/ /p/ /robots.txt  "
    "/sitemap.xml /login /search?q=%27%20OR%201=1-- /search?q=<script>alert(1)</script> /p/1001%27  "
    "/p/1001?id=1%20UNION%20SELECT%201 /../../etc/passwd /..%2f..%2fetc/passwd /s/../../../../etc/passwd  "
    "/p/%2e%2e/%2e%2e/etc/passwd /download?file=../../../etc/passwd /cgi-bin/.%2e/.%2e/bin/sh"
)


class Web(Log):
    """Lines in combined format, with the seconds that the answer took behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(22)

    def hit(
        self, seconds: float, source: str, request: str, status: int, size: int, agent: str, referer: str = "-",
        event: int = -1, slow: float = 1.0,
    ) -> None:  # fmt: skip
        """request : method and path; slow: how much longer than usual the answer takes."""
        if seconds >= DAY:
            return
        when = START + timedelta(seconds=int(seconds))
        stamp = f"{when.day:02d}/{MONTHS[when.month - 1]}/{when.year}:{when:%H:%M:%S} +0000"
        took = slow * self.rng.lognormal(-3.6, 0.6) + size / 2e7
        request = f"{request} HTTP/1.1"
        self.add(seconds, f'{source} - - [{stamp}] "{request}" {status} {size} "{referer}" "{agent}" {took:.3f}', event)

    def product(self) -> str:
        return f"/p/{1000 + int(200 * self.rng.beta(1.0, 4.0))}"

    def page(self, seconds: float, source: str, path: str, agent: str, referer: str, fresh: bool) -> None:
        """A page with what belongs to it; a fresh visitor has nothing of it in the cache."""
        rng = self.rng
        status = pick(rng, (200, 200, 304, 499, 500), (80, 15, 4, 0.7, 0.2))
        size = int(rng.lognormal(9.6, 0.3)) if status == 200 else (0 if status in (304, 499) else 562)
        self.hit(seconds, source, f"GET {path}", status, size, agent, referer, slow=3.0)
        here = SITE + path
        for asset, size in ASSETS if fresh else ASSETS[:1]:
            seen = not fresh
            if fresh or rng.random() < 0.3:
                seconds += rng.uniform(0.02, 0.4)
                self.hit(seconds, source, f"GET {asset}", 304 if seen else 200, 0 if seen else size, agent, here)
        if path.startswith(("/p/", "/c/")):
            self.hit(seconds + 0.5, source, f"GET /i/{path[3:]}.webp", 200, int(rng.lognormal(10.6, 0.4)), agent, here)
        if rng.random() < 0.035:
            self.hit(seconds + 0.6, source, f"GET {pick(rng, GONE)}", 404, 153, agent, here)

    def visit(self, seconds: float, source: str, agent: str) -> None:
        """A visitor looks around, and some of them buy."""
        rng = self.rng
        referer = pick(rng, ("-", "https://www.google.com/", "https://duckduckgo.com/", f"{SITE}/"), (5, 3, 1, 1))
        path = pick(rng, (*PAGES, self.product()), (5, 1, 1, 2, 2, 1, 1, 0.3, 0.3, 1, 5))
        for i in range(1 + int(rng.geometric(0.28))):
            self.page(seconds, source, path, agent, referer, fresh=i == 0)
            if path.startswith("/p/") and rng.random() < 0.25:
                self.hit(seconds + 9.0, source, "POST /cart/add", 303, 0, agent, SITE + path)
                self.hit(seconds + 9.1, source, "GET /cart", 200, int(rng.lognormal(8.9, 0.2)), agent, SITE + path)
                if rng.random() < 0.4:
                    seconds += rng.uniform(15.0, 90.0)
                    self.hit(seconds, source, "GET /login", 200, 3_290, agent, f"{SITE}/cart")
                    while rng.random() < 0.15:
                        seconds += rng.uniform(6.0, 20.0)
                        self.hit(seconds, source, "POST /login", 401, 3_412, agent, f"{SITE}/login")
                    self.hit(seconds + 8.0, source, "POST /login", 302, 0, agent, f"{SITE}/login")
                    self.hit(seconds + 40.0, source, "POST /checkout", 302, 0, agent, f"{SITE}/cart", slow=9.0)
                    self.hit(seconds + 40.3, source, "GET /thanks", 200, 5_022, agent, f"{SITE}/cart")
            referer, path = SITE + path, self.product() if rng.random() < 0.65 else pick(rng, PAGES)
            seconds += rng.uniform(6.0, 100.0)

    def app(self, seconds: float, source: str) -> None:
        """Somebody with the shop's own application."""
        rng, agent = self.rng, pick(self.rng, ("ShopApp/4.2 (Android 14)", "ShopApp/4.1 (iOS 18.3)"))
        for _ in range(int(rng.integers(3, 16))):
            item = f"/api/items/{1000 + rng.integers(200)}"
            request, status = pick(
                rng,
                ((f"GET {item}", 200), ("GET /api/cart", 200), ("POST /api/cart", 201), (f"DELETE {item}", 204),
                 ("PUT /api/cart", 200), (f"GET {item}", 404), ("POST /api/session", 401)),
                (60, 20, 10, 2, 3, 1, 0.7),
            )  # fmt: skip
            self.hit(seconds, source, request, status, 0 if status == 204 else int(rng.lognormal(6.6, 0.4)), agent)
            seconds += rng.exponential(12.0)

    def machines(self) -> None:
        """A health check, two search engines, a partner who sends the stock in bursts, and strangers who knock."""
        rng = self.rng
        for seconds in np.arange(31.0, DAY, 3.0 * MINUTE).tolist():
            self.hit(seconds, "10.0.0.9", "HEAD /health", 200, 0, "check/1.2")
        for source, agent in (
            ("192.0.2.130", "Mozilla/5.0 (compatible; Googlebot/2.1)"),
            ("192.0.2.77", "bingbot/2.0"),
        ):
            for seconds in rng.uniform(0.0, DAY, 170).tolist():
                path = pick(rng, (self.product(), pick(rng, PAGES), "/robots.txt", pick(rng, GONE)), (70, 15, 5, 6))
                missing = path in GONE
                self.hit(seconds, source, f"GET {path}", 404 if missing else 200, 153 if missing else 14_870, agent)
        for hour in range(0, 24, 2):
            for i in range(int(rng.integers(8, 20))):
                seconds = hour * HOUR + 7 * MINUTE + 1.5 * i
                self.hit(
                    seconds, "198.51.100.9", f"PUT /api/stock/{1000 + rng.integers(200)}", 204, 0, "stock-sync/2.0"
                )
        for _ in range(14):
            seconds, source = rng.uniform(0.0, DAY), f"{STRANGERS}.{rng.integers(256)}.{rng.integers(1, 255)}"
            for i in range(int(rng.integers(1, 4))):
                path = pick(rng, KNOCKS)
                found = path in ("/", "/robots.txt")
                self.hit(seconds + i, source, f"GET {path}", 200 if found else 404, 9_310 if found else 153, "-")

    def attacks(self) -> None:
        """The planted ones: a scanner that says it is a browser, and somebody who copies the whole catalogue."""
        rng, source = self.rng, "203.0.113.77"
        event, seconds = self.event("scanner", source=source), 15.3 * HOUR
        for path in ("/", *rng.permutation(PROBED).tolist(), *rng.permutation(PROBED).tolist()):
            method = pick(rng, ("GET", "HEAD", "POST", "OPTIONS", "PUT", "TRACE", "PROPFIND"), (60, 12, 12, 4, 4, 3, 3))
            known = path in ("/", "/login", "/robots.txt") or path.startswith("/search")
            status = 404 if not known else 200
            if method in ("TRACE", "PROPFIND", "PUT", "OPTIONS"):
                status = 405
            elif path.startswith(("/../", "/cgi-bin/.%2e", "/s/../")):
                status = 400
            elif path.startswith(("/server-", "/.ht")):
                status = 403
            self.hit(seconds, source, f"{method} {path}", status, 9_310 if status == 200 else 153, FIREFOX, event=event)
            seconds += rng.exponential(1.3)
        source = "203.0.113.201"
        event, seconds = self.event("mass download", source=source), 10.2 * HOUR
        for i in range(260):
            size = int(rng.lognormal(15.2, 0.5))  # some 4 MB
            self.hit(seconds, source, f"GET /media/print/{1000 + i % 200}.tiff", 200, size, FIREFOX, f"{SITE}/", event)
            seconds += rng.exponential(9.0)


def access() -> tuple[str, list[dict[str, Any]]]:
    """Text of access.log and its events."""
    log = Web()
    rng = log.rng
    for seconds in over_the_day(rng, 205).tolist():
        source = "198.51.100.20"  # an office: many people behind one address
        if rng.random() > 0.08:
            source = f"{pick(rng, ('192.0.2', '198.51.100', '203.0.113'))}.{rng.integers(100, 255)}"
            if source in ("192.0.2.130", "203.0.113.201"):
                source = "192.0.2.99"
        log.visit(seconds, source, pick(rng, AGENTS, (4, 4, 4, 1)))
    for seconds in over_the_day(rng, 120).tolist():
        log.app(seconds, f"10.{rng.integers(64, 96)}.{rng.integers(256)}.{rng.integers(1, 255)}")  # a mobile network
    for seconds in rng.uniform(0.0, DAY, 7).tolist():  # the press and friends fetch a large picture
        log.hit(seconds, f"192.0.2.{rng.integers(1, 60)}", f"GET /media/print/{1000 + rng.integers(200)}.tiff", 200,
                int(rng.lognormal(15.2, 0.5)), FIREFOX, f"{SITE}/")  # fmt: skip
    log.machines()
    log.attacks()
    return log.finish()
