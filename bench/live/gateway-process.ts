/** The gateway as `tandem serve` has it. Argument: the bundle. */
import { parseServerConfig, serve } from '../../server/index.ts';

const config = {
  port: 0,
  bundles: [process.argv[2] ?? ''],
  policy: { labels: { public: 'input' } },
  credentials: { anonymous: { labels: ['public'] } },
};
const { url } = await serve(parseServerConfig(config, 'the live run'));
process.stdout.write(`${url}\n`);
