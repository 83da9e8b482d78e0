import { fileURLToPath } from 'node:url';

export default {
  mode: 'production',
  entry: './app.js',
  output: {
    path: fileURLToPath(new URL('./public', import.meta.url)),
    filename: 'app.bundle.js',
    module: true,
  },
};
