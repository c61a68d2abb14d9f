// `npm run demo`: the whole story on a simulated road.
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { asBitlaneError, BitlaneError, messageOf } from '../src/errors.js';
import { packageRoot } from '../src/system/index.js';
import { runDemo } from './demo/demo.js';
import { freePort, shippedModel } from './demo/place.js';
import { say } from './demo/say.js';

const USAGE = `Usage: npm run demo -- [--state DIR] [--model DIR] [--watch SECONDS] [--go-on] [--check]

Runs bitlane on a simulated road with the model that ships, and lets it adapt once. Some seven minutes.
  --state DIR      where model, store, pictures and configuration go (default: state/demo in this folder)
  --model DIR      another artifact of the ten types
  --watch SECONDS  how long it watches before it adapts (default 60)
  --go-on          let the daemon run on afterwards, until Ctrl-C
  --check          one JSON document on stdout; fail where a part of the story is missing`;

const main = async (): Promise<number> => {
  const { values } = parseArgs({
    options: {
      state: { type: 'string', default: join(packageRoot, 'state', 'demo') },
      model: { type: 'string' },
      watch: { type: 'string', default: '60' },
      'go-on': { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    say(USAGE);
    return 0;
  }
  const watchS = Number(values.watch);
  if (!(watchS >= 1 && watchS <= 3600))
    throw new BitlaneError('BAD_USAGE', '--watch takes 1 to 3600 seconds');
  const { problems, ...story } = await runDemo({
    state: resolve(values.state),
    model: values.model ?? shippedModel(),
    watchS,
    mqtt: undefined,
    port: await freePort(),
    goOn: values['go-on'],
  });
  if (values.check) process.stdout.write(`${JSON.stringify({ ...story, problems })}\n`);
  return problems.length > 0 && values.check ? 1 : 0;
};

try {
  process.exitCode = await main();
} catch (thrown) {
  const error = asBitlaneError(thrown);
  say(`demo: ${messageOf(error)}${error.code === 'BAD_USAGE' ? `\n\n${USAGE}` : ''}`);
  process.exitCode = error.isInputError ? 2 : 1;
}
