/** The gateway with the comparison's page: `tandem serve`, and a folder of static files. Arguments: bundle, folder. */
import './own-processor.ts';
import { parseServerConfig, serve } from '../../server/index.ts';

const [bundle = '', siteDir = ''] = process.argv.slice(2);
const config = {
  port: 0,
  bundles: [bundle],
  policy: { labels: { public: 'input' } },
  credentials: { anonymous: { labels: ['public'] } },
};
const { url } = await serve(parseServerConfig(config, 'the comparison'), { siteDir });
process.stdout.write(`${url}\n`);
