"""Drives a ZooKeeper server through kazoo and prints what it sees, one line a
step. Run with the server's address."""
import logging
import sys
import threading

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import KazooException
from kazoo.security import make_acl, make_digest_acl
from kazoo.recipe.counter import Counter
from kazoo.recipe.watchers import PatientChildrenWatch

logging.disable(logging.CRITICAL)
address = sys.argv[1]
base = 0


def show(what, value):
    print("%s: %s" % (what, value), flush=True)


def stat(s):
    return "v=%d cv=%d av=%d eph=%s len=%d kids=%d czxid<=mzxid=%s pzxid>=czxid=%s" % (
        s.version, s.cversion, s.aversion, s.ephemeralOwner != 0, s.dataLength, s.numChildren, s.czxid <= s.mzxid, s.pzxid >= s.czxid)


def attempt(what, do, fmt=lambda v: v):
    try:
        show(what, fmt(do()))
    except KazooException as e:
        show(what, type(e).__name__)


def client(**kw):
    c = KazooClient(hosts=address, timeout=5, **kw)
    c.start(timeout=30)
    return c


a, b = client(), client()
show("version", a.server_version()[:2])
show("words", [a.command(b"ruok"), a.command(b"isro"), a.command(b"stat").splitlines()[0][:17]])
attempt("create", lambda: a.create("/kz", b"x"))
attempt("again", lambda: a.create("/kz", b"x"))
attempt("makepath", lambda: a.create("/kz/a/b/c", b"deep", makepath=True))
attempt("sequence", lambda: a.create("/kz/s-", b"", sequence=True))
attempt("ephemeral sequence", lambda: a.create("/kz/e-", b"", ephemeral=True, sequence=True))
attempt("with data", lambda: a.create("/kz/stat", b"data", include_data=True), lambda r: (r[0], stat(r[1])))
attempt("below an ephemeral", lambda: a.create("/kz/e-0000000002/x", b""))
attempt("get", lambda: a.get("/kz"), lambda r: (r[0], stat(r[1])))
attempt("get none", lambda: a.get("/none"))
attempt("exists", lambda: a.exists("/kz/a"), stat)
attempt("exists none", lambda: a.exists("/none"))
attempt("children", lambda: sorted(a.get_children("/kz")))
attempt("children and stat", lambda: a.get_children("/kz", include_data=True), lambda r: stat(r[1]))
attempt("set", lambda: a.set("/kz", b"yy"), stat)
attempt("set at a version", lambda: a.set("/kz", b"z", version=1), stat)
attempt("set at a bad version", lambda: a.set("/kz", b"z", version=1))
attempt("delete not empty", lambda: a.delete("/kz/a"))
attempt("delete bad version", lambda: a.delete("/kz/stat", version=4))
attempt("delete", lambda: a.delete("/kz/stat"))
attempt("sync", lambda: a.sync("/kz"))
attempt("empty data and none", lambda: (a.create("/kz/null", b"") and a.get("/kz/null")[0]))

# Transactions.
for what, build in [
    ("commit", lambda t: (t.create("/kz/t1", b"1"), t.set_data("/kz", b"t"), t.check("/kz/t1", 0), t.delete("/kz/t1"))),
    ("fails", lambda t: (t.create("/kz/t2", b"1"), t.check("/kz", 99), t.delete("/kz/none"))),
    ("nothing", lambda t: ()),
]:
    t = a.transaction()
    build(t)
    show("transaction " + what, [type(r).__name__ if isinstance(r, Exception) else (stat(r) if hasattr(r, "czxid") else r) for r in t.commit()])
attempt("rolled back", lambda: a.exists("/kz/t2"))

# Access lists.
acl = make_digest_acl("user", "secret", all=True)
attempt("create guarded", lambda: a.create("/kz/guarded", b"s", acl=[acl, make_acl("ip", "10.0.0.1", read=True)]))
attempt("guarded get", lambda: b.get("/kz/guarded")[0])
attempt("guarded acls", lambda: b.get_acls("/kz/guarded")[0])
b.add_auth("digest", "user:secret")
attempt("authenticated get", lambda: b.get("/kz/guarded")[0])
attempt("authenticated acls", lambda: b.get_acls("/kz/guarded"), lambda r: (r[0], stat(r[1])))
attempt("set acls", lambda: b.set_acls("/kz/guarded", [make_acl("world", "anyone", read=True)], version=0), stat)
attempt("set acls without right", lambda: b.set_acls("/kz/guarded", [acl]))
attempt("bad acl", lambda: a.create("/kz/bad", b"", acl=[make_acl("magic", "x", read=True)]))
attempt("guest writes", lambda: a.set("/kz/guarded", b"no"))

# Watches, one-shot and lasting.
events, came = [], threading.Condition()


def seen(e):
    with came:
        events.append("%s %s" % (e.type, e.path))
        came.notify_all()


def wait(n):
    with came:
        if not came.wait_for(lambda: len(events) >= n, 30):
            show("missing events", events)
            sys.exit(1)


a.exists("/kz/w", watch=seen)
b.create("/kz/w", b"")
wait(1)
a.get("/kz/w", watch=seen)
b.set("/kz/w", b"1")
wait(2)
a.get_children("/kz/w", watch=seen)
b.create("/kz/w/kid", b"")
wait(3)
a.get("/kz/w/kid", watch=seen)
b.delete("/kz/w/kid")
wait(4)
show("events", events)
datas, changed = [], threading.Event()


@a.DataWatch("/kz/w")
def on_data(data, s, event):
    datas.append((data, s.version if s else None))
    changed.set()


for i in range(3):
    changed.clear()
    b.set("/kz/w", b"%d" % i)
    changed.wait(30)
show("data watch", datas)

# Recipes.
lock_a, lock_b = a.Lock("/kz/lock", "first"), b.Lock("/kz/lock", "second")
lock_a.acquire()
show("contenders", lock_a.contenders())
show("second waits", lock_b.acquire(blocking=False))
lock_a.release()
show("second has it", lock_b.acquire(timeout=30))
lock_b.release()
counter = Counter(a, "/kz/counter")
counter += 5
counter -= 2
show("counter", counter.value)
queue = a.LockingQueue("/kz/queue")
queue.put(b"one")
queue.put(b"two", priority=10)
show("queue", [queue.get(30), queue.consume(), len(queue)])
leads = threading.Event()
election = threading.Thread(target=lambda: a.Election("/kz/election", "me").run(leads.set), daemon=True)
election.start()
show("elected", leads.wait(30))
party = a.Party("/kz/party", "me")
party.join()
show("party", sorted(b.Party("/kz/party", "you")))

# Sessions.
b.create("/kz/mine", b"", ephemeral=True)
gone = threading.Event()
a.exists("/kz/mine", watch=lambda e: gone.set())
b.stop()
show("ephemeral goes with its session", gone.wait(30))
old = a.client_id
a.stop()
a.start(timeout=30)
show("a new session", a.client_id[0] != old[0] and a.client_id[0] != 0)
late = KazooClient(hosts=address, timeout=5, client_id=old)
states = []
late.add_listener(states.append)
late.start(timeout=30)
show("a closed session is not resumed", late.client_id[0] != old[0])
late.stop()
attempt("delete all", lambda: a.delete("/kz", recursive=True))
attempt("nothing left", lambda: a.exists("/kz"))
a.stop()
