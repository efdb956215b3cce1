"""The producer: makes an order every second, and hears of those that were kept."""

import json
import os
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SIDECAR = f"http://127.0.0.1:{os.environ.get('DAPR_HTTP_PORT', 3500)}"


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, status, value=None):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path != "/dapr/subscribe":
            return self.reply(404)
        self.reply(200, [{"pubsubname": "pubsub", "topic": "kept", "route": "/kept"}])

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print(f"heard that order {event['data']['orderId']} is kept")
        self.reply(200)

    def log_message(self, *_):
        pass


def main():
    app = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("APP_PORT", 3001))), App)
    threading.Thread(target=app.serve_forever, daemon=True).start()
    number = 0
    while True:
        number += 1
        request = urllib.request.Request(
            SIDECAR + "/v1.0/invoke/orders/method/neworder",
            json.dumps({"data": {"orderId": number}}).encode(),
            {"Content-Type": "application/json", "dapr-api-token": os.environ.get("DAPR_API_TOKEN", "")},
        )
        try:
            urllib.request.urlopen(request).close()
        except urllib.error.URLError as error:
            print(f"order {number} is not taken: {error}")
        time.sleep(1)


main()
