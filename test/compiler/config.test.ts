import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toJsonSchema } from '@valibot/to-json-schema';
import { describe, expect, test } from 'vitest';
import { readCompileConfig } from '../../cli/config.ts';
import { CompileConfigSchema, configuredRecipe, parseCompileConfig } from '../../compiler/config.ts';
import { loadRecipe } from '../../models/index.ts';
import { coded } from './coded.ts';

const SCHEMA = new URL('../../docs/compile.schema.json', import.meta.url);

const PROFILE = { name: 'phone', weight: 1, deviceFactor: 2, roundTripMs: 40, uplinkMbps: 5 };

describe('a compile configuration', () => {
  test('may say nothing, or all of it', () => {
    expect(parseCompileConfig({}, 'c.json')).toEqual({ tensorsMax: 2 });
    const config = {
      cuts: [['a'], ['b', 'c']],
      profiles: [PROFILE],
      fix: { sr: 16_000 },
      targets: ['wasm'],
      count: 10,
      tiers: ['q8', 'raw'],
      metric: 'cer',
      tolerances: { accuracyDropMax: 0.01, floatErrorMax: 1e-5 },
    };
    expect(parseCompileConfig(config, 'c.json')).toMatchObject({
      cuts: [['a'], ['b', 'c']],
      profiles: [{ headShareMin: 0 }],
    });
    expect(parseCompileConfig({ cuts: 3 }, 'c.json').cuts).toBe(3);
  });

  test.each([
    [{ cutz: 3 }, 'cutz'],
    [{ cuts: 0 }, 'cuts'],
    [{ cuts: [[]] }, 'cuts'],
    [{ cuts: ['conv1'] }, 'cuts.0: expected Array, got "conv1"'],
    [{ targets: ['npu'] }, 'targets'],
    [{ profiles: [{ name: 'x' }] }, 'profiles.0'],
    [{ tensorsMax: 9 }, 'tensorsMax'],
    [{ tiers: [] }, 'tiers'],
    [{ tiers: ['q1'] }, 'tiers'],
    [{ tiers: ['p0q4'] }, 'tiers'],
    [{ tiers: ['p16'] }, 'tiers'],
    [{ tolerances: { accuracyDropMax: -1 } }, 'tolerances.accuracyDropMax'],
    [{ tolerances: { accuracyDrop: 1 } }, 'tolerances.accuracyDrop'],
    [{ profiles: [{ ...PROFILE, memoryMaxMb: 0 }] }, 'profiles.0.memoryMaxMb'],
  ])('that is wrong is refused with the field’s name (BAD_CONFIG): %j', (config, field) => {
    expect(() => parseCompileConfig(config, 'c.json')).toThrow(coded('BAD_CONFIG', field));
  });

  test('in a file is refused with the line too', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tandem-config-'));
    const path = join(folder, 'c.json');
    await writeFile(path, '{\n  "count": 3,\n  "compression": { "fit": 1 }\n}\n');
    await expect(readCompileConfig(path)).rejects.toThrow(coded('BAD_CONFIG', `${path}:3: compression.fit`));
    await rm(folder, { recursive: true });
  });

  test('says which tiers there are, and in which metric budgets are', async () => {
    const recipe = await loadRecipe('wake-word');
    const tiered = configuredRecipe(
      recipe,
      parseCompileConfig({ tiers: ['raw', 'q4', 'p16q6'], metric: 'agreement' }, 'c.json'),
    );
    expect([tiered.bits, tiered.raw, tiered.bottlenecks]).toEqual([[4], true, [{ components: 16, bits: 6 }]]);
    expect(tiered.metrics.map(({ name }) => name)).toEqual(['agreement', 'accuracy', 'scoreError']);
    const { bits, raw, metrics } = configuredRecipe(recipe, parseCompileConfig({}, 'c.json'));
    expect({ bits, raw, metrics }).toEqual({ bits: recipe.bits, raw: recipe.raw, metrics: recipe.metrics });
    expect(() => configuredRecipe(recipe, parseCompileConfig({ metric: 'f1' }, 'c.json'))).toThrow(
      coded('BAD_CONFIG', 'metric: expected one that wake-word has (accuracy, agreement, scoreError), got f1'),
    );
  });

  test('has a JSON schema for editors that says the same', () => {
    const schema = `${JSON.stringify(toJsonSchema(CompileConfigSchema, { errorMode: 'ignore' }), null, 2)}\n`;
    // UPDATE=1 npm test writes it anew.
    if (process.env['UPDATE'] === '1') writeFileSync(SCHEMA, schema);
    expect(readFileSync(SCHEMA, 'utf8')).toBe(schema);
  });
});
