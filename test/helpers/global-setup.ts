/** What system tests need before the first of them: the demo's bundle, as `npm start` compiles it, and a browser. */
import { compile, isCurrent } from 'tandem/compiler';
import type { TestProject } from 'vitest/node';
import { loadRecipe } from '../../models/index.ts';
import { type Chromium, findChromium } from './chromium.ts';
import { BUNDLE_DIR } from './processes.ts';

declare module 'vitest' {
  interface ProvidedContext {
    chromium: Chromium;
  }
}

export default async function setup(project: TestProject): Promise<void> {
  const recipe = await loadRecipe('ocr-line');
  if (!(await isCurrent(recipe, BUNDLE_DIR))) {
    let stage = '';
    await compile(recipe, BUNDLE_DIR, {
      progress: (event) => {
        if (event.stage !== stage) process.stderr.write(`${event.stage} ...\n`);
        stage = event.stage;
      },
    });
  }
  project.provide('chromium', findChromium());
}
