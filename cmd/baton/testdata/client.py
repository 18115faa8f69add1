"""Sends numbered messages and receives them, with stomp.py and its failover.

Usage: client.py HOST:PORT,HOST:PORT,... QUEUE COUNT

Prints one line for everything that happens: "connected", "receipt ID",
"message ID". After the last receipt it prints "sent", waits for a line on
standard input, and receives until it has had every message once.
"""

import queue
import sys
import threading
import time

import stomp
from stomp.exception import ConnectFailedException, StompException

hosts = [(h.split(":")[0], int(h.split(":")[1])) for h in sys.argv[1].split(",")]
destination = "/queue/" + sys.argv[2]
ids = ["%s-%06d" % (sys.argv[2], i) for i in range(int(sys.argv[3]))]
happened = queue.Queue()  # what the library's thread tells the main thread
broken = (StompException, OSError)


class Listener(stomp.ConnectionListener):
    def on_receipt(self, frame):
        happened.put(("receipt", frame.headers["receipt-id"], None))

    def on_message(self, frame):
        happened.put(("message", frame.body, frame.headers["ack"]))

    def on_error(self, frame):
        happened.put(("error", frame.headers.get("message"), None))

    def on_disconnected(self):
        happened.put(("lost", None, None))


conn = stomp.Connection12(hosts, reconnect_sleep_initial=0.02, reconnect_sleep_increase=0.2,
                          reconnect_sleep_max=0.3, reconnect_attempts_max=-1)
conn.set_listener("client", Listener())


def connect():
    while True:
        try:
            conn.connect(wait=True)
            print("connected", flush=True)
            return
        except ConnectFailedException:
            continue
        except broken:  # it accepted and died; the library's thread tells the loss
            while happened.get(timeout=60)[0] != "lost":
                pass


def until_lost():
    while True:
        what, word, ack = happened.get(timeout=60)
        if what == "lost" and conn.is_connected():
            continue  # it is about a connection before this one
        if what == "lost":
            connect()
            return
        yield what, word, ack


def send(i):
    """Sends one message until it is receipted."""
    while True:
        try:
            conn.send(destination, i, receipt=i, persistent="true")
        except broken:
            pass  # and the loss is told
        for what, word, _ in until_lost():
            if what == "receipt" and word == i:
                return


def receive():
    missing = set(ids)
    while missing:
        try:
            conn.subscribe(destination, id="1", ack="client-individual", headers={"activemq.prefetchSize": "10"})
        except broken:
            pass
        for what, word, ack in until_lost():
            print(what, word, flush=True)
            if what != "message":
                continue
            time.sleep(0.002)  # a consumer that does something with it
            try:
                conn.ack(ack)
            except broken:
                pass  # it comes again
            missing.discard(word)
            if not missing:
                return


connect()
for i in ids:
    send(i)
    print("receipt", i, flush=True)
print("sent", flush=True)
sys.stdin.readline()
receive()
conn.disconnect()
