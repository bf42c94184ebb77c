// Publishes one `application.moved.v1`: an application entered a stage.
//
//   npm install
//   AMQP_URL=amqp://user:password@host:5672 TENANT=acme node publish-move.mjs \
//     --application 8842 --stage "Karat Assessment" --name "Ada Lovelace" --email ada@example.org
//
// Prints the message's id, and exits 0 only when the broker has confirmed it.

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import amqp from 'amqplib';

const EXCHANGE = 'atshub.events';
const TYPE = 'application.moved.v1';
const ATTEMPTS = 5;
const TIMEOUT_MS = 10_000;

const string = { type: 'string' };
const options = { url: string, tenant: string, application: string, stage: string, name: string, email: string, job: string, role: string, time: string, id: string };
const { values: args } = parseArgs({ options });
const url = args.url ?? process.env.AMQP_URL;
const tenant = args.tenant ?? process.env.TENANT;
if (!url || !tenant || !args.application || !args.stage) {
  console.error('needed: --url and --tenant (or AMQP_URL and TENANT), --application, --stage');
  process.exit(64);
}

// JSON.stringify leaves out what is undefined: leave out what you do not know, the hub asks the ATS where it can.
const message = {
  specversion: '1.0',
  id: args.id ?? randomUUID(),
  source: `/bridges/example/${tenant}`,
  type: TYPE,
  tenant,
  subject: `application/${args.application}`,
  time: args.time ?? new Date().toISOString(),
  datacontenttype: 'application/json',
  data: {
    application: { id: args.application },
    candidate: args.name || args.email ? { name: args.name, email: args.email } : undefined,
    job: args.job || args.role ? { id: args.job, role: args.role } : undefined,
    to_stage: { name: args.stage },
  },
};

/** The broker has said that it does not have the message: sending it again at once would not help. */
class Refused extends Error {}

/** Resolves when the broker has taken the message. */
async function publish() {
  const connection = await amqp.connect(url, { timeout: TIMEOUT_MS });
  const lost = new Promise((_, reject) => {
    connection.on('error', reject);
    connection.on('close', () => reject(new Error('the connection was closed')));
  });
  lost.catch(() => {});
  try {
    const channel = await Promise.race([connection.createConfirmChannel(), lost]);
    let returned;
    channel.on('return', (back) => { returned = back.fields.replyText; });
    const confirmed = new Promise((resolve, reject) => {
      channel.on('error', (error) => reject(new Refused(`refused by the broker: ${error.message}`)));
      const options = { mandatory: true, persistent: true, contentType: 'application/cloudevents+json', messageId: message.id };
      channel.publish(EXCHANGE, `${tenant}.${TYPE}`, Buffer.from(JSON.stringify(message)), options, (error) => {
        if (returned) {
          // A return comes before its confirm, so by now it is known.
          reject(new Refused(`returned (${returned}): no queue takes \`${tenant}.${TYPE}\`. Is there a tenant \`${tenant}\`, and is the hub set up on this broker?`));
        } else if (!error) {
          resolve();
        } else if (error.message === 'message nacked') {
          reject(new Refused(`nacked: the broker could not keep message ${message.id}. Publish it again with --id ${message.id}`));
        } // else the channel or the connection is gone, and says why itself
      });
    });
    const late = sleep(TIMEOUT_MS, undefined, { ref: false }).then(() => { throw new Error('no confirm in time'); });
    await Promise.race([confirmed, lost, late]);
  } finally {
    await Promise.race([connection.close().catch(() => {}), sleep(1_000, undefined, { ref: false })]);
  }
}

for (let attempt = 1; ; attempt += 1) {
  try {
    await publish();
    console.log(message.id);
    break;
  } catch (error) {
    if (error instanceof Refused || /ACCESS[_-]REFUSED|NOT_ALLOWED/.test(error.message)) {
      console.error(error.message);
      process.exitCode = 1;
      break;
    }
    // Nobody knows whether the broker has the message. Send it again *with the same id*: the hub handles one id once.
    console.error(`attempt ${attempt} of ${ATTEMPTS} is unclear: ${error.message || error.code}`);
    if (attempt === ATTEMPTS) {
      console.error(`not confirmed. Publish it again with --id ${message.id}`);
      process.exitCode = 1;
      break;
    }
    await sleep(Math.min(1_000 * 2 ** (attempt - 1), 5_000));
  }
}
