"""Walks through a broker's features with stomp.py.

Usage: tour.py HOST:PORT,HOST:PORT,... PREFIX

Prints "ok FEATURE RESULT" for each feature. Then it prints "kill", waits for a
line on standard input, finds the broker again with the same list of addresses,
and walks once more. Without a line (end of file) it stops there.
"""

import queue
import sys

import stomp
from stomp.exception import StompException

hosts = [(h.split(":")[0], int(h.split(":")[1])) for h in sys.argv[1].split(",")]
prefix = sys.argv[2]


class Listener(stomp.ConnectionListener):
    def __init__(self):
        self.frames = queue.Queue()

    def on_message(self, frame):
        self.frames.put(frame)

    def on_receipt(self, frame):
        self.frames.put(frame)

    def on_error(self, frame):
        self.frames.put(frame)


class Client:
    def __init__(self):
        self.receipts = 0
        self.connect()

    def connect(self):
        """Connects through the list, however long nobody serves."""
        while True:
            self.conn = stomp.Connection12(hosts, reconnect_sleep_initial=0.02, reconnect_sleep_increase=0.2,
                                           reconnect_sleep_max=0.3, reconnect_attempts_max=-1)
            self.heard = Listener()
            self.conn.set_listener("tour", self.heard)
            try:
                self.conn.connect(wait=True, headers={"client-id": prefix})
                return
            except (StompException, OSError):
                pass

    def next(self, command):
        f = self.heard.frames.get(timeout=30)
        assert f.cmd == command, "%s instead of %s: %s %s" % (f.cmd, command, f.headers, f.body)
        return f

    def receipt(self, do, *args, **kw):
        """Does something and waits for its receipt; messages come after it."""
        self.receipts += 1
        rid = "r%d" % self.receipts
        do(*args, receipt=rid, **kw)
        held = []
        while True:
            f = self.heard.frames.get(timeout=30)
            if f.cmd == "MESSAGE":
                held.append(f)
                continue
            assert f.cmd == "RECEIPT" and f.headers["receipt-id"] == rid, (f.cmd, f.headers, f.body)
            break
        for f in held:
            self.heard.frames.put(f)

    def send(self, to, body, **headers):
        self.receipt(self.conn.send, to, body, persistent="true", **headers)

    def subscribe(self, to, sid, ack, **headers):
        self.receipt(self.conn.subscribe, to, sid, ack, headers=headers)

    def unsubscribe(self, sid):
        self.receipt(self.conn.unsubscribe, sid)

    def ack(self, f, **kw):
        self.receipt(self.conn.ack, f.headers["ack"], **kw)

    def bodies(self, n):
        return [self.next("MESSAGE") for _ in range(n)]


def same(got, *want):
    got = [f.body for f in got]
    assert got == list(want), "%s instead of %s" % (got, list(want))


def receipts(c, q):
    c.send(q, "gr\u00fc\u00df \U0001d11e", color="r:e\\d")
    c.subscribe(q, "1", "auto")
    f = c.next("MESSAGE")
    same([f], "gr\u00fc\u00df \U0001d11e")
    assert f.headers["color"] == "r:e\\d", f.headers
    c.unsubscribe("1")


def ack_client(c, q):
    for b in "abc":
        c.send(q, b)
    c.subscribe(q, "1", "client")
    fs = c.bodies(3)
    same(fs, "a", "b", "c")
    c.ack(fs[1])
    c.unsubscribe("1")
    c.subscribe(q, "2", "client")
    f = c.next("MESSAGE")
    same([f], "c")
    c.ack(f)
    c.unsubscribe("2")


def ack_individual(c, q):
    for b in "abc":
        c.send(q, b)
    c.subscribe(q, "1", "client-individual")
    c.ack(c.bodies(3)[1])
    c.unsubscribe("1")
    c.subscribe(q, "2", "client-individual")
    fs = c.bodies(2)
    same(fs, "a", "c")
    for f in fs:
        c.ack(f)
    c.unsubscribe("2")


def nack(c, q):
    c.send(q, "n")
    c.subscribe("/queue/ActiveMQ.DLQ", "dead", "client-individual")
    c.subscribe(q, "1", "client-individual")
    c.receipt(c.conn.nack, c.next("MESSAGE").headers["ack"])
    f = c.next("MESSAGE")
    same([f], "n")
    c.ack(f)
    c.unsubscribe("1")
    c.unsubscribe("dead")
    return "dead-lettered" if f.headers["subscription"] == "dead" else "redelivered"


def transactions(c, q):
    c.conn.begin("t1")
    c.send(q, "gone", transaction="t1")
    c.receipt(c.conn.abort, "t1")
    c.conn.begin("t2")
    c.send(q, "kept", transaction="t2")
    c.receipt(c.conn.commit, "t2")
    c.subscribe(q, "1", "client-individual")
    f = c.next("MESSAGE")
    same([f], "kept")
    c.conn.begin("t3")
    c.ack(f, transaction="t3")
    c.receipt(c.conn.abort, "t3")
    c.unsubscribe("1")
    c.subscribe(q, "2", "client-individual")
    f = c.next("MESSAGE")
    same([f], "kept")
    c.ack(f)
    c.unsubscribe("2")


def selector(c, q):
    topic = q.replace("/queue/", "/topic/")
    c.subscribe(topic, "1", "auto", selector="color = 'red' AND size > 5")
    c.send(topic, "a", color="blue", size="9")
    c.send(topic, "b", color="red", size="3")
    c.send(topic, "c", color="red", size="7")
    same([c.next("MESSAGE")], "c")
    c.unsubscribe("1")


def leave(c, q):
    """Leaves a message for a durable subscription whose owner is away."""
    topic = q.replace("/queue/", "/topic/")
    c.subscribe(topic, "1", "client-individual", **{"activemq.subscriptionName": "d"})
    c.conn.disconnect()
    c.connect()
    c.send(topic, "while away")
    return topic


def durable(c, q):
    found(c, leave(c, q))


def found(c, topic):
    c.subscribe(topic, "1", "client-individual", **{"activemq.subscriptionName": "d"})
    f = c.next("MESSAGE")
    same([f], "while away")
    c.ack(f)
    c.conn.disconnect()
    c.connect()
    c.receipt(c.conn.unsubscribe, "1", **{"activemq.subscriptionName": "d"})


def reply(c, q):
    c.subscribe("/temp-queue/back", "1", "auto")
    c.subscribe(q, "2", "auto")
    c.send(q, "question", **{"reply-to": "/temp-queue/back"})
    f = c.next("MESSAGE")
    same([f], "question")
    c.send(f.headers["reply-to"], "answer")
    f = c.next("MESSAGE")
    same([f], "answer")
    assert f.headers["subscription"] == "1"
    c.unsubscribe("1")
    c.unsubscribe("2")


def walk(c, times):
    for feature in (receipts, ack_client, ack_individual, nack, transactions, selector, durable, reply):
        result = feature(c, "/queue/%s.%d.%s" % (prefix, times, feature.__name__)) or ""
        print("ok", feature.__name__, result, flush=True)


client = Client()
walk(client, 1)
left = leave(client, "/queue/%s.left" % prefix)
print("kill", flush=True)
if sys.stdin.readline():
    client.connect()
    found(client, left)
    print("ok survived", flush=True)
    walk(client, 2)
client.conn.disconnect()
