// Walks through a broker's features with stompit or @stomp/stompjs. Usage and
// output are those of tour.py, with the library's name in front:
//
//   tour.js stompit|stompjs HOST:PORT,HOST:PORT,... PREFIX
//
// The modules are looked for in the directory that BATON_STOMPIT names. stompjs
// speaks WebSocket; here it gets a TCP connection that looks like one.
'use strict';

const net = require('net');
const path = require('path');
const readline = require('readline');

const [library, addresses, prefix] = process.argv.slice(2);
const hosts = addresses.split(',');
const modules = process.env.BATON_STOMPIT;

function fail(what) {
  console.log('error', what.stack || what);
  process.exit(1);
}
process.on('unhandledRejection', fail);

// Inbox hands messages out in their order.
class Inbox {
  constructor() { this.messages = []; this.waiting = []; }
  put(m) { if (this.waiting.length) this.waiting.shift()(m); else this.messages.push(m); }
  next() {
    if (this.messages.length) return Promise.resolve(this.messages.shift());
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('nothing came within 30 s')), 30000);
      this.waiting.push((m) => { clearTimeout(late); resolve(m); });
    });
  }
}

class Stompit {
  async connect() {
    const stompit = require(path.join(modules, 'stompit'));
    this.inbox = new Inbox();
    const list = hosts.map((h) => 'tcp://' + h).join(',');
    const failover = new stompit.ConnectFailover(`failover:(${list})?maxReconnectDelay=300`, {
      connect: { connectHeaders: { host: '/', 'heart-beat': '0,0', 'client-id': prefix } },
    });
    this.c = await new Promise((resolve, reject) => failover.connect((e, c) => (e ? reject(e) : resolve(c))));
    this.dying = false;
    this.c.on('error', (e) => { if (!this.dying) fail(e); });
  }
  frame(command, headers, body) {
    return new Promise((onReceipt) => this.c.sendFrame(command, headers, { onReceipt }).end(body));
  }
  subscribe(headers) {
    this.c.setImplicitSubscription(headers.id, headers.ack, (e, m) => {
      if (!e) m.readString('utf-8', (broken, body) => this.inbox.put({ headers: m.headers, body, m }));
    });
    return this.frame('SUBSCRIBE', headers);
  }
  async unsubscribe(headers) {
    await this.frame('UNSUBSCRIBE', headers);
    delete this.c._subscriptions[headers.id];
  }
  settle(how, m, headers) {
    return new Promise((onReceipt) => this.c[how](m.m, headers, { onReceipt }));
  }
  async close() {
    this.dying = true;
    await this.frame('DISCONNECT', {});
    this.c.destroy();
  }
}

// TCPSocket is as much of a WebSocket as stompjs needs.
class TCPSocket {
  constructor(host, port) {
    this.url = `tcp://${host}:${port}`;
    this.readyState = 0;
    this.s = net.connect(port, host, () => { this.readyState = 1; this.onopen({}); });
    this.s.on('data', (d) => this.onmessage({ data: new Uint8Array(d).buffer }));
    this.s.on('error', () => {});
    this.s.on('close', () => { this.readyState = 3; this.onclose({ code: 1006, reason: '', wasClean: false }); });
  }
  send(data) { this.s.write(data); }
  close() { this.readyState = 2; this.s.end(); }
  terminate() { this.s.destroy(); }
}

class StompJS {
  async connect() {
    const { Client } = require(path.join(modules, '@stomp', 'stompjs'));
    this.inbox = new Inbox();
    this.receipts = 0;
    let next = 0;
    this.c = new Client({
      webSocketFactory: () => {
        const [host, port] = hosts[next++ % hosts.length].split(':');
        return new TCPSocket(host, Number(port));
      },
      connectHeaders: { host: '/', 'client-id': prefix },
      reconnectDelay: 50, heartbeatIncoming: 0, heartbeatOutgoing: 0,
      onStompError: (f) => fail(f.headers.message),
    });
    await new Promise((resolve) => { this.c.onConnect = () => resolve(); this.c.activate(); });
  }
  receipt(ask) {
    const receipt = `r${++this.receipts}`;
    return new Promise((resolve) => { this.c.watchForReceipt(receipt, () => resolve()); ask(receipt); });
  }
  frame(command, headers, body) {
    return this.receipt((receipt) => {
      const h = { ...headers, receipt };
      if (command === 'SEND') {
        this.c.publish({ destination: headers.destination, body, headers: h });
      } else { // BEGIN, COMMIT and ABORT of the library ask for no receipt
        this.c._stompHandler._transmit({ command, headers: h });
      }
    });
  }
  subscribe(headers) {
    return this.receipt((receipt) => this.c.subscribe(headers.destination, (m) => {
      this.inbox.put({ headers: m.headers, body: m.body, m });
    }, { ...headers, receipt }));
  }
  unsubscribe(headers) { return this.receipt((receipt) => this.c.unsubscribe(headers.id, { ...headers, receipt })); }
  settle(how, m, headers) { return this.receipt((receipt) => m.m[how]({ ...headers, receipt })); }
  close() { return this.c.deactivate(); }
}

const c = library === 'stompit' ? new Stompit() : new StompJS();

function same(m, want) {
  if (m.body !== want) fail(new Error(`got ${m.body}, want ${want}`));
  return m;
}
const message = () => c.inbox.next();
const send = (destination, body, headers) => c.frame('SEND', { destination, persistent: 'true', ...headers }, body);
const listen = (destination, id, ack, headers) => c.subscribe({ destination, id, ack, ...headers });
const leaveOff = (id, headers) => c.unsubscribe({ id, ...headers });
const ack = (m, headers) => c.settle('ack', m, headers);

async function abc(q) {
  for (const b of ['a', 'b', 'c']) await send(q, b);
}
async function bodies(...want) {
  const all = [];
  for (const b of want) all.push(same(await message(), b));
  return all;
}
async function again() {
  await c.close();
  await c.connect();
}
const named = { 'activemq.subscriptionName': 'd' };

// leave leaves a message for a durable subscription whose owner is away.
async function leave(q) {
  const topic = q.replace('/queue/', '/topic/');
  await listen(topic, '1', 'client-individual', named);
  await again();
  await send(topic, 'while away');
  return topic;
}
async function found(topic) {
  await listen(topic, '1', 'client-individual', named);
  await ack(same(await message(), 'while away'));
  await again();
  await leaveOff('1', named);
}

const features = {
  async receipts(q) {
    await send(q, 'grüß 𝄞', { color: 'r:e' });
    await listen(q, '1', 'auto');
    const m = same(await message(), 'grüß 𝄞');
    if (m.headers.color !== 'r:e') fail(new Error(`color ${m.headers.color}`));
    await leaveOff('1');
  },
  async ack_client(q) {
    await abc(q);
    await listen(q, '1', 'client');
    await ack((await bodies('a', 'b', 'c'))[1]);
    await leaveOff('1');
    await listen(q, '2', 'client');
    await ack((await bodies('c'))[0]);
    await leaveOff('2');
  },
  async ack_individual(q) {
    await abc(q);
    await listen(q, '1', 'client-individual');
    await ack((await bodies('a', 'b', 'c'))[1]);
    await leaveOff('1');
    await listen(q, '2', 'client-individual');
    for (const m of await bodies('a', 'c')) await ack(m);
    await leaveOff('2');
  },
  async nack(q) {
    await send(q, 'n');
    await listen('/queue/ActiveMQ.DLQ', 'dead', 'client-individual');
    await listen(q, '1', 'client-individual');
    await c.settle('nack', await message(), {});
    const m = same(await message(), 'n');
    await ack(m);
    await leaveOff('1');
    await leaveOff('dead');
    return m.headers.subscription === 'dead' ? 'dead-lettered' : 'redelivered';
  },
  async transactions(q) {
    const t = (transaction) => ({ transaction });
    await c.frame('BEGIN', t('t1'));
    await send(q, 'gone', t('t1'));
    await c.frame('ABORT', t('t1'));
    await c.frame('BEGIN', t('t2'));
    await send(q, 'kept', t('t2'));
    await c.frame('COMMIT', t('t2'));
    await listen(q, '1', 'client-individual');
    const m = same(await message(), 'kept');
    await c.frame('BEGIN', t('t3'));
    await ack(m, t('t3'));
    await c.frame('ABORT', t('t3'));
    await leaveOff('1');
    await listen(q, '2', 'client-individual');
    await ack(same(await message(), 'kept'));
    await leaveOff('2');
  },
  async selector(q) {
    const topic = q.replace('/queue/', '/topic/');
    await listen(topic, '1', 'auto', { selector: "color = 'red' AND size > 5" });
    await send(topic, 'a', { color: 'blue', size: '9' });
    await send(topic, 'b', { color: 'red', size: '3' });
    await send(topic, 'c', { color: 'red', size: '7' });
    same(await message(), 'c');
    await leaveOff('1');
  },
  async durable(q) { await found(await leave(q)); },
  async reply(q) {
    await listen('/temp-queue/back', '1', 'auto');
    await listen(q, '2', 'auto');
    await send(q, 'question', { 'reply-to': '/temp-queue/back' });
    await send(same(await message(), 'question').headers['reply-to'], 'answer');
    const m = same(await message(), 'answer');
    if (m.headers.subscription !== '1') fail(new Error('wrong subscription'));
    await leaveOff('1');
    await leaveOff('2');
  },
};

async function walk(times) {
  for (const [name, feature] of Object.entries(features)) {
    console.log('ok', name, await feature(`/queue/${prefix}.${times}.${name}`) || '');
  }
}

async function main() {
  await c.connect();
  await walk(1);
  const left = await leave(`/queue/${prefix}.left`);
  c.dying = true; // stompit tells a loss as an error
  console.log('kill');
  const line = await new Promise((resolve) => {
    const input = readline.createInterface({ input: process.stdin });
    input.once('line', () => resolve(true));
    input.once('close', () => resolve(false));
  });
  if (line) {
    if (library === 'stompjs') await c.c.deactivate({ force: true });
    await c.connect();
    await found(left);
    console.log('ok survived');
    await walk(2);
  }
  await c.close();
  process.exit(0);
}
main().catch(fail);
