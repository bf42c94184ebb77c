// Performs the hub's commands for one tenant: here it prints them, in a bridge it would write them into the ATS.
//
//   AMQP_URL=amqp://user:password@host:5672 TENANT=acme node perform-commands.mjs [--count N]
//
// Each command is answered with `command.done.v1` or `command.failed.v1`, and acked only when the broker has confirmed the answer.

import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import amqp from 'amqplib';

const EVENTS = 'atshub.events';
const PREFETCH = 10;
const TIMEOUT_MS = 10_000;

const { values: args } = parseArgs({ options: { url: { type: 'string' }, tenant: { type: 'string' }, count: { type: 'string' } } });
const url = args.url ?? process.env.AMQP_URL;
const tenant = args.tenant ?? process.env.TENANT;
const count = Number(args.count ?? Infinity);
if (!url || !tenant || Number.isNaN(count)) {
  console.error('needed: --url and --tenant (or AMQP_URL and TENANT); --count is a number');
  process.exit(64);
}

// What was done. A real bridge keeps this in its own store: the memory of a process is gone with it.
const sequences = new Map();
const markers = new Set();

class Unsupported extends Error {}

/** Does what a command asks, and returns the ATS's id of what was made, where it gives one. */
async function perform({ type, data }) {
  switch (type) {
    case 'status.set.v1': {
      const application = data.application.id;
      // Commands may overtake each other: a status never goes backwards.
      if (data.sequence < (sequences.get(application) ?? 0)) {
        console.log(`status of ${application}: ${data.sequence} is older than what is shown, ignored`);
        return undefined;
      }
      console.log(`status of ${application}: ${data.field} = ${data.text} (${data.sequence})`);
      sequences.set(application, data.sequence);
      return undefined;
    }
    case 'note.added.v1': {
      // The same command may come twice. Look for the marker in the notes of the ATS before writing.
      if (markers.has(data.marker)) console.log(`note on ${data.application.id}: ${data.marker} is there already`);
      else console.log(`note on ${data.application.id}: ${data.body}`);
      markers.add(data.marker);
      return `note-${data.marker}`;
    }
    case 'roles.synced.v1':
      console.log(`roles: ${data.roles.filter((role) => !role.archived).map((role) => role.name).join(', ')}`);
      return undefined;
    case 'followers.synced.v1':
      console.log(`followers: ${data.followers.join(', ')}`);
      return undefined;
    default:
      throw new Unsupported(`this bridge does not know \`${type}\``);
  }
}

async function answer(command) {
  let type = 'command.done.v1';
  let data = { command_id: command.id };
  try {
    data.external_id = await perform(command);
  } catch (error) {
    if (error instanceof TypeError) throw error; // not of a command's form
    // `retryable` where the ATS is away for a while: the hub sends the command again by its own schedule.
    const unsupported = error instanceof Unsupported;
    type = 'command.failed.v1';
    data = { ...data, code: unsupported ? 'unsupported' : 'ats_unreachable', message: error.message || error.name, retryable: !unsupported };
  }
  return {
    specversion: '1.0',
    // The same command is answered under the same id, however often it is delivered: the hub handles one id once.
    id: createHash('sha256').update(`${command.id}/${type}`).digest('hex'),
    source: `/bridges/example/${tenant}`,
    type,
    tenant,
    subject: `command/${command.id}`,
    time: new Date().toISOString(),
    datacontenttype: 'application/json',
    data,
  };
}

/** Resolves when the broker has taken the answer. */
function publish(channel, reply) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no confirm in time')), TIMEOUT_MS);
    const onReturn = () => reject(new Error(`returned: no queue takes the answers of tenant \`${tenant}\``));
    channel.once('return', onReturn);
    const options = { mandatory: true, persistent: true, contentType: 'application/cloudevents+json', messageId: reply.id };
    channel.publish(EVENTS, `${tenant}.${reply.type}`, Buffer.from(JSON.stringify(reply)), options, (error) => {
      clearTimeout(timer);
      channel.off('return', onReturn);
      if (error) reject(new Error('the broker could not keep the answer'));
      else resolve();
    });
  });
}

let connection;
try {
  connection = await amqp.connect(url, { timeout: TIMEOUT_MS });
  const channel = await connection.createConfirmChannel();
  await channel.prefetch(PREFETCH);
  await new Promise((resolve, reject) => {
    for (const source of [connection, channel]) {
      source.on('error', reject);
      source.on('close', () => reject(new Error('the connection was closed')));
    }
    let taken = 0;
    let queue = Promise.resolve(); // one command after the other, in the order they came
    const handle = async (delivery) => {
      let reply;
      try {
        reply = await answer(JSON.parse(delivery.content.toString()));
      } catch (error) {
        // Not a command at all. It would be as bad the next time: to the dead letters, where an operator sees it.
        console.error(`not a command: ${error.message}`);
        channel.reject(delivery, false);
        return;
      }
      await publish(channel, reply);
      // Last, and only now: whatever breaks before, the broker delivers the command again.
      channel.ack(delivery);
    };
    const onDelivery = (delivery) => {
      if (delivery === null) return reject(new Error('the queue is gone'));
      if (taken >= count) return undefined; // unacked: delivered again, to whoever consumes next
      taken += 1;
      const last = taken >= count;
      queue = queue.then(() => handle(delivery)).then(() => last && resolve(), reject);
      return undefined;
    };
    channel.consume(`atshub.commands.${tenant}`, onDelivery).catch(reject);
  });
  // Sends what is buffered, the last ack too.
  await channel.close();
  await connection.close();
} catch (error) {
  // No such queue (the hub makes it for a tenant of kind `bridge`), or not for this user: waiting does not help.
  const refused = /ACCESS[_-]REFUSED|NOT[_-]ALLOWED|NOT[_-]FOUND/.test(error.message);
  if (refused) console.error(`refused by the broker: ${error.message}`);
  else console.error(`${error.message || error.code}. What was not acked is delivered again; start this program again`);
  await connection?.close().catch(() => {});
  process.exitCode = 1;
}
