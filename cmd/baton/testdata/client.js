// Sends numbered messages and receives them, with stompit and its failover.
//
// Usage: client.js HOST:PORT,HOST:PORT,... QUEUE COUNT
//
// Prints one line for everything that happens: "connected", "receipt ID",
// "message ID". After the last receipt it prints "sent", waits for a line on
// standard input, and receives until it has had every message once. The module
// stompit is looked for in the directory that BATON_STOMPIT names.
'use strict';

const path = require('path');
const stompit = require(path.join(process.env.BATON_STOMPIT, 'stompit'));

const [addresses, queue, count] = process.argv.slice(2);
const destination = '/queue/' + queue;
const ids = Array.from({ length: Number(count) }, (_, i) => `${queue}-${String(i).padStart(6, '0')}`);

const servers = addresses.split(',').map((a) => 'tcp://' + a).join(',');
const failover = new stompit.ConnectFailover(`failover:(${servers})?maxReconnectDelay=300`, {
  connect: { connectHeaders: { host: '/', 'heart-beat': '0,0' } },
});
failover.on('connect', () => console.log('connected'));
const channel = new stompit.Channel(failover, { alwaysConnected: true, recoverAfterApplicationError: true });

function fail(error) {
  console.log('error', error.message);
  process.exit(1);
}

let next = 0;
let receipts = 0;

function send() {
  if (next === ids.length) return;
  const id = ids[next++];
  channel.send({ destination, persistent: 'true' }, id, (error) => {
    if (error) fail(error);
    console.log('receipt', id);
    if (++receipts === ids.length) {
      console.log('sent');
      process.stdin.once('data', receive);
    }
    send();
  });
}

function receive() {
  const missing = new Set(ids);
  const headers = { destination, ack: 'client-individual', 'activemq.prefetchSize': '10' };
  channel.subscribe(headers, (error, message) => {
    if (error) fail(error);
    message.readString('utf-8', (broken, body) => {
      if (broken) return; // the connection was lost, it comes again
      console.log('message', body);
      missing.delete(body);
      setTimeout(() => { // a consumer that does something with it
        channel.ack(message);
        if (missing.size === 0) setTimeout(() => process.exit(0), 200); // the last acks are on their way
      }, 2);
    });
  });
}

for (let i = 0; i < 10; i++) send(); // the library writes in small pieces: one at a time would wait for delayed TCP acks
